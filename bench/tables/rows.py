"""Which row of a table a record is, and several seeds of a row as one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bench.cells import equal_samples
from bench.errors import DataError
from bench.metrics.bootstrap import interval
from bench.presets import preset
from bench.records import INTERVALS, Record, refuse_mixed
from bench.tables.metrics import scored

JOINT = "wo-ml"
"""The variant of Ours that is trained on pairs; the suite trains it at several budgets."""


@dataclass(frozen=True)
class RowName:
    """What tells rows apart, whatever their records are titled: `RowName("ours", "msl", 4)` is Ours (4-shot) (MSL).

    Fields left out mean what the suite does by default.
    """

    method: str
    variant: str = ""
    shots: int = 0  # 0: not adapted
    schedule: str = ""  # of fine-tuning; "": chosen on validation characters
    protocol: str = ""  # of the support set; "": shift
    budget: str = ""  # of joint training of Ours: equal "samples", "queries" or "seconds", or its "800 pairs"

    @classmethod
    def of(cls, record: Record) -> RowName:
        """The row of a record. Shots and protocol say nothing of a row that was not adapted."""
        cell = record.cell
        method, variant = str(cell["method"]), str(cell["variant"])
        budget = ""
        if variant == JOINT:
            # the number of pairs at equal seconds is measured, so it differs between seeds; the title does not
            labelled = re.search(r"\(equal (\w+)\)", record.title)
            budget = labelled[1] if labelled else _unlabelled(record)
        if not record.finetune:
            return cls(method, variant, budget=budget)
        schedule = "" if cell["adaptation"] in ("default", "tuned") else str(cell["adaptation"])
        protocol = "" if cell["protocol"] == "shift" else str(cell["protocol"])
        return cls(method, variant, int(cell["shots"]), schedule, protocol, budget)


@dataclass(frozen=True)
class Pooled:
    """A row: its records, one a seed, and one record of their means.

    Scores per character are averaged over seeds and the interval drawn from the averages, so it stays the noise of
    the test set; the standard deviation over seeds stands apart, in `spread`.
    """

    name: RowName
    record: Record
    members: tuple[Record, ...]  # by seed

    @property
    def title(self) -> str:
        return self.record.title

    @property
    def trained(self) -> bool:
        """Whether a method drew its images; floors have no seed and do not compete."""
        return self.record.kind == "method"

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(int(member.cell["seed"]) for member in self.members)

    def of_seeds(self, seeds: Collection[int]) -> Pooled:
        """The same row of these seeds alone; itself where that leaves nothing out, or nothing."""
        kept = [member for member, seed in zip(self.members, self.seeds, strict=True) if seed in seeds]
        return self if len(kept) in (0, len(self.members)) else _pooled(self.name, kept)

    @cached_property
    def spread(self) -> Mapping[str, float]:
        """Metric -> standard deviation over seeds; empty for one seed."""
        if len(self.members) == 1:
            return {}
        return {m.key: float(np.std([r.centre(m.key) for r in self.members], ddof=1)) for m in scored(self.members)}


def pool(records: Sequence[Record]) -> list[Pooled]:
    """The rows of `records`, seeds of a row together, in the order of the first of each.

    The same measurement twice counts once, the newest. Raises DataError for no records, for records that cannot stand
    side by side, for two different ones of one row and seed, and for seeds of a row that were trained or scored
    differently.
    """
    refuse_mixed(records)
    rows: dict[RowName, dict[int, Record]] = {}
    for record in records:
        name = RowName.of(record)
        seeds, seed = rows.setdefault(name, {}), int(record.cell["seed"])
        other = seeds.get(seed)
        if other is None or _one_measurement(name, record, other):
            seeds[seed] = record if other is None or record.created > other.created else other
        else:
            raise DataError(
                f"two records of the row '{record.title}' and seed {seed}, {other.key} ('{other.title}') and "
                f"{record.key}: give one"
            )
    return [_pooled(name, [seeds[seed] for seed in sorted(seeds)]) for name, seeds in rows.items()]


def by_name(rows: Sequence[Pooled]) -> dict[RowName, Pooled]:
    return {row.name: row for row in rows}


def _one_measurement(name: RowName, one: Record, other: Record) -> bool:
    """One cell under two titles, or an unadapted one that was asked for with two numbers of shots."""
    if not name.shots and one.cell["shots"] != other.cell["shots"]:
        return True
    return one.metrics == other.metrics and one.per_character == other.per_character


def _unlabelled(record: Record) -> str:
    """The budget of joint training by its pairs alone; claims are about the number of equal samples and no other."""
    pairs = record.budget["pairs"]
    return "samples" if pairs == equal_samples(preset(record.cell["preset"])) else f"{pairs} pairs"


def settings_of(record: Record) -> dict[str, Any]:
    """What the seeds of a row have in common."""
    build, budget = record.build, record.budget
    found = {"options": build["options"], "width": build["width"], "batch": build["batch"]}
    found["test characters"] = sorted(record.per_character)
    if RowName.of(record).budget != "seconds":
        found |= {name: budget[name] for name in ("pairs", "queries", "warm_start_pairs")}
    return found


def _pooled(name: RowName, members: Sequence[Record]) -> Pooled:
    first = members[0]
    if len(members) == 1:
        return Pooled(name, first, (first,))
    settings = [settings_of(record) for record in members]
    unequal = sorted(part for part, value in settings[0].items() if any(other[part] != value for other in settings))
    if unequal:
        raise DataError(f"the seeds of '{first.title}' differ in {', '.join(unequal)}; run them again with one setting")
    characters = sorted(first.per_character)
    measured = [metric.key for metric in scored(members)]
    scores = {
        character: {
            m: float(np.mean([r.per_character[character][m] for r in members])) for m in measured if m in INTERVALS
        }
        for character in characters
    }
    metrics = {metric: _mean_of(metric, members, scores) for metric in measured}
    seconds = {part: float(np.mean([r.seconds.get(part, 0.0) for r in members])) for part in first.seconds}
    notes = tuple(dict.fromkeys(note for record in members for note in record.notes))
    mean = replace(first, metrics=metrics, per_character=scores, seconds=seconds, notes=notes)
    return Pooled(name, mean, tuple(members))


def _mean_of(
    metric: str, members: Sequence[Record], scores: Mapping[str, Mapping[str, float]]
) -> dict[str, float | None]:
    mean = float(np.mean([record.centre(metric) for record in members]))
    if metric in INTERVALS:
        characters = sorted(scores)
        span = interval(np.array([scores[character][metric] for character in characters]), characters)
        if span.characters == 1:
            return {"mean": mean, "low": None, "high": None}
        # characters may have unequal numbers of images: the width comes from the bootstrap, the centre does not
        return {"mean": mean, "low": mean + span.low - span.mean, "high": mean + span.high - span.mean}
    errors = [record.metrics[metric].get("error") for record in members]
    known = [error for error in errors if error is not None]
    # all seeds share the test images and the reference, so the error of their mean is not smaller by √n
    return {"value": mean, **({"error": float(np.mean(known))} if len(known) == len(errors) else {})}
