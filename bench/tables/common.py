"""What the tables of scores share: rows from records, several seeds pooled, ties, footnotes, captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.metrics.bootstrap import Interval, interval, paired_difference
from bench.paper_numbers import Published, published
from bench.records import INTERVALS, Record

TRUTH_COLUMNS = ("fid", "kid")
TRUTH_NOTE = (
    "Real images of one clip against those of the other; image by image they would be scored against themselves"
)

Tie = Callable[[Record, Record, str], bool]
"""(best record, other record, metric) -> whether the other one cannot be told from the best."""


@dataclass(frozen=True)
class Metric:
    """A scored column."""

    key: str
    title: str
    digits: int
    higher_is_better: bool = False
    scale: float = 1.0


METRICS = (
    Metric("fid", "FID↓", 2),
    Metric("kid", "KID↓ ×10³", 2, scale=1000),
    Metric("ssim", "SSIM↑", 3, higher_is_better=True),
    Metric("ssim_foreground", "fg-SSIM↑", 3, higher_is_better=True),
    Metric("l1_foreground", "fg-L1↓", 3),
    Metric("l1_background", "bg-L1↓", 4),
)


class Footnotes:
    """Numbers footnotes in the order of first use; the same text gets the same number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, *notes: str) -> tuple[int, ...]:
        found = []
        for note in notes:
            text = note[:1].upper() + note[1:].rstrip(".")
            if text not in self.texts:
                self.texts.append(text)
            found.append(self.texts.index(text))
        return tuple(sorted(set(found)))


@dataclass(frozen=True)
class Line:
    """A row to print: its record, or the title of the row that has none."""

    title: str
    record: Record | None
    paper: Published | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, record: Record, paper: Published | None = None) -> Line:
        found = paper or paper_row(record)
        return cls(record.title, record, found, notes_of(record) + (found.notes if found else ()))

    @classmethod
    def missing(cls, title: str, reason: str, paper: Published | None = None) -> Line:
        return cls(title, None, paper, (f"No record: {reason}", *(paper.notes if paper else ())))


@dataclass(frozen=True)
class Section:
    """Rows under one heading."""

    name: str
    heading: str
    lines: Sequence[Line]


def seeds_of(record: Record) -> tuple[int, ...]:
    """The training seeds behind a record, one unless it was pooled."""
    return tuple(record.extra.get("seeds", (record.cell["seed"],)))


def pool(records: Sequence[Record]) -> list[Record]:
    """One record a row: those of one row that differ in seed alone become their mean, in the order of the first.

    Scores per character are averaged over seeds and the interval drawn from the averages, so ± stays the noise of
    the test set; the standard deviation over seeds stands apart, in `extra["spread"]`. Raises DataError for two
    records of one row and seed.
    """
    rows: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        cell = record.cell
        name = tuple(cell.get(part) for part in ("method", "variant", "shots", "adaptation", "protocol"))
        # equal samples, equal seconds, …: cells that differ in budget are told apart by their titles
        rows.setdefault((*name, record.title), []).append(record)
    return [_pooled(group) for group in rows.values()]


def _pooled(group: Sequence[Record]) -> Record:
    seeds = [int(record.cell["seed"]) for record in group]
    if len(set(seeds)) < len(seeds):
        twice = sorted(record.key for record in group)
        raise DataError(f"two records of the row '{group[0].title}' and one seed, {' and '.join(twice)}: give one")
    if len(group) == 1:
        return group[0]
    group = sorted(group, key=lambda record: int(record.cell["seed"]))
    characters = sorted(group[0].per_character)
    if any(sorted(record.per_character) != characters for record in group):
        raise DataError(f"the seeds of '{group[0].title}' were scored on different characters; run them again")
    scores = {
        name: {m: float(np.mean([r.per_character[name][m] for r in group])) for m in INTERVALS} for name in characters
    }
    metrics: dict[str, dict[str, float | None]] = {}
    for metric in METRICS:
        mean = float(np.mean([record.centre(metric.key) for record in group]))
        if metric.key in INTERVALS:
            span = interval(np.array([scores[name][metric.key] for name in characters]), characters)
            # characters may have unequal numbers of images: the width comes from the bootstrap, the centre does not
            bounded = bool(np.isfinite(span.low))
            low, high = (mean + span.low - span.mean, mean + span.high - span.mean) if bounded else (None, None)
            metrics[metric.key] = {"mean": mean, "low": low, "high": high}
        else:
            errors = [record.metrics[metric.key].get("error") for record in group]
            known = [error for error in errors if error is not None]
            metrics[metric.key] = {"value": mean}
            if known:
                metrics[metric.key]["error"] = float(np.mean(known))
    spread = {m.key: float(np.std([record.centre(m.key) for record in group], ddof=1)) for m in METRICS}
    seconds = {name: float(np.mean([r.seconds.get(name, 0.0) for r in group])) for name in group[0].seconds}
    return replace(
        group[0],
        metrics=metrics,
        per_character=scores,
        seconds=seconds,
        notes=tuple(dict.fromkeys(note for record in group for note in record.notes)),
        extra={**group[0].extra, "seeds": sorted(seeds), "spread": spread},
    )


def difference(first: Record, second: Record, metric: str) -> Interval:
    """`first - second` of a metric with an interval, paired over the test characters."""
    characters = sorted(first.per_character)
    if characters != sorted(second.per_character):
        raise DataError(f"'{first.title}' and '{second.title}' were scored on different characters")
    one, two = (np.array([r.per_character[name][metric] for name in characters]) for r in (first, second))
    return paired_difference(one, two, characters)


def paired_tie(best: Record, other: Record, metric: str) -> bool:
    """Whether 95 % of the paired bootstrap over characters leaves the sign of the difference open.

    For KID, whether the difference is within 1.96 standard errors of both; they share the reference images, so
    this calls a tie too often rather than too seldom. FID has no error, so only equal values tie.
    """
    if metric not in INTERVALS:
        mine, theirs = best.half_width(metric), other.half_width(metric)
        apart = abs(best.centre(metric) - other.centre(metric))
        return apart <= (0.0 if mine is None or theirs is None else float(np.hypot(mine, theirs)))
    found = difference(best, other, metric)
    return found.mean == 0 if found.characters < 2 else not found.excludes_zero


def paper_row(record: Record) -> Published | None:
    """The paper's row for a record, if it has one."""
    cell = record.cell
    return published(cell["method"], cell["variant"], cell["shots"], cell["adaptation"])


def notes_of(record: Record) -> tuple[str, ...]:
    """Its own notes, how it was fine-tuned, and what its minutes hold."""
    notes = [*record.notes, *([TRUTH_NOTE] if record.cell["method"] == "truth" else [])]
    schedule = record.finetune
    if schedule:
        chosen = f", chosen on {schedule['chosen_on']}" if schedule.get("chosen_on") else ""
        passes = "pass" if schedule["passes"] == 1 else "passes"
        notes.append(
            f"Fine-tuned on the support set: learning rate {schedule['lr']:g}, {schedule['passes']} {passes}{chosen}"
        )
    if record.seconds["warm_start"]:
        notes.append(
            f"Its minutes include {record.seconds['warm_start'] / 60:.1f} of a warm start, "
            "trained once for all rows that start from it"
        )
    return tuple(notes)
