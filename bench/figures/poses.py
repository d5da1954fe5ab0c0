"""One character in several poses: the teaser, the gallery and the support set (Figs. 1, 5, 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.figures.features import shift_words
from bench.figures.sheet import U8, Sheet, Span, draw_sheet


@dataclass(frozen=True)
class Animation:
    """A character made to take poses: uint8 images [H, W, 3] of one size, as many outputs as poses."""

    source: U8
    poses: Sequence[U8]  # stick figures
    outputs: Sequence[U8]


def teaser(animations: Sequence[Animation], path_stem: Path) -> list[Path]:
    """Each source beside a row of poses, and below them the character in each (Fig. 1). Raises DataError."""
    count = _poses(animations)
    rows: list[list[U8 | None]] = []
    sides: list[Span] = []
    for animation in animations:
        sides += [Span("target pose", len(rows), len(rows)), Span("output", len(rows) + 1, len(rows) + 1)]
        rows += [[None, *animation.poses], [animation.source, *animation.outputs]]
    captions = [[], ["source", *[""] * count]] * len(animations)
    sheet = Sheet(
        rows, sides=sides, captions=captions, column_breaks=frozenset({1}), row_breaks=frozenset(range(2, len(rows), 2))
    )
    return draw_sheet(sheet, path_stem)


def gallery(animations: Sequence[Animation], path_stem: Path, blocks: int = 2) -> list[Path]:
    """Many characters, each with its source and pairs of pose and output, in `blocks` side by side (Fig. 10)."""
    count = _poses(animations)
    width = 1 + 2 * count
    lines = -(-len(animations) // blocks)
    blocks = -(-len(animations) // lines)
    rows: list[list[U8 | None]] = [[] for _ in range(lines)]
    for number, animation in enumerate(animations):
        # down the first block, then down the next
        rows[number % lines] += [
            animation.source,
            *(image for pair in zip(animation.poses, animation.outputs, strict=True) for image in pair),
        ]
    heads = ["Source", *["Pose", "Output"] * count] * blocks
    breaks = {block * width for block in range(1, blocks)}
    padded = [row + [None] * (blocks * width - len(row)) for row in rows]
    return draw_sheet(Sheet(padded, heads, column_breaks=frozenset(breaks)), path_stem)


def support_set(
    source: U8, source_pose: U8, images: Sequence[U8], poses: Sequence[U8], offsets: Sequence[int], path_stem: Path
) -> list[Path]:
    """The source and its K shifted samples with their stick figures (Fig. 5); `offsets` are the shifts in pixels."""
    if not len(images) == len(poses) == len(offsets):
        raise DataError(f"{len(images)} samples, {len(poses)} poses and {len(offsets)} shifts are not one support set")
    sheet = Sheet(
        rows=[[source, *images], [source_pose, *poses]],
        heads=["Source", *(f"Sample {number + 1}" for number in range(len(images)))],
        captions=[[], ["", *(shift_words(pixels) for pixels in offsets)]],
        column_breaks=frozenset({1}),
        crop=False,  # where the character stands in the frame is what is shown
    )
    return draw_sheet(sheet, path_stem)


def _poses(animations: Sequence[Animation]) -> int:
    """How many poses every animation has; raises DataError unless it is the same number."""
    counts = {len(animation.poses) for animation in animations} | {len(a.outputs) for a in animations}
    if len(counts) != 1:
        raise DataError(f"animations with {sorted(counts)} poses and outputs; each needs as many as the others")
    return counts.pop()
