"""One row against another: differences with intervals, ties, and what they let one say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.metrics.bootstrap import Interval, paired_difference
from bench.records import INTERVALS, Record
from bench.render_table import Value
from bench.tables.metrics import BY_KEY, Metric, scored
from bench.tables.rows import Pooled, RowName

YES, NO, OPEN = "yes", "no", "not distinguishable"

Tie = Callable[[Record, Record, str], bool]
"""(best record, other record, metric) -> whether the other one cannot be told from the best."""


def difference(first: Record, second: Record, metric: str) -> Interval:
    """`first - second` of a metric of INTERVALS, paired over the test characters; all of them count alike."""
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


@dataclass(frozen=True)
class Gain:
    """By how much one row is better than another, with its 95 % interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None
    by_seed: tuple[float, ...] = ()  # of the seeds both rows have

    @property
    def verdict(self) -> str:
        """What it lets one say of the claim that it is positive.

        The interval knows nothing of the noise of training, so seeds that point in different directions leave it open.
        """
        if self.low is None or self.high is None or self.low <= 0 <= self.high or self.seeds_disagree:
            return OPEN
        return YES if self.low > 0 else NO

    @property
    def seeds_disagree(self) -> bool:
        """Whether the seeds, each alone, point in different directions."""
        return len({gain > 0 for gain in self.by_seed}) > 1

    def value(self, scale: float = 1.0) -> Value:
        """As a table prints it: the interval, and in brackets the spread of the seeds."""
        spread = float(np.std(self.by_seed, ddof=1)) * scale if len(self.by_seed) > 1 else None
        bounds = None if self.low is None or self.high is None else (scale * self.low, scale * self.high)
        return Value(scale * self.mean, spread=spread, bounds=bounds)


def gain_of(better: Pooled, worse: Pooled, metric: str) -> Gain:
    """How far the difference of a metric speaks for `better`; positive where it does.

    The interval is a paired bootstrap over characters; for KID, 1.96 standard errors of both, as if they were
    independent; FID has none. It holds the noise of the test set, not that of training. Rows of unequal seeds are
    compared on those they share; rows that share none, as they are.
    """
    sign, common = BY_KEY[metric].sign, sorted(set(better.seeds) & set(worse.seeds))
    mine, theirs = (
        {seed: member.centre(metric) for seed, member in zip(row.seeds, row.members, strict=True)}
        for row in (better, worse)
    )
    by_seed = tuple(sign * (mine[seed] - theirs[seed]) for seed in common)
    one, two = (row.record for row in shared(better, worse))
    if metric in INTERVALS:
        found = difference(one, two, metric) if sign > 0 else difference(two, one, metric)
        if found.characters < 2:
            return Gain(found.mean, by_seed=by_seed)
        return Gain(found.mean, found.low, found.high, by_seed)
    mean = sign * (one.centre(metric) - two.centre(metric))
    first, second = one.half_width(metric), two.half_width(metric)
    if first is None or second is None:
        return Gain(mean, by_seed=by_seed)
    half = float(np.hypot(first, second))
    return Gain(mean, mean - half, mean + half, by_seed)


def shared(one: Pooled, other: Pooled) -> tuple[Pooled, Pooled]:
    """Both rows of the seeds they share; as they are where they share none.

    Seeds that only one row has would pass for a difference between the rows.
    """
    common = set(one.seeds) & set(other.seeds)
    return one.of_seeds(common), other.of_seeds(common)


def lead(one: Pooled, other: Pooled, metric: str) -> float:
    """By how much `one` is better than `other` as a number, on the seeds they share; negative where it is worse."""
    common = set(one.seeds) & set(other.seeds)

    def centre(row: Pooled) -> float:
        kept = [m for m, seed in zip(row.members, row.seeds, strict=True) if seed in common]
        return float(np.mean([member.centre(metric) for member in kept or row.members]))

    return BY_KEY[metric].sign * (centre(one) - centre(other))


@dataclass(frozen=True)
class Ranking:
    """Which rows are best of a column or tied with it, and how far each is from the best.

    Two rows are compared on the seeds they share.
    """

    rows: Sequence[Pooled]
    tie: Tie = field(default=paired_tie)

    @cached_property
    def metrics(self) -> list[Metric]:
        return scored(row.record for row in self.rows)

    def best(self, metric: str) -> Pooled:
        """The row that the fewest others beat (none, where all have the same seeds), then that of the best mean."""
        sign = BY_KEY[metric].sign

        def place(row: Pooled) -> tuple[int, float]:
            return sum(lead(other, row, metric) > 0 for other in self.rows), -sign * row.record.centre(metric)

        return min(self.rows, key=place)

    @cached_property
    def bold(self) -> frozenset[tuple[RowName, str]]:
        """(row, metric). A row alone has won nothing."""
        found = set()
        for metric in self.metrics if len(self.rows) > 1 else ():
            best = self.best(metric.key)
            found |= {(row.name, metric.key) for row in self.rows if self._level(best, row, metric.key)}
        return frozenset(found)

    def _level(self, best: Pooled, row: Pooled, metric: str) -> bool:
        """Whether a row is the best, ahead of it on the seeds both have, or tied with it there."""
        if row is best or lead(row, best, metric) > 0:
            return True
        one, two = shared(best, row)
        return self.tie(one.record, two.record, metric)

    def to_best(self, row: Pooled) -> dict[str, dict[str, Any]]:
        """For each metric with an interval: which row is best, and `best - row` with its bounds."""
        found: dict[str, dict[str, Any]] = {}
        for metric in (m.key for m in self.metrics if m.key in INTERVALS):
            best = self.best(metric)
            if row is best:
                continue
            one, two = shared(best, row)
            span = difference(one.record, two.record, metric)
            bounded = span.characters > 1
            found[metric] = {
                "best": best.title,
                "mean": span.mean,
                "low": span.low if bounded else None,
                "high": span.high if bounded else None,
            }
        return found
