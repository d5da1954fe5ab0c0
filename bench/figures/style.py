"""One look for all figures: sizes at paper width, a palette for every eye, files that are the same each time."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from bench.files import write_bytes
from bench.records import Record

P = ParamSpec("P")
R = TypeVar("R")

WIDTH = 7.0  # inches: the text width of a two-column page; all fonts are what they measure at that width
DPI = 200
FONT, SMALL = 8.0, 7.0  # points

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, OCHRE = "#E69F00", "#56B4E9", "#000000", "#8C6D1F"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, OCHRE)
"""Okabe & Ito (2008), which stay apart for colour-blind eyes; yellow is darkened, it vanishes on white."""
MARKERS = "osD^vPX*"

METHOD_LOOKS = {
    "ours": (VERMILION, "o"),
    "patn": (BLUE, "s"),
    "pg2": (GREEN, "D"),
    "pix2pix": (PURPLE, "^"),
    "xinggan": (SKY, "v"),
    "dptn": (OCHRE, "P"),
}
"""Colour and marker of a method, the same in every figure."""
VARIANT_LOOKS = {"msl": (BLACK, "*"), "wo-ml": (ORANGE, "X"), "wo-frm": (OCHRE, "h"), "k2": (PURPLE, "p")}
"""Variants of Ours, which stand beside it in a figure."""

RC = {
    "font.size": FONT,
    "axes.titlesize": FONT,
    "axes.labelsize": FONT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,  # TrueType: text that can be searched, and that publishers accept
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in this look, whatever the machine's own matplotlib settings are, and leave those as they were."""

    @functools.wraps(draw)
    def call(*arguments: P.args, **options: P.kwargs) -> R:
        with matplotlib.style.context(["default", RC]):
            return draw(*arguments, **options)

    return call


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches; axes are kept from running into each other."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def look(record: Record) -> tuple[str, str]:
    """Colour and marker of a record's row."""
    method, variant = record.cell["method"], record.cell["variant"]
    return VARIANT_LOOKS.get(variant) or METHOD_LOOKS.get(method) or (BLACK, "d")


def integer_ticks(axes: Axes, values: list[int]) -> None:
    """Label the x axis at these values and nowhere else."""
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()


def save(figure: Figure, path_stem: Path, dpi: float = DPI) -> list[Path]:
    """Write `path_stem`.png and .pdf, each whole or not at all, and return their paths.

    The same figure gives the same bytes: no dates, no program versions.
    """
    paths = []
    # matplotlib stamps the time into a PDF and its own version into both
    for suffix, canvas, metadata in (
        (".png", FigureCanvasAgg, {"Software": None}),
        (".pdf", FigureCanvasPdf, {"CreationDate": None, "Producer": None, "Creator": None}),
    ):
        content = io.BytesIO()
        canvas(figure).print_figure(content, format=suffix[1:], dpi=dpi, metadata=metadata)
        paths.append(path_stem.parent / (path_stem.name + suffix))
        write_bytes(paths[-1], content.getvalue())
    return paths
