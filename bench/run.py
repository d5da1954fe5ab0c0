"""One cell: data → train → tune → generate → score → record, each from the store or done now."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bench.build import build, method_class, pick_device, use_all_cores
from bench.cells import Stages, Workplace, data_pack, record_path, stages
from bench.checkpoint import clear_checkpoints, load_state
from bench.conformance import changed, copied
from bench.data.beside import beside, refuse_known
from bench.data.pack import Pack, link_pack
from bench.environment import command_line, describe, git_state
from bench.errors import BenchError, UsageError
from bench.files import read_json
from bench.floors import generate_floor
from bench.generate import generate, tune
from bench.pose.joints import with_detected_joints
from bench.progress import Task
from bench.ranks.group import own_device
from bench.ranks.jobs import train_together
from bench.records import Record, write_record
from bench.score import score
from bench.spec import EXACT, FLOORS, Cell, TrainSpec
from bench.store import Stage
from methods.interface import FineTune, Method

StageWork = Callable[[Path], dict[str, Any]]  # what `Stage.run` calls
STEPS = ("warm_start", "train", "tune", "generate", "score")
"""The stages of a cell in order, by their names in `Stages`; a cell need not have all."""


def run_cell(cell: Cell, place: Workplace) -> Record:
    """Do whatever of a cell is not in the store, and write its record under `results/`.

    Raises BenchError where the method calls exit: a command that did nothing must not end as one that did all.
    """
    try:
        work = Work(cell, place)
        for step in STEPS:
            work.do(step)
    except SystemExit as end:
        at = traceback.extract_tb(end.__traceback__)[-1]
        raise BenchError(f"method '{cell.method}' called exit ({at.filename} line {at.lineno})") from end
    return record_cell(cell, place)


def record_cell(cell: Cell, place: Workplace) -> Record:
    """Write the record of a cell whose stages are all in the store."""
    found = stages(cell, place)
    record = make_record(
        cell,
        found,
        data_pack(cell.check(), place),
        found.train.summary() if found.train else {},
        found.tune.summary() if found.tune else None,
        found.generate.summary(),
        found.score.summary(),
        pick_device(cell.device),
        place,
    )
    write_record(record_path(found, place.results), record)
    return record


def do_step(cell: Cell, step: str, place: Workplace) -> str:
    """Do one stage of a cell, a name of STEPS, after those before it; returns its key in the store."""
    work = Work(cell, place)
    work.do(step)
    stage: Stage = getattr(work.stages, step)
    return stage.key


class Work:
    """A cell being done, and what its stages share: device, data, the trained model."""

    def __init__(self, cell: Cell, place: Workplace) -> None:
        use_all_cores()
        size = cell.check()
        self.cell, self.place = cell, place
        self.device = own_device(pick_device(cell.device))
        self.stages = stages(cell, place)
        self.pack = data_pack(size, place)
        if self.stages.tested is not None:
            refuse_known(self.pack, self.stages.tested)
            link_pack(self.stages.tested, place.store)  # for whoever looks at the record later
        self.tested = self.stages.tested or self.pack  # whose test characters are drawn and scored

    def do(self, step: str) -> None:
        """Do the stage of that name, if the cell has it and the store has not. Those before it must be done."""
        stage: Stage | None = getattr(self.stages, step)
        if stage is None:
            return
        if stage.done:
            if stage.kind == "train":  # of a run that was killed just after the done marker
                clear_checkpoints(stage.folder, keep=0)
            return
        packs = {id(pack): pack for pack in (self.pack, self.tested)}.values()
        for pack in packs:
            pack.check()
        try:
            self._do(step, stage)
        finally:
            for pack in packs:  # the next cell opens its own, and caches of batches keep this one
                pack.leave_devices()

    def _do(self, step: str, stage: Stage) -> None:
        if step == "score":
            score_images(self.stages, self.tested, self.device, self.place)
            return
        seen = self._seen_when_drawing() if step == "generate" else self.pack
        with self.place.report.task(f"{stage.kind} {stage.label}") as task:
            match step:
                case "warm_start" | "train":
                    work = self._training(step, task)
                case "tune":
                    work = self._tuning(stage, task)
                case _:
                    work = self._drawing(seen, task)
            adapts = step in ("tune", "generate") and self.stages.spec is not None
            stage.run(self._keeping_the_model(work) if adapts else work, describe(str(self.device)), self.place.retry)
        if stage.kind == "train":  # only now: before the done marker they are what a killed run goes on from
            clear_checkpoints(stage.folder, keep=0)

    @cached_property
    def _spec(self) -> TrainSpec:
        assert self.stages.spec is not None, "a floor is not trained"
        return self.stages.spec

    @cached_property
    def _model(self) -> Method:
        """As trained; `Method.adapt` must never change it."""
        assert self.stages.train is not None
        method = build(self._spec.when_adapting, self.device)
        method.load_state_dict(load_state(self.stages.train.folder / "model.pt", self.device)["method"])
        return method

    def _keeping_the_model(self, work: StageWork) -> StageWork:
        """`work`; raises UsageError where it leaves another model: each character must start from the same."""

        def checked(folder: Path) -> dict[str, Any]:
            before = copied(self._model)
            summary = work(folder)
            if spoilt := changed(before, self._model.state_dict()):
                name = self.cell.method
                raise UsageError(
                    f"adapting changes the trained model of {name} ({spoilt[0]}), so that a character's images depend "
                    f"on those before it; adapt must work on a copy (`bench check-method {name}`)"
                )
            return summary

        return checked

    def _seen_when_drawing(self) -> Pack:
        """The data that whoever draws the test characters is given."""
        seen = self.tested
        if self.cell.joints != EXACT:
            with self.place.report.task("detect the joints of the test characters") as task:
                seen = with_detected_joints(seen, self.place.store, task)
        if self.stages.tested is not None and self.cell.method == "nearest-pose":
            seen = beside(seen, self.pack)  # the one floor that looks at training pictures
        return seen

    def _training(self, step: str, task: Task) -> StageWork:
        spec, warm = self._spec, self.stages.warm_start
        if step == "warm_start":
            assert spec.warm_start is not None
            spec, warm = spec.warm_start, None
        file = warm.folder / "model.pt" if warm is not None else None
        return lambda folder: train_together(spec, self.pack, folder, self.device, task, file)

    def _tuning(self, stage: Stage, task: Task) -> StageWork:
        """The fine-tuning schedule that the validation characters choose, with the whole curve."""
        grid = stage.identity
        return lambda folder: tune(
            self._model,
            self.pack,
            self.cell.shots,
            self.cell.protocol,
            grid["lrs"],
            grid["passes"],
            grid["targets"],
            self.device,
            self._spec.precision,
            task,
        )

    def _drawing(self, seen: Pack, task: Task) -> StageWork:
        """Adapt to every test character and draw all its targets."""
        cell = self.cell
        if self.stages.spec is None:
            return lambda folder: generate_floor(cell.method, seen, folder, task)
        schedule = self.stages.schedule
        if self.stages.tune is not None:
            tuned = self.stages.tune.summary()
            schedule = FineTune(tuned["lr"], tuned["passes"])
        if isinstance(schedule, str):
            raise UsageError(f"no schedule for '{schedule}'")
        return lambda folder: generate(
            self._model, seen, folder, cell.shots, cell.protocol, schedule, self.device, self._spec.precision, task
        )


def score_images(plan: Stages, pack: Pack, device: torch.device, place: Workplace) -> dict[str, Any]:
    if plan.score.done:
        return plan.score.summary()
    from bench.metrics.features import Extractor
    from bench.metrics.lpips import LPIPS

    plan.generate.check()
    with place.report.task(f"score {plan.score.label}") as task:
        return plan.score.run(
            lambda folder: score(
                plan.generate.folder,
                pack,
                folder,
                Extractor(plan.score.identity["extractor"]["name"], device),
                place.store,
                task,
                LPIPS(device) if plan.score.identity["lpips"] else None,
            ),
            describe(str(device)),
            place.retry,
        )


def make_record(
    cell: Cell,
    plan: Stages,
    pack: Pack,
    trained: dict[str, Any],
    tuned: dict[str, Any] | None,
    drawn: dict[str, Any],
    scored: dict[str, Any],
    device: torch.device,
    place: Workplace,
) -> Record:
    spec = plan.spec
    warm = plan.warm_start.summary() if plan.warm_start else None
    schedule = tuned or (vars(plan.schedule) if isinstance(plan.schedule, FineTune) else None)
    notes = [*trained.get("notes", []), *_weight_notes(spec)]
    name = "procedural" if place.data is None else place.data.name
    tested = plan.tested
    trained_on = {"name": name, "digest": pack.digest, "pixels": pack.pixel_digest}
    return Record.from_dict(
        {
            "schema": 1,
            "key": plan.score.key,
            "cell": {
                "method": cell.method,
                "variant": cell.variant,
                "shots": cell.shots,
                "adaptation": cell.adaptation,
                "preset": cell.preset,
                "seed": cell.seed,
                "data": name,
                "protocol": cell.protocol,
                **({"joints": cell.joints} if cell.joints != EXACT else {}),
            },
            "title": row_title(cell),
            "kind": "floor" if cell.is_floor else "method",
            "build": {
                "options": dict(spec.when_adapting.options if plan.schedule is not None else spec.options)
                if spec
                else {},
                "width": spec.width if spec else 0,
                "batch": spec.batch if spec else None,
                "precision": spec.precision if spec else "exact",
                "parameters": trained.get("parameters", {}),
                "perceptual": dict(spec.perceptual) if spec else {},
            },
            "budget": {
                "pairs": spec.budget.pairs if spec else 0,
                "queries": spec.budget.queries if spec else 0,
                "warm_start_pairs": spec.budget.warm_start_pairs if spec else 0,
                "phases": [*(warm or {}).get("phases", []), *trained.get("phases", [])],
            },
            "data": {
                "digest": (tested or pack).digest,
                "pixels": (tested or pack).pixel_digest,
                **({"name": tested.folder.resolve().name, "trained_on": trained_on} if tested else {}),
                **({"joints": plan.generate.identity["joints"]} if cell.joints != EXACT else {}),
                "image_size": pack.image_size,
                "characters": scored["characters"],
                "images": scored["images"],
                "fid_images": scored["features"]["n"],
            },
            "metrics": scored["metrics"],
            "features": scored["features"],
            "per_character": scored["per_character"],
            "finetune": schedule,
            "notes": notes,
            "seconds": {
                "warm_start": warm["seconds"] if warm else 0.0,
                "train": trained.get("seconds", 0.0),
                "tune": tuned["seconds"] if tuned else 0.0,
                "adapt_per_character": drawn["adapt_seconds_per_character"],
                "generate": drawn["generate_seconds"],
                "score": scored["seconds"],
            },
            # of the machine that trained, which need not be the one that writes this
            "environment": (plan.train or plan.generate).environment() or describe(str(device)),
            "git": git_state(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command_line(),
            "extra": {"lpips_weights": plan.score.identity["lpips"]},
        }
    )


def _weight_notes(spec: TrainSpec | None) -> list[str]:
    """What is special about the perceptual weights a training used: those of the registry are not all torchvision's."""
    from bench import weights

    loaded = [weights.load(name) for name in (spec.perceptual if spec else ())]
    return [found.note for found in loaded if found.note]


def row_title(cell: Cell) -> str:
    """The row title as the paper writes it."""
    if cell.is_floor or cell.label:
        return cell.label or FLOORS[cell.method]
    cls = method_class(cell.method)
    title = cls.title
    if cls.few_shot or cell.adaptation not in ("default", "none"):
        title += f" ({cell.shots}-shot)"
    names = {"msl": "(MSL)", "wo-ml": "w/o ML", "wo-frm": "w/o FRM", "k2": "K=2"}
    if cell.variant:
        title += f" {names.get(cell.variant, cell.variant)}"
    if cell.adaptation == "none" and cls.few_shot:
        title += " w/o FT"
    return title


def read_log(stage: Stage) -> list[dict[str, Any]]:
    """The training log of a finished stage; raises DataError where it is damaged."""
    stage.check()
    log: list[dict[str, Any]] = read_json(stage.folder / "log.json")
    return log
