"""Scores as pictures: against the number of shots, against cost, and character by character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bench.errors import DataError
from bench.figures.style import SMALL, WIDTH, look, new_figure, save, styled
from bench.records import Record, refuse_mixed

LABELS = {
    "l1_foreground": "fg-L1 ↓",
    "ssim_foreground": "fg-SSIM ↑",
    "ssim": "SSIM ↑",
    "fid": "FID ↓",
    "kid": "KID × 10³ ↓",
}
SCALES = {"kid": 1000.0}
FLOOR_LINES = {"copy-source": "copy of the source", "nearest-pose": "nearest training pose"}


def shots_of(record: Record) -> int:
    """Shots the model was adapted with; 0 for one that was not adapted."""
    return int(record.cell["shots"]) if record.finetune else 0


@styled
def scores_by_shots(lines: Mapping[str, Sequence[Record]], path_stem: Path) -> list[Path]:
    """Four scores against the number of shots, with 95 % intervals; `lines` has the records of each line by title.

    Several seeds are averaged, and drawn as small points beside the mean; the interval is over test characters
    (KID: over subsets), FID has none. Raises DataError for records that cannot stand side by side or have a single
    number of shots.
    """
    records = [record for line in lines.values() for record in line]
    counts = sorted({shots_of(record) for record in records})
    if len(counts) < 2:
        raise DataError("scores against shots need at least two numbers of shots; run `bench table2`")
    refuse_mixed(records)
    by_line = {title: {n: [r for r in line if shots_of(r) == n] for n in counts} for title, line in lines.items()}
    figure = new_figure(WIDTH, 4.4)
    for axes, metric in zip(
        figure.subplots(2, 2).flat, ("l1_foreground", "ssim_foreground", "kid", "fid"), strict=True
    ):
        for number, (title, line) in enumerate(by_line.items()):
            hue, marker = look(lines[title][0])
            # side by side, so that the intervals of two lines can be told apart
            aside = 0.07 * (number - (len(by_line) - 1) / 2)
            xs = [counts.index(shots) + aside for shots in counts if line[shots]]
            rows = [line[shots] for shots in counts if line[shots]]
            centre = [_mean([record.centre(metric) for record in row], metric) for row in rows]
            halves = [[record.half_width(metric) for record in row] for row in rows]
            error = [_mean([half or 0.0 for half in row], metric) for row in halves]
            axes.errorbar(
                xs, centre, yerr=error if any(error) else None, color=hue, marker=marker, capsize=2.5,
                elinewidth=0.9, label=title,
            )  # fmt: skip
            for x, row in zip(xs, rows, strict=True):
                if len(row) > 1:
                    values = [_mean([record.centre(metric)], metric) for record in row]
                    axes.plot([x] * len(row), values, ".", color=hue, markersize=3, alpha=0.6)
        axes.set_xticks(range(len(counts)), ["not adapted" if not n else f"{n}-shot" for n in counts])
        axes.set_xlim(-0.4, len(counts) - 0.6)
        axes.set_ylabel(_label(metric, records[0]))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return save(figure, path_stem)


@styled
def quality_by_cost(records: Sequence[Record], path_stem: Path) -> list[Path]:
    """fg-L1 and fg-SSIM against minutes of training, a point a row; floors, which train nothing, are lines.

    Minutes are those spent in training steps, of the warm start too. Raises DataError for records that cannot
    stand side by side or no trained row.
    """
    trained = [record for record in records if record.kind == "method"]
    if not trained:
        raise DataError("quality against cost needs a trained row; run `bench table1`")
    refuse_mixed(records)
    machines = {_machine(record) for record in trained}
    where = machines.pop() if len(machines) == 1 else "on different machines"
    figure = new_figure(WIDTH, 2.9)
    for axes, metric in zip(figure.subplots(1, 2), ("l1_foreground", "ssim_foreground"), strict=True):
        for record in trained:
            hue, marker = look(record)
            axes.errorbar(
                _minutes(record), record.centre(metric), yerr=record.half_width(metric), color=hue, marker=marker,
                markersize=6, capsize=2.5, elinewidth=0.9, linestyle="none", label=record.title,
            )  # fmt: skip
        axes.set_xscale("log")
        minutes = [_minutes(record) for record in trained]
        low, high = min(minutes) / 1.5, max(minutes) * 1.5
        axes.set_xlim(low, high)
        _log_ticks(axes, low, high)
        floors = [record for record in records if record.cell["method"] in FLOOR_LINES]
        for number, record in enumerate(sorted(floors, key=lambda floor: floor.centre(metric))):
            level = record.centre(metric)
            axes.axhline(level, color="0.45", linestyle="--", linewidth=0.9)
            # the lower line is named below it, so that the names of two that are close stay apart
            axes.annotate(
                FLOOR_LINES[record.cell["method"]], (high, level), (-2, 3 if number else -3),
                textcoords="offset points", ha="right", va="bottom" if number else "top", fontsize=SMALL,
                color="0.35",
            )  # fmt: skip
        axes.margins(y=0.14)
        axes.set_xlabel(f"training minutes ({where})")
        axes.set_ylabel(_label(metric, records[0]))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return save(figure, path_stem)


@styled
def scores_by_character(records: Sequence[Record], path_stem: Path) -> list[Path]:
    """fg-SSIM and fg-L1 of every test character, hardest first, a mark a method; all are of the same images.

    The legend counts on how many characters each row is best. Raises DataError for records that cannot stand side
    by side or have other characters.
    """
    rows = [record for record in records if record.kind == "method"]
    if not rows:
        raise DataError("scores by character need a trained row; run `bench table1`")
    refuse_mixed(rows)
    names = sorted(rows[0].per_character)
    for record in rows:
        if sorted(record.per_character) != names:
            raise DataError(f"'{record.title}' has other characters than '{rows[0].title}'")
    figure = new_figure(WIDTH, 4.6)
    panels = figure.subplots(2, 1, sharex=True)
    matrix = {metric: _by_character(rows, names, metric) for metric in ("ssim_foreground", "l1_foreground")}
    order = np.argsort(matrix["ssim_foreground"].mean(0), kind="stable")
    for axes, (metric, values) in zip(panels, matrix.items(), strict=True):
        sorted_values = values[:, order]
        x = np.arange(len(names))
        axes.vlines(x, sorted_values.min(0), sorted_values.max(0), color="0.8", linewidth=1)
        winners = values.argmax(0) if metric == "ssim_foreground" else values.argmin(0)
        for index, record in enumerate(rows):
            hue, marker = look(record)
            label = f"{record.title}: best on {int((winners == index).sum())}"
            axes.plot(x, sorted_values[index], marker, color=hue, linestyle="none", label=label)
        axes.set_ylabel(_label(metric, rows[0]))
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    shown = [names[i] for i in order] if len(names) <= 32 else []
    panels[1].set_xticks(range(len(shown)), shown, rotation=90)
    panels[1].set_xlabel("test characters, by mean fg-SSIM of all rows")
    return save(figure, path_stem)


def _by_character(rows: Sequence[Record], names: Sequence[str], metric: str) -> np.ndarray[Any, Any]:
    """Scores [rows, characters]."""
    return np.array([[record.per_character[name][metric] for name in names] for record in rows])


def _mean(values: Sequence[float], metric: str) -> float:
    return float(np.mean(values)) * SCALES.get(metric, 1.0)


def _label(metric: str, record: Record) -> str:
    if metric not in ("fid", "kid"):
        return LABELS[metric]
    return f"{LABELS[metric]}, {record.features['name']}, N={record.features['n']}"


def _minutes(record: Record) -> float:
    return float(record.seconds["train"] + record.seconds["warm_start"]) / 60


def _machine(record: Record) -> str:
    device = record.environment["device"]
    name = record.environment["processor"] if device == "cpu" else record.environment.get("gpu", device)
    return f"{name}, {record.environment['threads']} threads" if device == "cpu" else str(name)


def _log_ticks(axes: Axes, low: float, high: float) -> None:
    """1, 2, 5, 10, … within the limits, in plain numbers."""
    steps = [base * 10.0**power for power in range(-4, 7) for base in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
