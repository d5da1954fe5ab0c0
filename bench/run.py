"""One cell: data → train → tune → generate → score → record, each from the store or done now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench.build import build, method_class, pick_device, use_all_cores
from bench.cells import Stages, Workplace, data_pack, record_name, stages
from bench.checkpoint import load_state
from bench.data.pack import Pack
from bench.environment import command_line, describe, git_state
from bench.errors import UsageError
from bench.files import read_json
from bench.floors import generate_floor
from bench.generate import generate, tune
from bench.pose.joints import with_detected_joints
from bench.ranks.group import own_device
from bench.ranks.jobs import train_together
from bench.records import Record, write_record
from bench.score import score
from bench.spec import FLOORS, Cell, TrainSpec
from bench.store import Stage
from methods.interface import FineTune, Method


def run_cell(cell: Cell, place: Workplace) -> Record:
    """Do whatever of a cell is not in the store, and write its record under `results/`."""
    use_all_cores()
    size = cell.check()
    device = own_device(pick_device(cell.device))
    plan = stages(cell, place)
    pack = data_pack(size, place)
    seen = pack  # by whoever draws the test characters
    if cell.joints == "detected" and not plan.generate.done:
        with place.report.task("detect the joints of the test characters") as task:
            seen = with_detected_joints(pack, place.store, task)
    trained: dict[str, Any] = {}
    tuned: dict[str, Any] | None = None
    if plan.spec is None or plan.train is None:
        with place.report.task(f"generate {plan.generate.label}") as task:
            drawn = plan.generate.run(lambda folder: generate_floor(cell.method, seen, folder, task))
    else:
        warm_file = None
        if plan.warm_start is not None and plan.spec.warm_start is not None:
            _train(plan.warm_start, plan.spec.warm_start, pack, device, place, None)
            warm_file = plan.warm_start.folder / "model.pt"
        trained = _train(plan.train, plan.spec, pack, device, place, warm_file)
        load = _loader(plan.train, plan.spec, device)
        tuned = _tune(plan.tune, load, plan.spec, cell, pack, device, place) if plan.tune else None
        schedule = FineTune(tuned["lr"], tuned["passes"]) if tuned else plan.schedule
        drawn = _generate(plan.generate, load, plan.spec, cell, schedule, seen, device, place)
    scored = score_images(plan, pack, device, place)
    record = make_record(cell, plan, pack, trained, tuned, drawn, scored, device, place)
    write_record(place.results / cell.preset / "records" / f"{record_name(cell)}.json", record)
    return record


def _train(
    stage: Stage, spec: TrainSpec, pack: Pack, device: torch.device, place: Workplace, warm: Path | None
) -> dict[str, Any]:
    if stage.done:
        return stage.summary()
    with place.report.task(f"train {stage.label}") as task:
        return stage.run(lambda folder: train_together(spec, pack, folder, device, task, warm))


def _loader(stage: Stage, spec: TrainSpec, device: torch.device) -> Callable[[], Method]:
    @cache
    def load() -> Method:
        method = build(spec, device)
        method.load_state_dict(load_state(stage.folder / "model.pt", device)["method"])
        return method

    return load


def _tune(
    stage: Stage,
    load: Callable[[], Method],
    spec: TrainSpec,
    cell: Cell,
    pack: Pack,
    device: torch.device,
    place: Workplace,
) -> dict[str, Any]:
    """The fine-tuning schedule that the validation characters choose, with the whole curve."""
    if stage.done:
        return stage.summary()
    grid = stage.identity
    with place.report.task(f"tune {stage.label}") as task:
        return stage.run(
            lambda folder: tune(
                load(),
                pack,
                cell.shots,
                cell.protocol,
                grid["lrs"],
                grid["passes"],
                grid["targets"],
                device,
                spec.precision,
                task,
            )
        )


def _generate(
    stage: Stage,
    load: Callable[[], Method],
    spec: TrainSpec,
    cell: Cell,
    schedule: FineTune | str | None,
    pack: Pack,
    device: torch.device,
    place: Workplace,
) -> dict[str, Any]:
    """Adapt to every test character and draw all its targets."""
    if stage.done:
        return stage.summary()
    if isinstance(schedule, str):
        raise UsageError(f"no schedule for '{schedule}'")
    with place.report.task(f"generate {stage.label}") as task:
        return stage.run(
            lambda folder: generate(
                load(), pack, folder, cell.shots, cell.protocol, schedule, device, spec.precision, task
            )
        )


def score_images(plan: Stages, pack: Pack, device: torch.device, place: Workplace) -> dict[str, Any]:
    if plan.score.done:
        return plan.score.summary()
    from bench.metrics.features import Extractor
    from bench.metrics.lpips import LPIPS

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
            )
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
                "data": "procedural" if place.data is None else place.data.name,
                "protocol": cell.protocol,
                **({"joints": cell.joints} if cell.joints != "exact" else {}),
            },
            "title": row_title(cell),
            "kind": "floor" if cell.is_floor else "method",
            "build": {
                "options": dict(spec.options) if spec else {},
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
                "digest": pack.digest,
                "pixels": pack.pixel_digest,
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
            "environment": describe(str(device)),
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
    joints = " (detected joints)" if cell.joints == "detected" else ""
    if cell.is_floor or cell.label:
        return (cell.label or FLOORS[cell.method]) + joints
    cls = method_class(cell.method)
    title = cls.title
    if cls.few_shot or cell.adaptation not in ("default", "none"):
        title += f" ({cell.shots}-shot)"
    names = {"msl": "(MSL)", "wo-ml": "w/o ML", "wo-frm": "w/o FRM", "k2": "K=2"}
    if cell.variant:
        title += f" {names.get(cell.variant, cell.variant)}"
    if cell.adaptation == "none" and cls.few_shot:
        title += " w/o FT"
    return title + joints


def read_log(stage: Stage) -> list[dict[str, Any]]:
    """The training log of a finished stage."""
    log: list[dict[str, Any]] = read_json(stage.folder / "log.json")
    return log
