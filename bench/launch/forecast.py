"""What a plan costs on GPUs: hours a cell, and when all would be done on so many.

Seconds are taken from records and from `bench time`, where these were measured on a GPU. Where they were not, they
are estimated from multiply-accumulates, at a throughput that is stated, and marked as an estimate.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.cells import Workplace, stages
from bench.data.pack import open_pack
from bench.files import read_json
from bench.launch.drive import graph
from bench.launch.macs import BACKWARD, network_macs, spec_of, training_macs
from bench.launch.outcome import title_of
from bench.launch.schedule import makespan, ranks
from bench.plan import NO_RECORD, Later, NotYet, PlannedStage, plan, stage_name
from bench.presets import Preset, preset
from bench.spec import Cell
from bench.timing_record import Measurement, Timings

SCORE_SECONDS = 0.1  # an image, where no record tells


@dataclass(frozen=True)
class Gpu:
    """The GPU of an estimate: NVIDIA A100, dense bfloat16, of which small batches of convolutions reach a part."""

    tflops: float = 312.0
    utilisation: float = 0.15

    def seconds(self, macs: float) -> float:
        return 2 * macs / (self.tflops * 1e12 * self.utilisation)  # a multiply-accumulate is two operations


@dataclass(frozen=True)
class Expected:
    """Seconds of a stage, and how they are known: "done", "record", "timing" or "estimate"."""

    seconds: float
    basis: str


@dataclass(frozen=True)
class Row:
    """A cell. A stage that several cells share is counted at the first of them."""

    title: str
    seed: int
    training_hours: float
    other_hours: float
    basis: str


@dataclass(frozen=True)
class Forecast:
    """GPU-hours of each cell, and hours until all is done by number of GPUs."""

    rows: tuple[Row, ...]
    makespans: Mapping[int, float]
    longest: float  # hours of the longest chain of stages, below which no number of GPUs comes
    gpu: Gpu

    @property
    def hours(self) -> float:
        return sum(row.training_hours + row.other_hours for row in self.rows)

    @property
    def measured(self) -> bool:
        """Whether any of it was measured on a GPU."""
        return any("record" in row.basis or "timing" in row.basis for row in self.rows)

    @property
    def estimated(self) -> bool:
        return any("estimate" in row.basis for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "hours": self.hours, "measured": self.measured, "estimated": self.estimated}

    def print(self) -> None:
        """A row a cell, then the whole by number of GPUs."""
        from rich.console import Console
        from rich.table import Table

        table = Table(title="GPU-hours still to do; what cells share is counted once, at the first of them")
        table.add_column("cell")
        for name in ("seed", "training", "the rest", "from"):
            table.add_column(name, justify="left" if name == "from" else "right")
        for row in self.rows:
            hours = (f"{row.training_hours:.2f}", f"{row.other_hours:.2f}")
            table.add_row(row.title, str(row.seed), *hours, row.basis)
        console = Console(width=120)
        console.print(table)
        console.print(f"In all {self.hours:.1f} GPU-hours. The longest chain of stages: {self.longest:.1f} h.")
        for count, taken in self.makespans.items():
            console.print(f"{count:4} {'GPU' if count == 1 else 'GPUs'}: {taken:8.1f} h")
        if self.estimated:
            console.print(
                f"{'' if self.measured else 'Nothing here was measured on a GPU. '}ESTIMATE means multiply-accumulates "
                f"at {self.gpu.utilisation:.0%} of {self.gpu.tflops:g} TFLOP/s; it may be wrong by a factor of three. "
                "`bench time` on your GPU replaces it.",
                style="bold",
            )


def forecast(cells: Sequence[Cell | Later], place: Workplace, workers: Sequence[int], gpu: Gpu) -> Forecast:
    """What is still to do of `cells`, on GPUs."""
    planned = {stage.name: stage for stage in plan(cells, place)}
    clock = Clock(place, gpu)
    expected = {name: clock.stage(stage) for name, stage in planned.items()}
    unnamed: list[Later] = []
    rows, counted = [], set[str]()
    for entry in cells:
        try:
            cell = entry.name(place) if isinstance(entry, Later) else entry
        except NotYet:
            assert isinstance(entry, Later)
            unnamed.append(entry)
            continue
        found = stages(cell, place)
        parts: dict[bool, list[Expected]] = {True: [], False: []}  # by: is it training?
        for stage in (found.warm_start, found.train, found.tune, found.generate, found.score):
            if stage is not None and (name := stage_name(stage)) not in counted:
                counted.add(name)
                parts[stage.kind == "train"].append(expected[name])
        rows.append(_row(entry, parts[True], parts[False]))
    nodes = graph(planned, unnamed, place, lambda stage: expected[stage.name].seconds)
    for entry, node in zip(unnamed, nodes[len(planned) :], strict=True):
        rows.append(Row(entry.label, entry.seed, node.seconds / 3600, 0.0, "as long as what it equals"))
    return Forecast(
        tuple(rows),
        {count: makespan(nodes, count) / 3600 for count in workers},
        max(ranks(nodes).values(), default=0.0) / 3600,
        gpu,
    )


def _row(entry: Cell | Later, training: Sequence[Expected], other: Sequence[Expected]) -> Row:
    bases = dict.fromkeys(part.basis for part in (*training, *other))
    hours = [sum(part.seconds for part in parts) / 3600 for parts in (training, other)]
    return Row(title_of(entry), entry.seed, hours[0], hours[1], ", ".join(bases) or "shared")


class Clock:
    """Seconds of stages on a GPU, from what was measured on one or from what has to be computed."""

    def __init__(self, place: Workplace, gpu: Gpu) -> None:
        self._place, self._gpu = place, gpu
        self._score_seconds = _score_seconds(place.results)

    def stage(self, planned: PlannedStage) -> Expected:
        if planned.state == "done":
            return Expected(0.0, "done")
        if planned.seconds is not None and planned.device.startswith("cuda"):
            return Expected(planned.seconds, "record")
        size = preset(planned.cell.preset)
        timed = _timings(self._place.results, size.name)
        row = timed.get((planned.cell.method, planned.cell.variant)) if timed else None
        if row is not None and row.parts and planned.step == "train":
            return Expected(row.seconds_a_pair * _pairs_or_queries(planned), "timing")
        if planned.step == "score":
            return Expected(self._score_seconds * self._people(size)[2], "estimate")
        if planned.cell.is_floor:
            return Expected(0.0, "estimate")
        if planned.stage.kind == "train":
            spec = spec_of(stages(planned.cell, self._place), planned.step)
            with self._place.report.task(f"count {planned.stage.label}"):
                macs, how = training_macs(spec, planned.stage.source, self._place.store)
            return Expected(self._gpu.seconds(macs), "estimate" if how == "counted" else "rough estimate")
        return Expected(self._gpu.seconds(self._macs(planned, size)), "estimate")

    def _macs(self, planned: PlannedStage, size: Preset) -> float:
        """Of a tune or a generate stage. Its longest schedule counts, for which one will be chosen is not known."""
        draw, _ = network_macs(planned.cell.method, size.name)
        validation, test, images = self._people(size)
        shots = planned.cell.shots
        if planned.step == "tune":
            grid = planned.stage.identity
            steps = len(grid["lrs"]) * max(grid["passes"]) * shots
            drawn = len(grid["lrs"]) * (len(grid["passes"]) + 1) * grid["targets"]
            return float(validation * (BACKWARD * steps + drawn) * draw)
        passes = 0
        if planned.stage.identity["adaptation"] is not None:
            chosen = stages(planned.cell, self._place).tune
            schedule = planned.stage.identity["adaptation"]
            passes = max(chosen.identity["passes"]) if chosen is not None else schedule["passes"]
        return float((BACKWARD * test * passes * shots + images) * draw)

    def _people(self, size: Preset) -> tuple[int, int, int]:
        """Validation characters, test characters, test images."""
        if self._place.data is None:
            return size.data.validation, size.data.test, size.data.test * (size.data.frames - 1)
        pack = open_pack(self._place.data)
        test = len(pack.characters("test"))
        return len(pack.characters("validation")), test, len(pack.frames_in("test")) - test


def _pairs_or_queries(planned: PlannedStage) -> int:
    budget = planned.stage.identity["budget"]
    return int(budget["pairs"] or budget["queries"])


@cache
def _timings(results: Path, preset_name: str) -> dict[tuple[str, str], Measurement]:
    """What `bench time` measured of each method and variant, if it was on a GPU."""
    path = results / preset_name / "timing.json"
    if not path.exists():
        return {}
    timings = Timings.read(path)
    if not timings.device.startswith("cuda"):
        return {}
    return {(row.method, row.variant): row for row in timings.rows}


def _score_seconds(results: Path) -> float:
    """Seconds to score an image: the median of all records, of whichever preset, for much of it runs on the CPU."""
    found = []
    for path in results.glob("*/records/*.json"):
        with contextlib.suppress(*NO_RECORD):
            record = read_json(path)
            found.append(float(record["seconds"]["score"] / record["data"]["images"]))
    usable = [seconds for seconds in found if math.isfinite(seconds)]
    return statistics.median(usable) if usable else SCORE_SECONDS
