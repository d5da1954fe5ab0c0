"""What a method costs: training steps, fine-tuning, generating, memory. Measured on what training itself runs.

A step is `Method.train_step` under the autocast of bench/train.py, on the batches that training would see, at the
networks and the batch of a preset. Batches are made, and the device has finished, before the clock starts; loading,
logging, checks and evaluation are outside it. Nothing that is trained here is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench.build import autocast, build, pick_device, use_all_cores
from bench.cells import Workplace, data_identity, data_pack, train_spec
from bench.data.pack import Pack
from bench.generate import BATCH, all_test_pairs, support_set
from bench.peak_memory import PeakMemory
from bench.progress import SilentReporter
from bench.run import row_title
from bench.seeds import derive
from bench.spec import Cell, TrainSpec
from bench.timing_record import Measurement, Part, Spread
from bench.train import _batch as training_batch
from methods.interface import FineTune, Method, Phase, Progress, Support, Transfer
from ours.method import EPOCHS, Ours

MINIMUM = 3  # timed repetitions, whatever they take

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What to measure of one method, as a value that can be handed to another process."""

    cell: Cell
    store: Path
    data: Path | None  # a pack of one's own; None: the preset's data
    repetitions: int  # timed, of each operation
    seconds: float  # for all of a method; repetitions beyond MINIMUM stop at its end
    lr: float  # of fine-tuning, for which the time does not depend on it
    passes: int
    finetune: bool  # also a method that is not few-shot by itself


@dataclass(frozen=True)
class Stretch:
    """Steps `first` to `first + steps` of a phase, which all cost the same."""

    name: str
    phase: Phase
    first: int
    steps: int


class Allowance:
    """Seconds, dealt out evenly to the operations still to be timed: what one leaves, the others get."""

    def __init__(self, seconds: float, operations: int) -> None:
        self._end, self._operations = perf_counter() + seconds, operations

    def take(self) -> float:
        share = max(0.0, self._end - perf_counter()) / self._operations
        self._operations -= 1
        return share


def synchronise(device: torch.device) -> None:
    """Wait for all work that was given to a device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def repeat(
    prepare: Callable[[int], T], operate: Callable[[T], object], device: torch.device, repetitions: int, seconds: float
) -> tuple[Spread, Spread]:
    """Times of `operate` and, apart, of `prepare`, which makes what repetition 0, 1, … works on.

    Repetition 0 warms up and is not counted. At least MINIMUM others, then up to `repetitions` within `seconds`.
    """
    preparing, operating = list[float](), list[float]()
    begun = perf_counter()
    for number in range(1 + max(MINIMUM, repetitions)):
        if len(operating) >= MINIMUM and perf_counter() - begun >= seconds:
            break
        asked = perf_counter()
        prepared = prepare(number)
        synchronise(device)
        started = perf_counter()
        operate(prepared)
        synchronise(device)
        finished = perf_counter()
        if number:
            preparing.append(started - asked)
            operating.append(finished - started)
    return Spread.of(operating), Spread.of(preparing)


def stretches(method: Method) -> list[Stretch]:
    """The parts of a method's training that cost differently: its phases; with the multi-step loss two of one phase.

    While that loss is annealed every inner step has a query pass; afterwards only the last one has.
    """
    found = []
    for phase in method.phases():
        if phase.data == "episodes" and isinstance(method, Ours) and method.options.msl:
            # the steps whose epoch, ⌊EPOCHS · step / steps⌋, is below msl_epochs
            early = min(phase.steps, math.ceil(method.options.msl_epochs * phase.steps / EPOCHS))
            found.append(Stretch("multi-step loss", phase, 0, early))
            found.append(Stretch("last step alone", phase, early, phase.steps - early))
        else:
            found.append(Stretch(phase.name, phase, 0, phase.steps))
    return [stretch for stretch in found if stretch.steps]


def samples_a_step(method: Method, phase: Phase) -> int:
    """Samples a step trains on: its pairs; of every task one query, and a support sample each inner step."""
    if phase.data == "pairs":
        return phase.batch
    inner = method.options.inner_steps if isinstance(method, Ours) else phase.support
    return phase.batch * (1 + inner)


def measure(job: Job) -> Measurement:
    """Everything Table 3 says of one method. For its memory to mean something on a CPU, the process must be fresh.

    Raises UsageError for a method that cannot be built; whatever else a method raises is passed on.
    """
    use_all_cores()
    size, device = job.cell.check(), pick_device(job.cell.device)
    place = Workplace(job.store, Path(), SilentReporter(), job.data)
    pack = data_pack(size, place)
    spec = train_spec(job.cell, size, data_identity(size, place), device, place.report)
    _wake(pack, device)
    memory = PeakMemory(device)
    torch.manual_seed(derive(spec.seed, "initialise"))
    method = build(spec.when_adapting, device)
    parts = stretches(method)
    adapts = method.few_shot or job.finetune
    allowance = Allowance(job.seconds, len(parts) + adapts + 1)
    memory.reset()
    total = sum(phase.samples for phase in method.phases())
    training = tuple(_time_part(method, part, total, pack, spec, device, job, allowance.take()) for part in parts)
    peak = memory.growth() if training else None
    generating, macs = _time_generating(method, pack, spec, device, job, allowance.take())
    adapting, notes = None, list(method.notes())
    if adapts:
        adapting, note = _time_adapting(method, pack, spec, device, job, allowance.take())
        notes += [note] if note else []
    timed = {f"steps ({part.name})" if len(parts) > 1 else "steps": part.step for part in training}
    timed |= {"generation": generating, **({"fine-tuning": adapting} if adapting else {})}
    notes += _shortened(timed, job)
    return Measurement(
        method=job.cell.method,
        variant=job.cell.variant,
        title=row_title(job.cell),
        parts=training,
        adapt=adapting,
        generate=generating,
        memory=peak,
        parameters=sum(p.numel() for probe in method.probes() for p in probe.module.parameters() if p.requires_grad),
        macs=macs,
        notes=tuple(notes),
    )


def _wake(pack: Pack, device: torch.device) -> None:
    """Load what torch loads on first use, and the pack where it will live, so that no method is charged for it."""
    image = pack.images(pack.frames_in("train")[:1], device)
    layer = torch.nn.Conv2d(3, 8, 3).to(device)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(image).mean().backward()
    optimiser.step()
    synchronise(device)


def _time_part(
    method: Method,
    part: Stretch,
    total: int,
    pack: Pack,
    spec: TrainSpec,
    device: torch.device,
    job: Job,
    seconds: float,
) -> Part:
    """Training steps of one stretch; `total` pairs, or queries, are seen in the whole training."""
    phase, seed = part.phase, derive(derive("train", spec.seed), part.phase.name)

    def prepare(number: int) -> tuple[int, object]:
        step = part.first + number % part.steps
        batch = training_batch(pack, phase, seed, step, device)
        torch.manual_seed(derive(seed, step))
        return step, batch

    def operate(prepared: tuple[int, object]) -> None:
        step, batch = prepared
        with autocast(device, spec.precision):
            method.train_step(batch, Progress(phase, step))  # type: ignore[arg-type]

    step, data = repeat(prepare, operate, device, job.repetitions, seconds)
    share = phase.samples * part.steps / phase.steps / total
    return Part(part.name, share, phase.batch, samples_a_step(method, phase), step, data)


def _time_generating(
    method: Method, pack: Pack, spec: TrainSpec, device: torch.device, job: Job, seconds: float
) -> tuple[Spread, int]:
    """Seconds an image, drawn BATCH at once as in bench/generate.py, and multiply-accumulates of one image.

    The generator is as after training: one that was fine-tuned costs the same.
    """
    characters = list(all_test_pairs(pack))
    first = characters[0]
    transfer: Transfer = method.adapt(support_set(pack, first, job.cell.shots, job.cell.protocol, device), None)

    def prepare(number: int) -> tuple[Tensor, Tensor, Tensor]:
        pairs = characters[number % len(characters)]
        image, keypoints = pack.images([pairs.source], device), pack.keypoints_of([pairs.source], device)
        poses = pack.keypoints_of(np.resize(pairs.targets, BATCH), device)
        return image.expand(BATCH, -1, -1, -1), keypoints.expand(BATCH, -1, -1), poses

    def operate(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
        with torch.no_grad(), autocast(device, spec.precision):
            transfer(*inputs)

    macs = macs_of(transfer, *prepare(0))
    taken, _ = repeat(prepare, operate, device, job.repetitions, seconds)
    return taken.times(1 / BATCH), macs


def macs_of(transfer: Transfer, source: Tensor, source_keypoints: Tensor, poses: Tensor) -> int:
    """Multiply-accumulates of drawing the first of the given poses; what is counted: methods/count.py."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        transfer(source[:1], source_keypoints[:1], poses[:1])
    return counter.get_total_flops() // 2  # torch counts a multiply-accumulate as two operations


