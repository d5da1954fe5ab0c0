"""One cell: data → train → tune → generate → score → record, each from the store or done now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench.build import (
    build,
    method_class,
    method_path,
    perceptual_hashes,
    pick_device,
    pick_precision,
    use_all_cores,
)
from bench.checkpoint import load_state
from bench.data.pack import Pack, open_pack, procedural_pack
from bench.data.recipe import Recipe
from bench.environment import command_line, describe, git_state
from bench.errors import UsageError, unknown
from bench.files import read_json
from bench.floors import generate_floor
from bench.generate import generate, tune
from bench.presets import DataSize, Preset
from bench.progress import Reporter
from bench.records import Record, write_record
from bench.score import score
from bench.source import method_modules, source_hash
from bench.spec import PAPER_FINETUNE, VARIANTS, Cell, TrainSpec, parse_adaptation
from bench.store import Stage
from bench.train import train
from methods.interface import Budget, FineTune, Method

TRAIN_CODE = ("bench.train", "bench.data.batches")
GENERATE_CODE = ("bench.generate", "bench.data.support")
FLOOR_CODE = ("bench.floors", "bench.data.support")
SCORE_CODE = (
    "bench.score",
    "bench.metrics.ssim",
    "bench.metrics.pixel",
    "bench.metrics.frechet",
    "bench.metrics.kid",
    "bench.metrics.features",
    "bench.metrics.bootstrap",
)


@dataclass(frozen=True)
class Workplace:
    """Where cells are done: the store, the record folder, the data set, and who is told."""

    store: Path
    results: Path
    report: Reporter
    data: Path | None = None  # a folder with a pack of one's own; None: the preset's procedural data
    workers: int | None = None


@dataclass(frozen=True)
class DataIdentity:
    """What a plan must know of a data set before it is rendered."""

    name: str
    digest: str
    image_size: int


def data_identity(size: Preset, place: Workplace) -> DataIdentity:
    """The data set a preset means, or the one the user named; renders nothing."""
    if place.data is not None:
        pack = open_pack(place.data)
        return DataIdentity(place.data.name, pack.digest, pack.image_size)
    return DataIdentity("procedural", Recipe.of(size.data).digest, size.data.image_size)


@cache
def _procedural(size: DataSize, store: Path, workers: int | None, report: Reporter) -> Pack:
    with report.task(f"data, {size.train + size.validation + size.test} characters") as task:
        return procedural_pack(size, store, workers, task.update)


def data_pack(size: Preset, place: Workplace) -> Pack:
    """The data set of a preset, rendered on first use, or the one the user named."""
    if place.data is not None:
        return open_pack(place.data)
    return _procedural(size.data, place.store, place.workers, place.report)


@dataclass(frozen=True)
class Stages:
    """The stages of one cell, by name. A floor has neither training nor tuning."""

    cell: Cell
    warm_start: Stage | None
    train: Stage | None
    tune: Stage | None
    generate: Stage
    score: Stage
    spec: TrainSpec | None
    schedule: FineTune | str | None


def train_spec(
    cell: Cell, size: Preset, data: DataIdentity, device: torch.device, report: Reporter
) -> TrainSpec:
    """The training a cell needs."""
    cls = method_class(cell.method)
    options = {**VARIANTS.get(cell.method, {}).get(cell.variant, {}), **cell.overrides}
    options = {**size.options.get(cell.method, {}), **options}
    common = {
        "method": cell.method,
        "preset": cell.preset,
        "image_size": data.image_size,
        "width": size.widths.get(cell.method, size.default_width),
        "batch": size.batches.get(cell.method, size.default_batch),
        "seed": cell.seed,
        "precision": pick_precision(cell.precision, device),
        "data": data.digest,
        "perceptual": perceptual_hashes(cls.perceptual_nets, report),
    }
    meta = cell.method == "ours" and options.get("training") != "joint"
    if cell.method != "ours":
        return TrainSpec(variant=cell.variant, options=options, budget=Budget(size.pairs, 0), **common)
    if not size.inner_perceptual:
        options["inner_perceptual"] = False
    warm = None
    if size.warm_start_pairs:
        # one joint training serves every row of the same network; options of meta-training do not touch it
        joint = {"training": "joint", **{k: v for k, v in options.items() if k == "frm"}}
        warm = TrainSpec(
            variant="warm-start", options=joint, budget=Budget(size.warm_start_pairs, 0), **common
        )
    if meta:
        budget = Budget(0, size.queries, size.warm_start_pairs)
    else:
        options.pop("inner_perceptual", None)
        more = cell.extra_pairs or equal_samples(size)
        budget = Budget(more, 0, size.warm_start_pairs)
    return TrainSpec(variant=cell.variant, options=options, budget=budget, warm_start=warm, **common)


def equal_samples(size: Preset, inner_steps: int = 4) -> int:
    """Pairs of joint training that see as many samples as meta-training does: its inner steps count."""
    return size.queries * (1 + inner_steps)


def stages(cell: Cell, place: Workplace) -> Stages:
    """The stages of a cell with their keys. Does none of them."""
    size = cell.check()
    device = pick_device(cell.device)
    data = data_identity(size, place)
    extractor = _extractor_identity(cell.extractor)
    score_code = source_hash(SCORE_CODE)
    if cell.is_floor:
        identity = {"floor": cell.method, "data": data.digest}
        drawn = Stage(
            place.store, "generate", f"{cell.method}-{cell.preset}", identity, source_hash(FLOOR_CODE)
        )
        scored = _score_stage(place, drawn, extractor, score_code)
        return Stages(cell, None, None, None, drawn, scored, None, None)
    spec = train_spec(cell, size, data, device, place.report)
    module = method_path(cell.method).partition(":")[0]
    code = source_hash([*method_modules(module), *TRAIN_CODE])
    trained = Stage(place.store, "train", spec.label, spec.identity(), code)
    warm = None
    if spec.warm_start is not None:
        warm = Stage(place.store, "train", spec.warm_start.label, spec.warm_start.identity(), code)
    schedule = _schedule(cell)
    generate_code = source_hash(GENERATE_CODE)
    tuned = None
    if schedule == "tuned":
        grid = {
            "train": trained.key,
            "shots": cell.shots,
            "protocol": cell.protocol,
            "lrs": list(size.tuning_lrs),
            "passes": list(size.tuning_passes),
            "targets": size.tuning_targets,
        }
        tuned = Stage(place.store, "tune", f"{spec.label}-{cell.shots}shot", grid, generate_code)
    identity = {
        "train": trained.key,
        "shots": cell.shots,
        "protocol": cell.protocol,
        "adaptation": tuned.key if tuned else (vars(schedule) if isinstance(schedule, FineTune) else None),
    }
    label = f"{spec.label}-{cell.shots}shot-{_slug(cell.adaptation)}"
    drawn = Stage(place.store, "generate", label, identity, generate_code)
    return Stages(
        cell, warm, trained, tuned, drawn, _score_stage(place, drawn, extractor, score_code), spec, schedule
    )


def _schedule(cell: Cell) -> FineTune | str | None:
    """None: no adaptation; "tuned": chosen on validation characters; else an explicit schedule."""
    wanted = parse_adaptation(cell.adaptation)
    if wanted == "default":
        return "tuned" if method_class(cell.method).few_shot else None
    if wanted == "none":
        return None
    return PAPER_FINETUNE if wanted == "paper" else wanted


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "_" for c in text)


def _score_stage(place: Workplace, drawn: Stage, extractor: dict[str, str], code: str) -> Stage:
    identity = {"generate": drawn.key, "extractor": extractor}
    return Stage(place.store, "score", f"{drawn.label}-{extractor['name']}", identity, code)


@cache
def _extractor_identity(name: str) -> dict[str, str]:
    """Name and weights hash of the FID features, fixed before anything is computed with them.

    `auto` is the paper's kind, Danbooru, where its weights are on this machine, and Inception otherwise; the
    table's header says which. Raises WeightsMissing.
    """
    from bench import weights
    from bench.metrics.features import EXTRACTORS

    if name == "auto":
        name = "danbooru-resnet50" if weights.available("danbooru-resnet50") else "inception"
    if name not in EXTRACTORS:
        raise unknown("feature extractor", name, EXTRACTORS)
    return {"name": name, "sha256": weights.load(name).sha256}


def run_cell(cell: Cell, place: Workplace) -> Record:
    """Do whatever of a cell is not in the store, and write its record under `results/`."""
    use_all_cores()
    size = cell.check()
    device = pick_device(cell.device)
    plan = stages(cell, place)
    pack = data_pack(size, place)
    trained: dict[str, Any] = {}
    tuned: dict[str, Any] | None = None
    if plan.spec is not None and plan.train is not None:
        if plan.warm_start is not None and plan.spec.warm_start is not None:
            _train(plan.warm_start, plan.spec.warm_start, pack, device, place, None)
        warm_file = plan.warm_start.folder / "model.pt" if plan.warm_start else None
        trained = _train(plan.train, plan.spec, pack, device, place, warm_file)
        load = _loader(plan.train, plan.spec, device)
        if plan.tune is not None:
            with place.report.task(f"tune {plan.tune.label}") as task:
                tuned = plan.tune.run(
                    lambda folder: tune(
                        load(),
                        pack,
                        cell.shots,
                        cell.protocol,
                        size.tuning_lrs,
                        size.tuning_passes,
                        size.tuning_targets,
                        device,
                        plan.spec.precision if plan.spec else "fp32",
                        task,
                    )
                )
        schedule = FineTune(tuned["lr"], tuned["passes"]) if tuned else plan.schedule
        if isinstance(schedule, str):
            raise UsageError(f"no schedule for '{schedule}'")
        with place.report.task(f"generate {plan.generate.label}") as task:
            drawn = plan.generate.run(
                lambda folder: generate(
                    load(),
                    pack,
                    folder,
                    cell.shots,
                    cell.protocol,
                    schedule,
                    device,
                    plan.spec.precision if plan.spec else "fp32",
                    task,
                )
            )
    else:
        with place.report.task(f"generate {plan.generate.label}") as task:
            drawn = plan.generate.run(lambda folder: generate_floor(cell.method, pack, folder, task))
    scored = _score(plan, pack, cell, device, place)
    record = _record(cell, plan, pack, trained, tuned, drawn, scored, device, place)
    write_record(place.results / cell.preset / "records" / f"{record_name(cell)}.json", record)
    return record


def record_name(cell: Cell) -> str:
    """The file name of a cell's record: every part that tells two cells of a preset apart."""
    if cell.is_floor:
        return cell.method
    parts = [_slug(cell.method), cell.variant, f"{cell.shots}shot"]
    if cell.adaptation != "default":
        parts.append(_slug(cell.adaptation))
    if cell.extra_pairs:
        parts.append(f"{cell.extra_pairs}pairs")
    if cell.protocol != "shift":
        parts.append(cell.protocol)
    if cell.overrides:
        parts.append("-".join(f"{k}_{v}" for k, v in sorted(cell.overrides.items())))
    if cell.extractor != "auto":
        parts.append(cell.extractor)
    return "-".join([*(part for part in parts if part), f"s{cell.seed}"])


