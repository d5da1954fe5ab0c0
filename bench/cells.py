"""From a cell to its stages: which data, which training, which keys. Nothing is computed here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench.build import method_class, method_path, perceptual_hashes, pick_device, pick_precision
from bench.data.pack import Pack, open_pack, open_procedural, procedural_pack
from bench.data.recipe import Recipe
from bench.data.shift import shift_offsets
from bench.errors import DataError, UsageError, unknown
from bench.pose.joints import joints_identity
from bench.presets import Preset
from bench.progress import Reporter
from bench.source import method_modules, source_hash
from bench.spec import EXACT, PAPER_FINETUNE, VARIANTS, Cell, TrainSpec, parse_adaptation
from bench.store import Stage
from bench.trial import Trial, crossed_suffix, refuse_taken_name, slug
from methods.interface import Budget, FineTune

EVERY_CODE = ("bench.seeds", "bench.data.pixels")
TRAIN_CODE = (
    *EVERY_CODE,
    *("bench.train", "bench.build", "bench.data.batches", "bench.data.shift"),
    *("bench.ranks.step", "bench.ranks.noise", "bench.ranks.statistics"),
)
GENERATE_CODE = (*EVERY_CODE, "bench.generate", "bench.build", "bench.data.support", "bench.data.shift")
META_OPTIONS = (
    *("msl", "msl_epochs", "support", "support_from"),
    *("inner_steps", "inner_lr", "inner_perceptual", "order"),
)
"""Options of Ours that say nothing to joint training."""
FLOOR_CODE: tuple[str, ...] = (*EVERY_CODE, "bench.floors", "bench.data.support")
CROSSED_FLOOR_CODE = (*FLOOR_CODE, "bench.data.beside")
SCORE_CODE = (
    *EVERY_CODE,
    "bench.score",
    "bench.metrics.ssim",
    "bench.metrics.pixel",
    "bench.metrics.frechet",
    "bench.metrics.kid",
    "bench.metrics.features",
    "bench.metrics.bootstrap",
    "bench.metrics.lpips",
)


@dataclass(frozen=True)
class Workplace:
    """Where cells are done: the store, the record folder, the data set, and who is told."""

    store: Path
    results: Path
    report: Reporter
    data: Path | None = None  # a folder with a pack of one's own; None: the preset's procedural data
    workers: int | None = None
    test_data: Path | None = None  # a folder with the pack whose test characters are drawn; None: those of `data`
    retry: str = ""  # names this run, where it does again what failed in others


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


def data_pack(size: Preset, place: Workplace) -> Pack:
    """The data set of a preset, rendered on first use, or the one the user named."""
    if place.data is not None:
        return open_pack(place.data)
    made = open_procedural(size.data, place.store)
    if made is None:
        with place.report.task(f"data, {size.data.train + size.data.validation + size.data.test} characters") as task:
            made = procedural_pack(size.data, place.store, place.workers, task.update)
    return made


def tested_pack(size: Preset, place: Workplace) -> Pack | None:
    """The data set of `--test-data`, of which only test characters count; None where there is none of its own.

    Raises UsageError for images of another size than the training data's and for a name that other data have taken,
    DataError for no test characters.
    """
    if place.test_data is None:
        return None
    pack, data = open_pack(place.test_data), data_identity(size, place)
    if pack.image_size != data.image_size:
        raise UsageError(
            f"--test-data {place.test_data}: {pack.image_size} px, and the training data have {data.image_size}; "
            f"make it again with --size {data.image_size}"
        )
    if pack.digest == data.digest:
        return None
    if not len(pack.characters("test")):
        raise DataError(
            f"--test-data {place.test_data}: no test characters; `bench data render --split test` makes all of them so"
        )
    refuse_taken_name(pack, place.results / size.name / "records", place.test_data)
    return pack


def trial_of(cell: Cell, place: Workplace) -> Trial:
    """What a cell is put to; raises as `tested_pack` does."""
    return Trial(tested_pack(cell.check(), place), cell.joints)


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
    tested: Pack | None = None  # whose test characters are drawn, where that is not the training data


def train_spec(cell: Cell, size: Preset, data: DataIdentity, device: torch.device, report: Reporter) -> TrainSpec:
    """The training a cell needs."""
    cls = method_class(cell.method)
    options = {**VARIANTS.get(cell.method, {}).get(cell.variant, {}), **cell.overrides}
    options = {**size.options.get(cell.method, {}), **options}
    spec = TrainSpec(
        method=cell.method,
        variant=cell.variant,
        options=options,
        preset=cell.preset,
        image_size=data.image_size,
        width=size.widths.get(cell.method, size.default_width),
        batch=size.batches.get(cell.method, size.default_batch),
        seed=cell.seed,
        precision=pick_precision(cell.precision, device),
        data=data.digest,
        budget=Budget(size.pairs, 0),
        perceptual=perceptual_hashes(cls.perceptual_nets, report),
    )
    if cell.method != "ours":
        return spec
    base, warm = spec, None
    joint = {name: value for name, value in options.items() if name not in META_OPTIONS} | {"training": "joint"}
    if size.warm_start_pairs:
        # one joint training serves every row of the same network: options of meta-training do not touch it
        warm = replace(base, variant="warm-start", options=joint, budget=Budget(size.warm_start_pairs, 0))
        if not size.perceptual_everywhere:
            warm = replace(warm, options={**joint, "perceptual": 0.0}, perceptual={})
    if options.get("training") == "joint":
        budget = Budget(cell.extra_pairs or equal_samples(size), 0, size.warm_start_pairs)
        # adapted by the same loss as what meta-training made
        adapting = {} if size.perceptual_everywhere else {"inner_perceptual": False}
        return replace(base, options=joint, budget=budget, warm_start=warm, adapting=adapting)
    if not size.perceptual_everywhere:
        options["inner_perceptual"] = False
    budget = Budget(0, size.queries, size.warm_start_pairs)
    return replace(base, options=options, budget=budget, warm_start=warm)


def equal_samples(size: Preset, inner_steps: int = 4) -> int:
    """Pairs of joint training that see as many samples as meta-training does: its inner steps count."""
    return size.queries * (1 + inner_steps)


def refuse_empty_shots(cell: Cell, image_size: int) -> None:
    """Raises UsageError where a support picture would be moved by half its width or more: little of it is left."""

    def fits(shots: int) -> bool:
        return max(map(abs, shift_offsets(image_size, shots))) < image_size / 2

    # as many as the frame has columns never fit: the shifts are whole pixels
    most = max(filter(fits, range(1, min(cell.shots, image_size) + 1)))
    if cell.protocol == "shift" and most < cell.shots:
        raise UsageError(
            f"--shots {cell.shots}: the support pictures are shifts of one, and so many would leave a {image_size} px "
            f"frame half empty; give at most {most}"
        )


def stages(cell: Cell, place: Workplace) -> Stages:
    """The stages of a cell with their keys. Does none of them."""
    size = cell.check()
    device = pick_device(cell.device)
    data, tested = data_identity(size, place), tested_pack(size, place)
    refuse_empty_shots(cell, data.image_size)
    extractor = extractor_identity(cell.extractor)
    # only where they are detected: the keys of cells with exact joints know nothing of detectors
    joints: dict[str, Any] = {} if cell.joints == EXACT else {"joints": joints_identity()}
    # nothing where they are one, so that keys are those of cells without --test-data
    crossed: dict[str, Any] = {"test_data": tested.digest} if tested else {}
    suffix = "-detected-joints" if joints else ""
    if cell.is_floor:
        label, looked_at, code = f"{cell.method}-{cell.preset}{suffix}", {"data": data.digest}, FLOOR_CODE
        if tested and cell.method == "nearest-pose":
            looked_at, code = looked_at | crossed, CROSSED_FLOOR_CODE
        elif tested:  # the others know nothing of training data
            looked_at = {"data": tested.digest}
        wanted = {"floor": cell.method, **looked_at, **joints}
        drawn = Stage(place.store, "generate", label, wanted, source_hash(code))
        scored = score_stage(place.store, drawn, extractor)
        return Stages(cell, None, None, None, drawn, scored, None, None, tested)
    spec = train_spec(cell, size, data, device, place.report)
    module = method_path(cell.method).partition(":")[0]
    train_code = source_hash([*method_modules(module), *TRAIN_CODE])
    trained = Stage(place.store, "train", spec.label, spec.identity(), train_code)
    warm = None
    if spec.warm_start is not None:
        warm = Stage(place.store, "train", spec.warm_start.label, spec.warm_start.identity(), train_code)
    schedule = _schedule(cell)
    generate_code = source_hash(GENERATE_CODE)
    # nothing where there are none, or nothing adapts
    adapting: dict[str, Any] = {"options": dict(spec.adapting)} if spec.adapting and schedule is not None else {}
    tuned = None
    if schedule == "tuned":
        tried = [passes for passes in size.tuning_passes if passes * cell.shots <= size.tuning_steps]
        grid: dict[str, Any] = {
            "train": trained.key,
            "shots": cell.shots,
            "protocol": cell.protocol,
            "lrs": list(size.tuning_rates(cell.method)),
            "passes": tried or list(size.tuning_passes[:1]),
            "targets": size.tuning_targets,
            **adapting,
        }
        tuned = Stage(place.store, "tune", f"{spec.label}-{cell.shots}shot", grid, generate_code)
    identity: dict[str, Any] = {
        "train": trained.key,
        "shots": cell.shots,
        "protocol": cell.protocol,
        "adaptation": tuned.key if tuned else (vars(schedule) if isinstance(schedule, FineTune) else None),
        **adapting,
        **crossed,
        **joints,
    }
    # its digest, not its name: a folder that was renamed holds the same pictures
    suffix += f"-on-{tested.digest[:8]}" if tested else ""
    label = f"{spec.label}-{cell.shots}shot-{slug(cell.adaptation)}{suffix}"
    drawn = Stage(place.store, "generate", label, identity, generate_code)
    scored = score_stage(place.store, drawn, extractor)
    return Stages(cell, warm, trained, tuned, drawn, scored, spec, schedule, tested)


def _schedule(cell: Cell) -> FineTune | str | None:
    """None: no adaptation; "tuned": chosen on validation characters; else an explicit schedule."""
    wanted = parse_adaptation(cell.adaptation)
    if wanted == "default":
        return "tuned" if method_class(cell.method).few_shot else None
    if wanted == "none":
        return None
    return PAPER_FINETUNE if wanted == "paper" else wanted


def score_stage(store: Path, drawn: Stage, extractor: dict[str, str]) -> Stage:
    """Scoring the images of a generate stage."""
    identity = {"generate": drawn.key, "extractor": extractor, "lpips": lpips_identity()}
    return Stage(store, "score", f"{drawn.label}-{extractor['name']}", identity, source_hash(SCORE_CODE))


@cache
def extractor_identity(name: str) -> dict[str, str]:
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


@cache
def lpips_identity() -> list[str] | None:
    """Hashes of the weights LPIPS is computed with; None where they are not on this machine: then it is left out."""
    from bench import weights

    names = ("alexnet", "lpips-alex")
    return [weights.load(name).sha256 for name in names] if all(map(weights.available, names)) else None


def record_name(cell: Cell) -> str:
    """The file name of a cell's record: every part that tells two cells of a preset apart."""
    if cell.is_floor:
        return cell.method if cell.joints == EXACT else f"{cell.method}-detected-joints"
    parts = [slug(cell.method), cell.variant, f"{cell.shots}shot"]
    if cell.adaptation != "default":
        parts.append(slug(cell.adaptation))
    if cell.extra_pairs:
        parts.append(f"{cell.extra_pairs}pairs")
    if cell.protocol != "shift":
        parts.append(cell.protocol)
    if cell.joints != EXACT:
        parts.append("detected-joints")
    if cell.overrides:
        parts.append("-".join(f"{k}_{v}" for k, v in sorted(cell.overrides.items())))
    if cell.extractor != "auto":
        parts.append(cell.extractor)
    return "-".join([*(part for part in parts if part), f"s{cell.seed}"])


def record_path(found: Stages, results: Path) -> Path:
    """The file of a cell's record. Rows tested on a second data set lie beside those tested on their own."""
    name = record_name(found.cell) + crossed_suffix(found.tested)
    return results / found.cell.preset / "records" / f"{name}.json"