def _time_adapting(
    method: Method, pack: Pack, spec: TrainSpec, device: torch.device, job: Job, seconds: float
) -> tuple[Spread | None, str]:
    """Seconds of fine-tuning to one test character, or None; and a footnote, or "".

    Where the whole schedule does not fit MINIMUM times, single passes are timed and multiplied.
    """
    characters = list(all_test_pairs(pack))
    made: list[int] = []  # passes of each repetition

    def prepare(number: int) -> Support:
        made.append(0)
        return support_set(pack, characters[number % len(characters)], job.cell.shots, job.cell.protocol, device)

    def count(index: int, _: Transfer) -> None:
        made[-1] = index

    def passes(wanted: int) -> Callable[[Support], None]:
        def operate(support: Support) -> None:
            with autocast(device, spec.precision):
                method.adapt(support, FineTune(job.lr, wanted), count)

        return operate

    single, _ = repeat(prepare, passes(1), device, MINIMUM, 0)
    wanted, note, taken = 1, "", single.times(job.passes)
    if job.passes > 1 and taken.median * (1 + MINIMUM) <= seconds:
        made.clear()
        wanted = job.passes
        taken, _ = repeat(prepare, passes(wanted), device, job.repetitions, seconds)
    elif job.passes > 1:
        note = (
            f"Fine-tuning was timed for single passes and multiplied by {job.passes}: {MINIMUM} repetitions of "
            f"all do not fit in the {job.seconds:g} s given to a method"
        )
    if min(made) < wanted:
        # a method stops early when its loss grows, and one that does not fine-tune makes no pass at all
        return None, f"Fine-tuning made {min(made)} of {wanted} passes at learning rate {job.lr:g}, so it is not timed"
    return taken, note


def _shortened(timed: dict[str, Spread], job: Job) -> list[str]:
    """A footnote when the time given was not enough for all the repetitions asked for."""
    short = [f"{name} {spread.count}" for name, spread in timed.items() if spread.count < job.repetitions]
    if not short:
        return []
    return [
        f"Of {job.repetitions} repetitions, the {job.seconds:g} s given to a method sufficed for: {', '.join(short)}"
    ]
