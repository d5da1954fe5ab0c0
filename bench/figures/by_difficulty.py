"""Scores by easy, medium and hard, and what is easy and hard: the pairs at either end of every measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import DataError
from bench.figures.sheet import U8, Sheet, Span, draw_sheet
from bench.figures.style import WIDTH, look, new_figure, save, styled
from bench.metrics.bootstrap import Interval
from bench.records import Record

LABELS = {"ssim_foreground": "fg-SSIM ↑", "l1_foreground": "fg-L1 ↓", "lpips": "LPIPS ↓"}
FLOOR, FLOOR_LINES = "0.45", (":", "--", "-.")
ABREAST = 0.6  # how far the methods of one level stand apart, of the way to the next


@dataclass(frozen=True)
class Example:
    """A pair and what a measure says of it."""

    source: U8
    target: U8
    value: str


@dataclass(frozen=True)
class Leveled:
    """A row of the figure: its record, for its look and title, and its scores by (tag, metric), a level each.

    None where a level has no image.
    """

    record: Record
    scores: Mapping[tuple[str, str], Sequence[Interval | None]]


@styled
def scores_by_difficulty(
    rows: Sequence[Leveled], tags: Mapping[str, str], levels: Sequence[str], path_stem: Path
) -> list[Path]:
    """A column of panels a tag (`tags`: key -> title), a row of them a metric; bars are 95 % intervals.

    Floors are grey lines without marks. Raises DataError for no rows or no tags.
    """
    metrics = [m for m in LABELS if rows and all((tag, m) in row.scores for row in rows for tag in tags)]
    if not metrics or not tags:
        raise DataError("scores by difficulty need a row with scores of single images and a measure that varies")
    figure = new_figure(WIDTH, 1.0 + 1.6 * len(metrics))
    panels = figure.subplots(len(metrics), len(tags), sharex=True, sharey="row", squeeze=False)
    for metric, line in zip(metrics, panels, strict=True):
        for (tag, title), axes in zip(tags.items(), line, strict=True):
            for row, (hue, marker, style, aside) in zip(rows, _looks(rows), strict=True):
                found = [(i, span) for i, span in enumerate(row.scores[tag, metric]) if span is not None]
                axes.errorbar(
                    [i + aside for i, _ in found], [span.mean for _, span in found],
                    yerr=np.array([_bar(span) for _, span in found]).reshape(-1, 2).T, color=hue, marker=marker,
                    markersize=3.5, linewidth=0.9, linestyle=style, elinewidth=0.6 if marker else 0,
                    label=row.record.title,
                )  # fmt: skip
            axes.set_xticks(range(len(levels)), levels)
            axes.set_xlim(-0.5, len(levels) - 0.5)
            if metric == metrics[0]:
                axes.set_title(title)
        line[0].set_ylabel(LABELS[metric])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return save(figure, path_stem)


def _looks(rows: Sequence[Leveled]) -> list[tuple[str, str, str, float]]:
    """Colour, marker, line and place beside the level of each row: methods side by side, so that bars stay apart."""
    methods = [i for i, row in enumerate(rows) if row.record.kind != "floor"]
    floors = [i for i in range(len(rows)) if i not in methods]
    found = []
    for index, row in enumerate(rows):
        if index in floors:
            found.append((FLOOR, "", FLOOR_LINES[floors.index(index) % len(FLOOR_LINES)], 0.0))
        else:
            found.append((*look(row.record), "-", ABREAST * ((methods.index(index) + 0.5) / len(methods) - 0.5)))
    return found


def _bar(span: Interval) -> tuple[float, float]:
    """How far a bar goes below and above; a percentile interval need not hold the mean, one character has none."""
    if span.characters < 2:
        return 0.0, 0.0
    return max(span.mean - span.low, 0.0), max(span.high - span.mean, 0.0)


def difficulty_examples(tags: Mapping[str, tuple[Sequence[Example], Sequence[Example]]], path_stem: Path) -> list[Path]:
    """A row a tag (title -> easiest, hardest pairs): each pair its source and its target, the value below.

    All tags have equally many of both. Raises DataError for no pairs.
    """
    counts = {len(part) for pairs in tags.values() for part in pairs}
    if len(counts) != 1 or counts == {0}:
        raise DataError("examples need equally many easy and hard pairs, and at least one, of every measure")
    count = counts.pop()
    rows = [[image for one in (*easy, *hard) for image in (one.source, one.target)] for easy, hard in tags.values()]
    captions = [[text for one in (*easy, *hard) for text in ("", one.value)] for easy, hard in tags.values()]
    sheet = Sheet(
        rows,
        heads=["Source", "Target"] * (2 * count),
        groups=[Span("Easiest", 0, 2 * count - 1), Span("Hardest", 2 * count, 4 * count - 1)],
        sides=[Span(title, row, row) for row, title in enumerate(tags)],
        captions=captions,
        column_breaks=frozenset(range(2, 4 * count, 2)),
    )
    return draw_sheet(sheet, path_stem)
