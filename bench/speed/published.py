"""Our steps beside those of the baselines' own code, as far as two machines can be compared.

What is known without clones of that code (with them: bench/speed/beside.py) are CPU seconds a training step on one
thread of *another* machine. Whether that machine is faster is not known, so every figure stands beside the rate of
multiply-accumulates that it means, and beside the rate of a plain convolution here. A step that runs at that rate could
hardly be quicker. Beside it, on this machine: steps of the same networks made of torch's layers as they come
(bench/speed/plain.py).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from bench.spec import TrainSpec
from bench.speed import plain
from bench.speed.clock import Clock, Operation, Quartiles, interleave
from bench.speed.record import Group, Line, Scope, line
from bench.speed.steps import LOSSES, Steps, title_of

SECONDS: dict[tuple[str, str], float] = {
    ("pix2pix", "joint"): 0.62,
    ("pg2", "stage 1"): 4.73,
    ("pg2", "stage 2"): 3.55,
    ("patn", "joint"): 5.82,
    ("xinggan", "joint"): 6.21,
}
"""CPU seconds a training step of the authors' own code on one thread: 64 × 64, batch 4, published widths."""
SIZE, BATCH = 64, 4

CONVOLUTION = "plain 3 × 3 convolution, 256 channels, forward and backward"
OTHER_MACHINE = (
    "Measured on another machine, of which no reference operation is known: the ratio compares two machines as much as "
    "two programs"
)
AS_THEY_COME = ", layers as they come"
ITS_RATE = "If it computes what a step here does"


def published(scope: Scope) -> list[Group]:
    """A training step of each baseline at published widths, its rate, and the authors' seconds."""
    heading = f"Training step at {SIZE} px, batch {BATCH}, published widths; ratios to the authors' own code"
    if scope.device.type != "cpu" or scope.threads != 1:
        reason = "Not available: the figures are of one CPU thread; use --device cpu --threads 1"
        return [Group("published code", heading, tuple(Line(_title(*key), notes=(reason,)) for key in SECONDS))]
    wanted = {key: seconds for key, seconds in SECONDS.items() if key[0] in (scope.methods or [key[0]])}
    convolution = Convolution(channels=32 if scope.quick else 256)
    running: dict[str, Operation] = {CONVOLUTION: convolution}
    suites: dict[str, Steps] = {}
    counted: dict[str, Counted] = {}
    plain_steps: dict[str, plain.PlainSteps] = {}
    for method, stretch in wanted:
        title, spec = _title(method, stretch), _spec(method, scope)
        suites[title] = Steps(spec, stretch, scope.device)
        running[title] = counted[title] = Counted(suites[title])
        if method in plain.METHODS:
            running[title + AS_THEY_COME] = plain_steps[title] = plain.PlainSteps(spec, stretch, scope.device)
    with scope.report.task("steps at published widths"):
        timed = interleave(running, Clock(scope.device, 1), min(scope.rounds, 5), scope.seconds)
    reference = timed.quartiles(CONVOLUTION)
    assert reference is not None
    lines = [Line(CONVOLUTION, reference, macs_rate=convolution.macs / reference.median)]
    for (method, stretch), theirs in wanted.items():
        title = _title(method, stretch)
        ours = timed.quartiles(title)
        if ours is None:
            lines.append(Line(title, notes=(f"Not available: {timed.failed[title]}",)))
            continue
        macs = counted[title].macs
        if scope.quick:
            lines.append(Line(title, ours, macs_rate=macs / ours.median, notes=("--quick narrows the networks",)))
            continue
        share = reference.median / convolution.macs * macs / ours.median  # of the convolution's rate
        ratio = ours.times(1 / theirs)
        lines.append(Line(title, ours, ratio, macs_rate=macs / ours.median, notes=(OTHER_MACHINE,)))
        equal = macs / theirs / share / 1e9
        note = (
            f"{ITS_RATE}, {title} runs at {100 * share:.0f} % of the convolution's rate here, and the authors' code is "
            f"the less efficient one if its machine runs that convolution at more than {equal:.1f} billion a second"
        )
        own = Quartiles(theirs, theirs, theirs, 1)
        lines.append(Line(f"{title}, authors' code", own, macs_rate=macs / theirs, notes=(OTHER_MACHINE, note)))
    groups = [Group("published code", heading, tuple(lines))]
    if plain_steps:
        heading = (
            f"The same steps, and of torch's layers and optimiser as they come; ratios to this suite's; apart: {LOSSES}"
        )
        lines = []
        for title, steps in plain_steps.items():
            apart = steps.apart(suites[title])
            lines += [line(timed, title, title), line(timed, title + AS_THEY_COME, title, apart=apart)]
        groups.append(Group("torch's layers", heading, tuple(lines)))
    return groups


def _title(method: str, stretch: str) -> str:
    return title_of(method) + (f", {stretch}" if stretch != "joint" else "")


def _spec(method: str, scope: Scope) -> TrainSpec:
    spec = scope.spec(scope.cell(method))
    return replace(spec, image_size=SIZE, batch=BATCH, width=0.125 if scope.quick else 1.0, options={})


class Counted:
    """A step that counts the multiply-accumulates of its first run, backward pass included."""

    def __init__(self, steps: Operation) -> None:
        self._steps, self.macs = steps, 0

    def __call__(self, number: int) -> None:
        if number:
            self._steps(number)
            return
        counter = FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:  # the math backend spells attention out as matrix products
            self._steps(number)
        self.macs = counter.get_total_flops() // 2  # torch counts a multiply-accumulate as two operations


class Convolution:
    """Forward and backward pass of one 3 × 3 convolution on [4, C, 16, 16]: what most of these steps consist of."""

    def __init__(self, channels: int) -> None:
        self._x = torch.randn(4, channels, 16, 16, requires_grad=True)
        self._weight = torch.randn(channels, channels, 3, 3, requires_grad=True)
        self._gradient = torch.randn(4, channels, 16, 16)
        self._repeats = 4  # long enough for the clock
        self.macs = 3 * self._repeats * 4 * 16 * 16 * 9 * channels**2

    def __call__(self, number: int) -> None:
        for _ in range(self._repeats):
            out = conv2d(self._x, self._weight, padding=1)
            torch.autograd.grad(out, (self._x, self._weight), self._gradient)
