"""Training steps of every method in single and in half precision, in both layouts of memory, compiled and not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from time import perf_counter

import torch
from torch import nn

from bench.build import autocast, build, method_class
from bench.conformance import Subject
from bench.plan import BASELINES
from bench.spec import TrainSpec
from bench.speed.record import Group, Line, Scope, line
from bench.timing import stretches, synchronise
from methods import METHODS
from methods.interface import Method, Progress

BASE = "fp32, NCHW, not compiled"
LOSSES = "largest relative difference of a loss of the first step"
NOT_COMPILED = "Not available: left out by --no-compile or --quick, since compiling takes minutes"
NO_BF16 = "Not available: bf16 is slower than fp32 here, and left out of what takes minutes to compile"
RANDOM = "Compiled, or in another layout, the same seed draws other dropout masks: its losses are of those"


@dataclass(frozen=True)
class Way:
    """How a step is computed; all of it is switched from outside a method."""

    name: str
    precision: str = "fp32"
    channels_last: bool = False
    compiled: bool = False


WAYS = (
    Way(BASE),
    Way("bf16", "bf16"),
    Way("channels_last", channels_last=True),
    Way("bf16, channels_last", "bf16", channels_last=True),
    Way("compiled", compiled=True),
    Way("bf16, channels_last, compiled", "bf16", channels_last=True, compiled=True),
)


class Steps:
    """Training steps of one stretch of a method, built afresh and computed in one way."""

    def __init__(self, spec: TrainSpec, stretch: str, device: torch.device, way: Way = WAYS[0]) -> None:
        torch.manual_seed(spec.seed)
        self.method = build(spec, device)
        (self.stretch,) = (found for found in stretches(self.method) if found.name == stretch)
        self.batch = Subject(spec.method, device, spec.image_size).batch(self.stretch.phase, 0)
        self.device, self.way = device, way
        self.first: dict[str, float] = {}  # losses of step 0
        for network in trained_networks(self.method):
            if way.channels_last:
                network.to(memory_format=torch.channels_last)
            if way.compiled:
                network.compile()

    def __call__(self, number: int) -> None:
        torch.manual_seed(number)
        with autocast(self.device, self.way.precision):
            losses = self.method.train_step(self.batch, self.progress(number))
        if number == 0:
            self.first = {name: float(value) for name, value in losses.items()}

    def progress(self, number: int) -> Progress:
        return Progress(self.stretch.phase, self.stretch.first + number % self.stretch.steps)

    def apart(self, other: Steps) -> float | None:
        """The largest relative difference of a first loss; None before the first step."""
        found = [
            abs(value - other.first[name]) / max(abs(other.first[name]), 1e-6) for name, value in self.first.items()
        ]
        return max(found, default=None)


def trained_networks(method: Method) -> list[nn.Module]:
    """The networks a method updates: those it holds, and those that what it holds holds.

    `Method.probes` names as many, but may make one up to count it.
    """

    def held(owner: object, depth: int) -> Iterator[nn.Module]:
        for value in vars(owner).values():
            if isinstance(value, nn.Module):
                yield value
            elif depth and hasattr(value, "__dict__"):
                yield from held(value, depth - 1)

    found = {id(network): network for network in held(method, 1)}
    return [network for network in found.values() if any(p.requires_grad for p in network.parameters())]


def steps(scope: Scope) -> Iterator[Group]:
    """A group for each stretch of each method's training."""
    names = scope.methods or (*BASELINES, "ours", *(name for name in METHODS if name not in (*BASELINES, "ours")))
    cells = [scope.cell(name) for name in names]
    if "ours" in names:
        cells.insert(names.index("ours"), scope.cell("ours", "wo-ml"))
    for cell in cells:
        spec = scope.spec(cell)
        torch.manual_seed(0)
        parts = stretches(build(spec, scope.device))
        for part in parts:
            training = " w/o ML" if cell.variant else ""
            title = f"{title_of(cell.method)}{training}{f', {part.name}' if len(parts) > 1 else ''}"
            with scope.report.task(f"steps, {title}"):
                lines = _in_all_ways(spec, part.name, scope)
            batch = f"{part.phase.batch} {'tasks' if part.phase.data == 'episodes' else 'pairs'}"
            heading = f"Training step, {title}, {batch}; ratios to {BASE}; apart: {LOSSES}"
            yield Group(f"step {title}", heading, lines)


def title_of(method: str) -> str:
    return method_class(method).title


def _in_all_ways(spec: TrainSpec, stretch: str, scope: Scope) -> tuple[Line, ...]:
    running, left_out = dict[str, Steps](), dict[str, str]()
    for way in WAYS:
        if way.compiled and not scope.compiles:
            left_out[way.name] = NOT_COMPILED
        elif way.compiled and way.precision == "bf16" and not bf16_pays(scope.device):
            left_out[way.name] = NO_BF16
        else:
            running[way.name] = Steps(spec, stretch, scope.device, way)
    timed = scope.time(running)
    lines = []
    for way in WAYS:
        if way.name in left_out:
            lines.append(Line(way.name, notes=(left_out[way.name],)))
            continue
        notes = (RANDOM,) if (way.compiled or way.channels_last) and has_dropout(running[way.name].method) else ()
        apart = running[way.name].apart(running[BASE]) if way.name != BASE else None
        lines.append(line(timed, way.name, BASE, notes=notes, apart=apart))
    return tuple(lines)


@cache
def bf16_pays(device: torch.device) -> bool:
    """Whether bfloat16 is worth compiling for: always on a GPU; some processors have units for it, others make do."""
    if device.type != "cpu":
        return True

    def seconds(precision: str) -> float:
        x, layer = torch.randn(4, 64, 32, 32, device=device), torch.nn.Conv2d(64, 64, 3, padding=1, device=device)
        best = math.inf
        for _ in range(3):  # the first builds the kernel
            synchronise(device)
            started = perf_counter()
            with torch.no_grad(), autocast(device, precision):
                layer(x)
            synchronise(device)
            best = min(best, perf_counter() - started)
        return best

    return seconds("bf16") < seconds("fp32")


def has_dropout(method: Method) -> bool:
    modules = (part for network in trained_networks(method) for part in network.modules())
    return any("dropout" in type(part).__name__.lower() for part in modules)
