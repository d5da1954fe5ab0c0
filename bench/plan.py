"""Which cells a table needs, what of them is in the store, and how long the rest will take."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.build import method_class
from bench.cells import Stages, Workplace, equal_samples, record_path, stages
from bench.errors import UsageError, unknown
from bench.files import read_json
from bench.presets import preset
from bench.run import STEPS
from bench.spec import EXACT, FLOORS, Cell
from bench.store import Stage, StoredStage, stored_stages

BASELINES = ("patn", "pg2", "pix2pix", "xinggan")  # the paper's order
SHOTS = (1, 4, 10)
EQUAL_SECONDS = "w/o ML (equal seconds)"


class NotYet(UsageError):
    """The cell depends on trainings that have not been done."""


@dataclass(frozen=True)
class Later:
    """A cell that can be named only once others are trained."""

    label: str
    seed: int
    after: tuple[Cell, ...]  # the first says how long it will train, the last what
    name: Callable[[Workplace], Cell]  # raises NotYet before that


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
        Later(EQUAL_SECONDS, base.seed, _equal_seconds_after(base), partial(equal_seconds_cell, base)),
    ]


def _equal_seconds_after(base: Cell) -> tuple[Cell, Cell]:
    """The cells whose trainings w/o ML at equal seconds is named by: Ours (MSL), w/o ML at equal samples."""
    full = replace(base, method="ours", variant="msl", shots=4, adaptation="default")
    return full, replace(full, variant="wo-ml", extra_pairs=equal_samples(preset(base.preset)))


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


WHAT = (*TABLES, "sweep", "ablate", "all")


def cells_named(what: str, base: Cell, seeds: Sequence[int], finetune: bool = False) -> dict[str, list[Cell | Later]]:
    """The cells of one of WHAT by the table they are of; a sweep is of none, which is ""."""
    match what:
        case "sweep":
            return {"": [cell for seed in seeds for cell in sweep_cells(replace(base, seed=seed), SHOTS)]}
        case "all":
            return {name: cells_of(name, base, seeds, finetune) for name in TABLES}
        case "ablate":
            return {"table4": cells_of("table4", base, seeds)}
        case _ if what in TABLES:
            return {what: cells_of(what, base, seeds, finetune)}
    raise unknown("table", what, WHAT)


@dataclass(frozen=True)
class PlannedStage:
    """A stage some cells need: a node of the graph that launchers work through."""

    stage: Stage
    state: str  # "done", "unfinished", "failed", "stale" (made by other code) or "to do"
    seconds: float | None  # expected; None: no history
    cell: Cell  # the first that needs it
    step: str  # which of its stages this is, one of STEPS
    needs: tuple[str, ...]  # names of the stages before it
    device: str = ""  # on which `seconds` were measured

    @property
    def name(self) -> str:
        return stage_name(self.stage)


def stage_name(stage: Stage) -> str:
    """What tells it from all other stages of a store; `key` does not, where the same work has two labels."""
    return f"{stage.kind}/{stage.folder.name}"


def plan(cells: Sequence[Cell | Later], place: Workplace) -> list[PlannedStage]:
    """Every stage the cells need, once, in order, with its state and an estimate from history.

    A cell that can be named only once others are done is left out until they are.
    """
    stored = {(found.kind, found.address): found for found in stored_stages(place.store)}
    planned: dict[str, PlannedStage] = {}
    for entry in cells:
        try:
            cell = entry.name(place) if isinstance(entry, Later) else entry
        except NotYet:
            continue
        found = stages(cell, place)
        needs: tuple[str, ...] = ()
        for step in STEPS:
            stage: Stage | None = getattr(found, step)
            if stage is None:
                continue
            name = stage_name(stage)
            if name not in planned:
                state = _state(stage, stored)
                seconds, device = (0.0, "") if state == "done" else _expected(stage, found, place.results)
                planned[name] = PlannedStage(stage, state, seconds, cell, step, needs, device)
            needs = (name,)
    return list(planned.values())


def _state(stage: Stage, stored: Mapping[tuple[str, str], StoredStage]) -> str:
    if stage.done:
        return "done"
    other = stored.get((stage.kind, stage.address))
    if other is None:
        return "to do"
    return other.state if other.folder == stage.folder else "stale"


def _expected(stage: Stage, cell_stages: Stages, results: Path) -> tuple[float | None, str]:
    """Seconds the same stage took by the record of its cell, of another seed of it or with exact joints; the device."""
    cell = cell_stages.cell
    others = (
        replace(cell_stages, cell=replace(cell, seed=seed, joints=joints))
        for joints in dict.fromkeys((cell.joints, EXACT))
        for seed in (cell.seed, 0, 1)
    )
    field = "warm_start" if stage is cell_stages.warm_start else stage.kind
    for other in others:
        with contextlib.suppress(*NO_RECORD):
            return _recorded(read_json(record_path(other, results)), field)
    return None, ""


NO_RECORD = (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
"""What reading an estimate from a file raises that is not there or is no record: an estimate can do without."""


def _recorded(record: Any, field: str) -> tuple[float, str]:
    """Seconds of a step and the device, by a record; raises one of NO_RECORD."""
    seconds, device = record["seconds"], str(record["environment"]["device"])
    if field == "generate":
        taken = float(seconds["generate"] + seconds["adapt_per_character"] * record["data"]["characters"])
    else:
        taken = float(dict(seconds).get(field, 0.0))
    if not 0 <= taken < math.inf:
        raise ValueError(f"{taken} seconds")
    return taken, device


def equal_seconds_cell(base: Cell, place: Workplace) -> Cell:
    """w/o ML trained for as long as meta-training took: the same warm start, then joint steps for as many seconds.

    Raises NotYet until the trainings of Ours (MSL) and of the w/o ML row are in the store. The number of pairs is
    rounded to a hundred, so that it is the same at the next call.
    """
    full, joint = _equal_seconds_after(base)
    meta_stage, joint_stage = stages(full, place).train, stages(joint, place).train
    assert meta_stage is not None and joint_stage is not None
    if not (meta_stage.done and joint_stage.done):
        raise NotYet("w/o ML at equal seconds needs the trainings it is to equal; run `bench table4`")
    rate = joint_stage.summary()["seconds"] / joint.extra_pairs
    pairs = max(100, round(meta_stage.summary()["seconds"] / rate / 100) * 100)
    return replace(joint, extra_pairs=pairs, label=EQUAL_SECONDS)
