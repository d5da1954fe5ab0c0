"""Which cells a table needs, what of them is in the store, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.cells import Stages, Workplace, equal_samples, record_name, stages
from bench.files import read_json
from bench.presets import preset
from bench.spec import FLOORS, Cell
from bench.store import Stage, stored_stages

BASELINES = ("patn", "pg2", "pix2pix", "xinggan")  # the paper's order


def table1_cells(base: Cell) -> list[Cell]:
    """The rows of the paper's Table 1, then the floors. `base` carries preset, seed, device and precision."""
    plain = replace(base, method="ours", variant="", shots=1, adaptation="default")
    rows = [replace(plain, method=name) for name in BASELINES]
    rows += [plain, replace(plain, variant="msl")]
    return rows + [replace(plain, method=name) for name in FLOORS]


def sweep_cells(base: Cell, shots: Sequence[int]) -> list[Cell]:
    """One method at several numbers of shots, and without adapting at all. Nothing is trained twice."""
    return [replace(base, adaptation="none", shots=1), *(replace(base, shots=count) for count in shots)]


def ablation_cells(base: Cell) -> list[Cell]:
    """The rows of the paper's Table 4 (4-shot), and those that unconfound it (METHODS §8, 26-29, 33)."""
    full = replace(base, method="ours", variant="msl", shots=4, adaptation="default")
    size = preset(base.preset)
    without_ml = replace(full, variant="wo-ml", label="w/o ML (equal samples)")
    return [
        replace(without_ml, extra_pairs=equal_samples(size)),
        replace(without_ml, extra_pairs=equal_samples(size), adaptation="none", label="w/o ML & FT"),
        replace(full, adaptation="none", label="w/o FT"),
        replace(full, variant="wo-frm", label="w/o FRM"),
        replace(full, variant="", label="w/o MSL"),
        replace(full, variant="k2", label="K=2 w/o MSL"),
        replace(full, label="Ours (MSL)"),
    ]


@dataclass(frozen=True)
class PlannedStage:
    """A stage some cells need."""

    stage: Stage
    state: str  # "done", "unfinished", "stale" (made by other code) or "to do"
    seconds: float | None  # expected; None: no history


def plan(cells: Sequence[Cell], place: Workplace) -> list[PlannedStage]:
    """Every stage the cells need, once, in order, with its state and an estimate from history."""
    stored = {(found.kind, found.address): found for found in stored_stages(place.store)}
    planned: dict[str, PlannedStage] = {}
    for cell in cells:
        found = stages(cell, place)
        needed = (found.warm_start, found.train, found.tune, found.generate, found.score)
        for stage in needed:
            if stage is None or stage.key in planned:
                continue
            if stage.done:
                planned[stage.key] = PlannedStage(stage, "done", 0.0)
                continue
            other = stored.get((stage.kind, stage.address))
            state = "to do"
            if other is not None:
                state = "unfinished" if other.folder == stage.folder else "stale"
            planned[stage.key] = PlannedStage(stage, state, _expected(stage, found, place.results))
    return list(planned.values())


def _expected(stage: Stage, cell_stages: Stages, results: Path) -> float | None:
    """Seconds the same stage took when the record of its cell was written, if there is one."""
    cell = cell_stages.cell
    path = results / cell.preset / "records" / f"{record_name(cell)}.json"
    if not path.exists():
        return None
    seconds = read_json(path)["seconds"]
    field = "warm_start" if stage is cell_stages.warm_start else stage.kind
    if field == "generate":
        characters = read_json(path)["data"]["characters"]
        return float(seconds["generate"] + seconds["adapt_per_character"] * characters)
    return float(seconds.get(field, 0.0))


def equal_seconds_cell(base: Cell, place: Workplace) -> Cell:
    """w/o ML trained for as long as meta-training took: the same warm start, then joint steps for as many seconds.

    Needs the trainings of Ours (MSL) and of the w/o ML row in the store. The number of pairs is rounded to a
    hundred, so that it is the same at the next call.
    """
    full = replace(base, method="ours", variant="msl", shots=4, adaptation="default")
    joint = replace(full, variant="wo-ml", extra_pairs=equal_samples(preset(base.preset)))
    meta_stage, joint_stage = stages(full, place).train, stages(joint, place).train
    assert meta_stage is not None and joint_stage is not None
    rate = joint_stage.summary()["seconds"] / joint.extra_pairs
    pairs = max(100, round(meta_stage.summary()["seconds"] / rate / 100) * 100)
    return replace(joint, extra_pairs=pairs, label="w/o ML (equal seconds)")
