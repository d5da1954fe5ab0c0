"""Which cells a table needs, what of them is in the store, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.build import method_class
from bench.cells import Stages, Workplace, equal_samples, record_name, stages
from bench.errors import UsageError
from bench.files import read_json
from bench.presets import preset
from bench.spec import FLOORS, Cell
from bench.store import Stage, stored_stages

BASELINES = ("patn", "pg2", "pix2pix", "xinggan")  # the paper's order
SHOTS = (1, 4, 10)


class NotYet(UsageError):
    """The cell depends on trainings that have not been done."""


Later = Callable[[Workplace], Cell]
"""A cell that can be named only once others are done."""


def table1_cells(base: Cell) -> list[Cell]:
    """The rows of the paper's Table 1. `base` carries preset, seed, device and precision."""
    plain = replace(base, method="ours", variant="", shots=1, adaptation="default")
    return [*(replace(plain, method=name) for name in BASELINES), plain, replace(plain, variant="msl")]


def finetuned_cells(base: Cell, shots: Sequence[int]) -> list[Cell]:
    """Every baseline, fine-tuned like Ours, with its own loss and a schedule of its own (METHODS §8, 31 and 36)."""
    plain = replace(base, variant="", adaptation="tuned")
    return [replace(plain, method=name, shots=count) for name in BASELINES for count in shots]


def table2_cells(base: Cell) -> list[Cell]:
    """The rows of the paper's Table 2: no adaptation, 1, 4 and 10 shots, without MSL and with it."""
    plain = replace(base, method="ours", variant="")
    return sweep_cells(plain, SHOTS) + sweep_cells(replace(plain, variant="msl"), SHOTS)


def sweep_cells(base: Cell, shots: Sequence[int]) -> list[Cell]:
    """One method at several numbers of shots, and without adapting at all. Nothing is trained twice."""
    adaptation = base.adaptation if method_class(base.method).few_shot else "tuned"
    several = [replace(base, shots=count, adaptation=adaptation) for count in shots]
    return [replace(base, adaptation="none", shots=1), *several]


def table4_cells(base: Cell) -> list[Cell | Later]:
    """The rows of the paper's Table 4 (4-shot), and those that unconfound it (METHODS §8, 26-29, 33).

    The last cell, w/o ML at equal seconds, can be named only when the trainings before it have been timed.
    """
    full = replace(base, method="ours", variant="msl", shots=4, adaptation="default")
    size = preset(base.preset)
    joint = replace(full, variant="wo-ml", extra_pairs=equal_samples(size))
    return [
        replace(joint, extra_pairs=size.queries, label="w/o ML (equal queries)"),
        replace(joint, label="w/o ML (equal samples)"),
        replace(joint, adaptation="none", label="w/o ML & FT"),
        replace(full, adaptation="none", label="w/o FT"),
        replace(full, variant="wo-frm", label="w/o FRM"),
        replace(full, variant="", label="w/o MSL"),
        replace(full, variant="k2", label="K=2 w/o MSL"),
        replace(full, label="Ours (MSL)"),
        lambda place: equal_seconds_cell(base, place),
    ]


TABLES = ("table1", "table2", "table4")
"""The tables of scores. Table 3 is timing, which has no cells."""


def cells_of(
    name: str, base: Cell, seeds: Sequence[int], finetune: bool = False, also: Sequence[str] = ()
) -> list[Cell | Later]:
    """The cells of a table of TABLES for several seeds. A floor has no seed, so it comes once, and last.

    `finetune`: also every baseline with the same fine-tuning on the support set as Ours (METHODS §8, 31). `also`:
    further methods as rows of Table 1. Raises UsageError for a method or seed that there is not.
    """
    for method in also:
        replace(base, method=method).check()
    found: list[Cell | Later] = []
    for seed in seeds:
        seeded = replace(base, seed=seed)
        match name:
            case "table1":
                found += table1_cells(seeded) + (finetuned_cells(seeded, (1,)) if finetune else [])
                found += [replace(seeded, method=method) for method in also]
            case "table2":
                found += table2_cells(seeded) + (finetuned_cells(seeded, SHOTS) if finetune else [])
            case _:
                found += table4_cells(seeded)
    if name == "table1":
        found += [replace(base, method=floor, variant="", shots=1, adaptation="default") for floor in FLOORS]
    return found


@dataclass(frozen=True)
class PlannedStage:
    """A stage some cells need."""

    stage: Stage
    state: str  # "done", "unfinished", "failed", "stale" (made by other code) or "to do"
    seconds: float | None  # expected; None: no history


def plan(cells: Sequence[Cell | Later], place: Workplace) -> list[PlannedStage]:
    """Every stage the cells need, once, in order, with its state and an estimate from history.

    A cell that can be named only once others are done is left out until they are.
    """
    stored = {(found.kind, found.address): found for found in stored_stages(place.store)}
    planned: dict[str, PlannedStage] = {}
    for entry in cells:
        try:
            cell = entry(place) if callable(entry) else entry
        except NotYet:
            continue
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
                state = other.state if other.folder == stage.folder else "stale"
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

    Raises NotYet until the trainings of Ours (MSL) and of the w/o ML row are in the store. The number of pairs is
    rounded to a hundred, so that it is the same at the next call.
    """
    full = replace(base, method="ours", variant="msl", shots=4, adaptation="default")
    joint = replace(full, variant="wo-ml", extra_pairs=equal_samples(preset(base.preset)))
    meta_stage, joint_stage = stages(full, place).train, stages(joint, place).train
    assert meta_stage is not None and joint_stage is not None
    if not (meta_stage.done and joint_stage.done):
        raise NotYet("w/o ML at equal seconds needs the trainings it is to equal; run `bench table4`")
    rate = joint_stage.summary()["seconds"] / joint.extra_pairs
    pairs = max(100, round(meta_stage.summary()["seconds"] / rate / 100) * 100)
    return replace(joint, extra_pairs=pairs, label="w/o ML (equal seconds)")
