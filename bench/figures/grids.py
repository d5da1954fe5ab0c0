"""Grids that set methods, shots or ablations side by side (Figs. 6 to 9): a row a character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.figures.sheet import U8, Sheet, Span, draw_sheet


@dataclass(frozen=True)
class GridRow:
    """One row of a grid: uint8 images [H, W, 3] of one size, outputs by column title in order."""

    source: U8
    target_pose: U8
    outputs: Mapping[str, U8]
    truth: U8 | None  # None where nobody knows it: people that a user brought


@dataclass(frozen=True)
class ShotsRow:
    """One row of the grid of shots: what was drawn by number of shots, 0 being the unadapted model."""

    source: U8
    target_pose: U8
    plain: Mapping[int, U8]  # trained without the multi-step loss
    msl: Mapping[int, U8]  # trained with it
    truth: U8


def comparison_grid(rows: Sequence[GridRow], path_stem: Path) -> list[Path]:
    """Source, target pose, every output, ground truth (Figs. 6, 7, 9).

    Writes `path_stem`.png and .pdf and returns their paths. Raises DataError for no rows or rows that do not fit
    together.
    """
    if not rows:
        raise DataError("a comparison grid needs at least one row")
    titles = list(rows[0].outputs)
    known = [row.truth is not None for row in rows]
    for number, row in enumerate(rows):
        if list(row.outputs) != titles:
            raise DataError(f"row {number} of the grid has {list(row.outputs)}, the first has {titles}")
        if known[number] != known[0]:
            raise DataError(f"row {number} of the grid differs from the first in having a ground truth")
    truth_head = ["Ground truth"] if known[0] else []
    heads = ["Source", "Target pose", *titles, *truth_head]
    breaks = {2, 2 + len(titles)} if known[0] else {2}
    images = [[row.source, row.target_pose, *row.outputs.values(), row.truth][: len(heads)] for row in rows]
    return draw_sheet(Sheet(images, heads, column_breaks=frozenset(breaks)), path_stem)


def shots_grid(rows: Sequence[ShotsRow], path_stem: Path) -> list[Path]:
    """Outputs by number of shots, without and with the multi-step loss (Fig. 8 and what it leaves out).

    Raises DataError for no rows, or rows with different shots.
    """
    if not rows:
        raise DataError("a grid of shots needs at least one row")
    plain, msl = list(rows[0].plain), list(rows[0].msl)
    for number, row in enumerate(rows):
        if list(row.plain) != plain or list(row.msl) != msl:
            raise DataError(f"row {number} of the grid has other shots than the first")
    heads = ["Source", "Target pose", *(f"{shots}-shot" for shots in (*plain, *msl)), "Ground truth"]
    heads = ["not adapted" if head == "0-shot" else head for head in heads]
    first_msl, end = 2 + len(plain), 2 + len(plain) + len(msl)
    groups = [
        Span(title, first, last)
        for title, first, last in (
            ("Without multi-step loss", 2, first_msl - 1),
            ("With multi-step loss", first_msl, end - 1),
        )
        if first <= last
    ]
    images = [[row.source, row.target_pose, *row.plain.values(), *row.msl.values(), row.truth] for row in rows]
    return draw_sheet(Sheet(images, heads, groups, column_breaks=frozenset({2, first_msl, end})), path_stem)