def _train(
    stage: Stage, spec: TrainSpec, pack: Pack, device: torch.device, place: Workplace, warm: Path | None
) -> dict[str, Any]:
    if stage.done:
        return stage.summary()
    with place.report.task(f"train {stage.label}") as task:
        return stage.run(lambda folder: train(spec, pack, folder, device, task, warm))


def _loader(stage: Stage, spec: TrainSpec, device: torch.device) -> Callable[[], Method]:
    @cache
    def load() -> Method:
        method = build(spec, device)
        method.load_state_dict(load_state(stage.folder / "model.pt", device)["method"])
        return method

    return load


def _score(plan: Stages, pack: Pack, cell: Cell, device: torch.device, place: Workplace) -> dict[str, Any]:
    if plan.score.done:
        return plan.score.summary()
    from bench.metrics.features import Extractor

    with place.report.task(f"score {plan.score.label}") as task:
        return plan.score.run(
            lambda folder: score(
                plan.generate.folder,
                pack,
                folder,
                Extractor(plan.score.identity["extractor"]["name"], device),
                place.store,
                task,
            )
        )


def _record(
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
    title = cell.title if cell.is_floor or cell.label else _title(cell)
    notes = list(trained.get("notes", []))
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
            },
            "title": title,
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
        }
    )


def _title(cell: Cell) -> str:
    """The row title as the paper writes it."""
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
    """The training log of a finished stage."""
    log: list[dict[str, Any]] = read_json(stage.folder / "log.json")
    return log
