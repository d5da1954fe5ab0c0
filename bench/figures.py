"""Comparison grids and curves, as PNG and PDF. The same input gives the same bytes: no dates, no global state."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.files import write_bytes
from bench.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
GRID_CELL = 160  # pixels; a smaller image is enlarged by the least whole factor that reaches it
GRID_GAP = 6  # pixels between cells and around the grid
GRID_FONT = 9  # points
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
"""Okabe & Ito (2008), which stay apart for colour-blind eyes; yellow is darkened, it vanishes on white."""
MARKERS = "osD^vPX*"


@dataclass(frozen=True)
class GridRow:
    """One row of a comparison grid: uint8 images [H, W, 3] of one size, outputs by column title in order."""

    source: NDArray[np.uint8]
    target_pose: NDArray[np.uint8]
    outputs: Mapping[str, NDArray[np.uint8]]
    truth: NDArray[np.uint8]


def comparison_grid(rows: Sequence[GridRow], path_stem: Path) -> list[Path]:
    """The paper's Fig. 6: source, target pose, every method, ground truth; a row a character.

    Writes `path_stem`.png and .pdf and returns their paths. Every image keeps its pixels: a small one is enlarged
    by a whole factor, nearest neighbour. Raises DataError for no rows or rows that do not fit together.
    """
    from matplotlib.figure import Figure

    titles, size = _grid_columns(rows), rows[0].source.shape[0]
    scale = grid_scale(size)
    cell, step = size * scale, size * scale + GRID_GAP
    width_in_characters = max(6, int(cell / DPI * 72 / (GRID_FONT * 0.56)))
    heads = [textwrap.fill(title, width_in_characters) for title in titles]
    line = round(GRID_FONT * 1.3 * DPI / 72)
    head = GRID_GAP + line * max(text.count("\n") + 1 for text in heads)
    width, height = GRID_GAP + step * len(titles), head + GRID_GAP + step * len(rows)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    for column, text in enumerate(heads):
        x = GRID_GAP + step * column + cell / 2
        figure.text(x / width, 1 - head / height, text, ha="center", va="bottom", fontsize=GRID_FONT, linespacing=1.1)
    for number, row in enumerate(rows):
        images = [row.source, row.target_pose, *row.outputs.values(), row.truth]
        top = head + GRID_GAP + step * number
        for column, image in enumerate(images):
            left = GRID_GAP + step * column
            axes = figure.add_axes(
                (left / width, 1 - (top + cell) / height, cell / width, cell / height), frameon=False
            )
            axes.set_axis_off()
            enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
            axes.imshow(enlarged, interpolation="none", aspect="auto")
    return _save(figure, path_stem)


def grid_scale(size: int) -> int:
    """By what whole factor a grid enlarges images of `size` pixels."""
    return max(1, -(-GRID_CELL // size))


def _grid_columns(rows: Sequence[GridRow]) -> list[str]:
    if not rows:
        raise DataError("a comparison grid needs at least one row")
    first = rows[0]
    titles, shape = list(first.outputs), first.source.shape
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3:
        raise DataError(f"a comparison grid shows square RGB images, not {list(shape)}")
    for number, row in enumerate(rows):
        if list(row.outputs) != titles:
            raise DataError(f"row {number} of the grid has {list(row.outputs)}, the first has {titles}")
        images = {"source": row.source, "target pose": row.target_pose, **row.outputs, "truth": row.truth}
        for name, image in images.items():
            if image.shape != shape or image.dtype != np.uint8:
                raise DataError(
                    f"row {number} of the grid: '{name}' is {image.dtype} {list(image.shape)}, not uint8 {list(shape)}"
                )
    return ["Source", "Target pose", *titles, "Ground truth"]


def training_curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], path_stem: Path) -> list[Path]:
    """Every loss of every method against seconds in training steps, a panel a method.

    `logs` has the entries of `log.json` by title: phase, step, seconds (running on over the phases) and losses.
    A dotted line is where a phase ends. Losses of different methods are weighted differently and cannot be
    compared by height. Raises DataError if there is nothing to draw.
    """
    drawn = {title: log for title, log in logs.items() if log}
    if not drawn:
        raise DataError("no training log to draw")
    columns = min(3, len(drawn))
    lines = -(-len(drawn) // columns)
    figure = _figure(4.2 * columns, 3.2 * lines)
    names = list(dict.fromkeys(name for log in drawn.values() for entry in log for name in _losses(entry)))
    for number, (title, log) in enumerate(drawn.items()):
        axes = figure.add_subplot(lines, columns, number + 1)
        values: list[float] = []
        for index, name in enumerate(names):
            points = [(entry["seconds"], entry[name]) for entry in log if name in entry]
            if any(value for _, value in points):  # a term that is switched off is logged as zeros
                style = "-" if index < len(COLOURS) else "--"
                axes.plot(*zip(*points, strict=True), style, color=_colour(index), label=name, linewidth=1.4)
                values += [value for _, value in points]
        for before, after in pairwise(log):
            if before["phase"] != after["phase"]:
                axes.axvline(before["seconds"], color="0.4", linestyle=":", linewidth=1)
        if min(values, default=0) > 0:
            axes.set_yscale("log")
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("seconds in training steps")
        axes.set_ylabel("loss")
        _plain(axes)
    # a loss has one colour in every panel, so one legend serves them all
    handles = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    shown = [name for name in names if name in handles]
    figure.legend(
        [handles[name] for name in shown], shown, loc="outside lower center", ncols=2 + 3 * columns, fontsize=8,
        frameon=False,
    )  # fmt: skip
    return _save(figure, path_stem)


def _losses(entry: Mapping[str, Any]) -> list[str]:
    return [name for name in entry if name not in ("phase", "step", "seconds")]


def tuning_curve(record: Record, path_stem: Path) -> list[Path]:
    """Foreground L1 and SSIM on validation characters against fine-tuning passes, a line a learning rate.

    The ring marks the schedule that was chosen. Raises DataError for a record without such a curve.
    """
    schedule = record.finetune
    if not schedule or not schedule.get("curve"):
        raise DataError(f"'{record.title}' has no fine-tuning curve: its schedule was not tuned")
    curve = schedule["curve"]
    rates = sorted({point["lr"] for point in curve})
    figure = _figure(9.0, 3.6)
    for number, (metric, label) in enumerate(
        (("l1_foreground", "foreground L1 (lower is better)"), ("ssim_foreground", "foreground SSIM"))
    ):
        axes = figure.add_subplot(1, 2, number + 1)
        for index, rate in enumerate(rates):
            points = sorted((point["passes"], point[metric]) for point in curve if point["lr"] == rate)
            axes.plot(
                *zip(*points, strict=True),
                marker=MARKERS[index % len(MARKERS)],
                color=_colour(index),
                label=f"lr {rate:g}",
            )
        for point in curve:
            if (point["lr"], point["passes"]) == (schedule["lr"], schedule["passes"]):
                axes.plot(
                    point["passes"], point[metric], "o", markersize=14, markerfacecolor="none",
                    markeredgecolor="black", markeredgewidth=1.5, label="chosen",
                )  # fmt: skip
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)  # from no pass at all to many
        ticks = sorted({point["passes"] for point in curve})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("passes over the support set")
        axes.set_ylabel(label)
        _plain(axes)
        if number == 0:
            axes.legend(fontsize=8, frameon=False)
    figure.suptitle(f"Fine-tuning of {record.title}, chosen on {schedule.get('chosen_on', 'validation')}", fontsize=11)
    return _save(figure, path_stem)


def _figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches; axes are kept from running into each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def _save(figure: Figure, path_stem: Path) -> list[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    paths = []
    # matplotlib stamps the time into a PDF and its own version into both
    for suffix, canvas, metadata in (
        (".png", FigureCanvasAgg, {"Software": None}),
        (".pdf", FigureCanvasPdf, {"CreationDate": None, "Producer": None, "Creator": None}),
    ):
        content = io.BytesIO()
        canvas(figure).print_figure(content, format=suffix[1:], dpi=DPI, metadata=metadata)
        paths.append(path_stem.parent / (path_stem.name + suffix))
        write_bytes(paths[-1], content.getvalue())
    return paths
