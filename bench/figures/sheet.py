"""Sheets: images in rows and columns, pixel for pixel, with words around them. Every picture figure is one.

All images of a sheet are composed into one array first, each pixel enlarged by a whole factor (nearest
neighbour), and the words are set on top of it. What a viewer sees is what a method drew.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from bench.errors import DataError
from bench.figures.style import FONT, SMALL, WIDTH, save, styled

U8 = NDArray[np.uint8]

CELL = 160  # pixels; images are enlarged by the least whole factor that makes their full side reach it
WIDEST = 1.1  # inches, of a cell
GAP, BLOCK_GAP = 0.025, 0.14  # inches between cells, and between blocks of cells
EDGE = 0.03  # inches around the sheet
FRAME = 225  # grey level of the hairline around a cell: white images on a white page need one
LINE = 1.25  # line height, in font sizes
VISIBLE = 16  # of 255: a pixel that is this far from white can be seen, and is never cropped away


@dataclass(frozen=True)
class Span:
    """A title over the columns (or beside the rows) from `first` to `last`, both included."""

    title: str
    first: int
    last: int


@dataclass(frozen=True)
class Sheet:
    """What is drawn where. An image is uint8 [h, w, 3]; None leaves its place empty.

    Images are of one size, or whole fractions of the largest (feature maps); those are enlarged to it.
    """

    rows: Sequence[Sequence[U8 | None]]
    heads: Sequence[str] = ()  # above the columns
    groups: Sequence[Span] = ()  # above the heads
    sides: Sequence[Span] = ()  # left of the rows, upright
    captions: Sequence[Sequence[str]] = ()  # below the images, by row; one line each
    notes: Sequence[str] = ()  # right of the rows, one a row
    column_breaks: frozenset[int] = field(default=frozenset())  # columns with more room before them
    row_breaks: frozenset[int] = field(default=frozenset())
    crop: bool = True  # cut away the borders that are white in every image
    notes_width: float = 2.1  # inches


def whole_scale(size: int) -> int:
    """By what whole factor a sheet enlarges images of `size` pixels."""
    return max(1, -(-CELL // size))


def visible_box(images: Iterable[U8], margin: int = 1) -> tuple[slice, slice]:
    """The smallest box (rows, columns) outside of which every image is white, `margin` pixels wider.

    It is as wide to the left as to the right, so that what stands in the middle stays there.
    """
    seen = np.any([np.any(image < 255 - VISIBLE, axis=2) for image in images], axis=0)
    height, width = seen.shape
    if not seen.any():
        return slice(0, height), slice(0, width)
    down, across = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    inset = max(0, min(int(across[0]), width - 1 - int(across[-1])) - margin)
    top, bottom = max(0, int(down[0]) - margin), min(height, int(down[-1]) + 1 + margin)
    return slice(top, bottom), slice(inset, width - inset)


@styled
def draw_sheet(sheet: Sheet, path_stem: Path) -> list[Path]:
    """Write `path_stem`.png and .pdf and return their paths.

    At most 7 inches wide, a cell at most 1.1; the resolution follows from the images, so that each pixel becomes
    a square of whole pixels. Raises DataError for no images or ones that do not fit together.
    """
    rows, size = _fitted(sheet)
    cell_height, cell_width = size
    columns = max(len(row) for row in rows)
    side = (SMALL * LINE / 72 + 0.04) if sheet.sides else 0.0
    notes = (sheet.notes_width + 0.08) if sheet.notes else 0.0
    around = 2 * EDGE + side + notes + (columns - 1) * GAP + len(sheet.column_breaks) * BLOCK_GAP
    inches = min((WIDTH - around) / columns, WIDEST * cell_width / max(size))
    dpi = round(cell_width / inches)

    def px(length: float) -> int:
        return round(length * dpi)

    heads = [textwrap.fill(title, _letters(inches, FONT)) for title in sheet.heads]
    lines_above = max((text.count("\n") + 1 for text in heads), default=0)
    group_height = FONT * LINE / 72 + 0.03 if sheet.groups else 0.0
    top = px(EDGE + group_height + lines_above * FONT * LINE / 72)
    captions = list(sheet.captions) or [[]] * len(rows)
    caption_heights = [px(SMALL * LINE / 72) if any(row) else 0 for row in captions]
    lefts = _places(columns, cell_width, px(EDGE + side), px(GAP), px(BLOCK_GAP), sheet.column_breaks)
    tops = _places(len(rows), cell_height, top, px(GAP), px(BLOCK_GAP), sheet.row_breaks, caption_heights)
    width = lefts[-1] + cell_width + px(EDGE + notes)
    height = tops[-1] + cell_height + caption_heights[-1] + px(EDGE)

    canvas = np.full((height, width, 3), 255, np.uint8)
    for y, row in zip(tops, rows, strict=True):
        for x, image in zip(lefts, row, strict=False):
            if image is not None:
                canvas[y - 1 : y + cell_height + 1, x - 1 : x + cell_width + 1] = FRAME
                canvas[y : y + cell_height, x : x + cell_width] = _enlarged(image, size)

    # a hundredth of a pixel more: width / dpi * dpi must not be rounded down to a pixel less
    figure = Figure(figsize=((width + 0.01) / dpi, (height + 0.01) / dpi), dpi=dpi, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), frameon=False)
    axes.set_axis_off()
    axes.imshow(canvas, interpolation="none", aspect="auto")

    def write(x: float, y: float, text: str, points: float, **options: Any) -> None:
        figure.text(x / width, 1 - y / height, text, fontsize=points, linespacing=LINE - 0.1, **options)

    for x, text in zip(lefts, heads, strict=False):
        write(x + cell_width / 2, top - px(0.045), text, FONT, ha="center", va="baseline")
    for group in sheet.groups:
        left, right = lefts[group.first], lefts[group.last] + cell_width
        base = px(EDGE + group_height - 0.03)
        write((left + right) / 2, base - px(0.04), group.title, FONT, ha="center", va="baseline", weight="bold")
        across = [left / width, right / width]
        figure.add_artist(Line2D(across, [1 - base / height] * 2, color="0.3", linewidth=0.7))
    for span in sheet.sides:
        middle = (tops[span.first] + tops[span.last] + cell_height) / 2
        write(px(EDGE + side) - px(0.04), middle, span.title, SMALL, ha="right", va="center", rotation=90)
    for y, row_captions in zip(tops, captions, strict=True):
        for x, text in zip(lefts, row_captions, strict=False):
            write(x + cell_width / 2, y + cell_height + px(SMALL / 72), text, SMALL, ha="center", va="baseline")
    for y, note in zip(tops, sheet.notes, strict=False):
        write(lefts[-1] + cell_width + px(0.08), y + cell_height / 2, note, SMALL, ha="left", va="center")
    return save(figure, path_stem, dpi)


def _letters(inches: float, points: float) -> int:
    """How many letters of that size fit into that width."""
    return max(6, int(inches * 72 / (points * 0.56)))


def _places(
    count: int, size: int, start: int, gap: int, more: int, breaks: frozenset[int], after: Sequence[int] = ()
) -> list[int]:
    """Where cells begin, in pixels, with `more` room before each of `breaks` and `after` each its own."""
    places = []
    for index in range(count):
        start += more if index in breaks else 0
        places.append(start)
        start += size + gap + (after[index] if after else 0)
    return places


def _fitted(sheet: Sheet) -> tuple[list[list[U8 | None]], tuple[int, int]]:
    """The images, cropped, and the size in pixels of a cell: (height, width)."""
    images = [image for row in sheet.rows for image in row if image is not None]
    if not images:
        raise DataError("a sheet needs at least one image")
    full = max((image.shape for image in images), key=lambda shape: shape[0])
    for number, row in enumerate(sheet.rows):
        for column, image in enumerate(row):
            if image is None:
                continue
            fits = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
            if not fits or full[0] % image.shape[0] or image.shape[1] * full[0] != full[1] * image.shape[0]:
                raise DataError(
                    f"row {number}, column {column} of the sheet is {image.dtype} {list(image.shape)}, not uint8 "
                    f"{list(full)} or a whole fraction of it"
                )
    if sheet.heads and len(sheet.heads) != max(len(row) for row in sheet.rows):
        raise DataError(f"a sheet of {max(len(row) for row in sheet.rows)} columns has {len(sheet.heads)} heads")
    rows = [list(row) for row in sheet.rows]
    if sheet.crop and all(image.shape == full for image in images):
        down, across = visible_box(images)
        rows = [[None if image is None else image[down, across] for image in row] for row in rows]
    scale = whole_scale(full[0])
    height, width = max(image.shape[:2] for row in rows for image in row if image is not None)
    return rows, (height * scale, width * scale)


def _enlarged(image: U8, size: tuple[int, int]) -> U8:
    factor = size[0] // image.shape[0]
    return image.repeat(factor, 0).repeat(factor, 1)
