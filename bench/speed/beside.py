"""This suite's training steps beside the baselines' own code, run in turn on this machine (bench/speed/authors.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from bench.peak_memory import PeakMemory
from bench.spec import TrainSpec
from bench.speed.authors import REPOSITORIES, AuthorsSteps
from bench.speed.clock import Clock, Quartiles, interleave, one_line
from bench.speed.memory import SUITE, in_fresh_process, measure, over
from bench.speed.published import BATCH, SIZE, Counted
from bench.speed.record import Group, Line, Scope, line
from bench.speed.steps import Steps, title_of, trained_networks

LARGE = 256  # px, where XingGAN's attention maps have 4096 rows
THEIRS = "authors' code"
NO_VGG = "Without VGG19, which the authors' code has: its weights are missing here, or --quick leaves it out"
NO_CLONES = "Not available: --authors names a folder with clones of the authors' code"


def authors(scope: Scope) -> Iterator[Group]:
    """A group for each baseline of which there may be a clone, then XingGAN's memory beside its authors'."""
    wanted = [method for method in REPOSITORIES if method in (scope.methods or REPOSITORIES)]
    if scope.authors is None:
        yield Group("authors", "Training steps beside the authors' own code", (Line(THEIRS, notes=(NO_CLONES,)),))
        return
    size, batch = (scope.image_size, 2) if scope.quick else (SIZE, BATCH)
    widths = "an eighth of the published widths beside all of them" if scope.quick else "published widths"
    for method in wanted:
        title = title_of(method)
        with scope.report.task(f"steps of {title} and of its authors' code"):
            lines = _steps(method, scope, scope.authors, size, batch)
        heading = f"Training step, {title}, {size} px, batch {batch}, {widths}; ratios to the authors' own code"
        yield Group(f"authors' {title}", heading, lines)
    if "xinggan" in wanted:
        size = scope.image_size if scope.quick else LARGE
        with scope.report.task("memory of XingGAN and of its authors' code"):
            lines = _memory(scope, scope.authors, size)
        heading = f"XingGAN's memory, the first training step at {size} px, batch 1; ratios of memory to this suite's"
        yield Group("XingGAN's memory and its authors'", heading, lines)


def _spec(method: str, scope: Scope, size: int, batch: int) -> TrainSpec:
    spec = scope.spec(scope.cell(method))
    return replace(spec, image_size=size, batch=batch, width=0.125 if scope.quick else 1.0, options={})


def _steps(method: str, scope: Scope, clones: Path, size: int, batch: int) -> tuple[Line, ...]:
    ours = Steps(_spec(method, scope, size, batch), "joint", scope.device)
    try:
        theirs = AuthorsSteps(method, clones, size, batch, scope.device)
    except Exception as error:
        # what lies in that folder may raise anything; the other clones are still worth their time
        return (Line(THEIRS, notes=(f"Not available: {one_line(error)}",)),)
    title = title_of(method)
    counted = {title: Counted(ours), THEIRS: Counted(theirs)}
    timed = interleave(counted, Clock(scope.device, scope.threads), scope.rounds, scope.seconds)
    trained = sum(p.numel() for network in trained_networks(ours.method) for p in network.parameters())
    macs = {name: found.macs for name, found in counted.items()}
    sizes = (
        f"{trained:,} parameters here, {theirs.parameters:,} in the authors' code; {macs[title] / 1e9:.2f} and "
        f"{macs[THEIRS] / 1e9:.2f} billion multiply-accumulates a step"
    )
    less = (NO_VGG,) if getattr(ours.method, "vgg", theirs) is None else ()
    lines = [line(timed, THEIRS, THEIRS), line(timed, title, THEIRS, notes=(sizes, *less))]
    return tuple(
        replace(found, macs_rate=macs[found.name] / found.seconds.median) if found.seconds else found for found in lines
    )


def _memory(scope: Scope, clones: Path, size: int) -> tuple[Line, ...]:
    where = str(scope.device), scope.threads
    ours = in_fresh_process(measure, _spec("xinggan", scope, size, 1), SUITE, *where)
    mine = Line(SUITE.name, Quartiles.of([ours.seconds]), over(ours.memory, ours.memory), memory=ours.memory)
    try:
        memory, seconds = in_fresh_process(measure_authors, clones, size, *where)
    except Exception as error:
        return mine, Line(THEIRS, notes=(f"Not available: {one_line(error)}",))
    return mine, Line(THEIRS, Quartiles.of([seconds]), over(memory, ours.memory), memory=memory)


def measure_authors(clones: Path, size: int, device_name: str, threads: int) -> tuple[int | None, float]:
    """Bytes and seconds of the first training step of XingGAN's own code, as `bench.speed.memory.measure` takes them.

    Bytes are those above what the process took before its networks were built.
    """
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    clock, peak = Clock(device, threads), PeakMemory(device)
    peak.reset()
    steps = AuthorsSteps("xinggan", clones, size, 1, device)
    started = clock.now()
    steps(0)
    return peak.growth(), clock.now() - started
