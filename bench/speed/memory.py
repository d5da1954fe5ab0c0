"""XingGAN's peak memory of a training step, without and with what this suite does to keep it low.

The published code holds every 4096² map of a 256 px image, for the backward pass too; baselines/xinggan.py makes a
thousand rows at a time, twice, and methods/recompute.py keeps the results of convolutions alone. Each way runs in a
process of its own, and all must give the same images and gradients.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines import xinggan
from bench.build import build
from bench.conformance import Subject
from bench.peak_memory import PeakMemory
from bench.spec import TrainSpec
from bench.speed.clock import Clock, Quartiles
from bench.speed.record import Group, Line, Scope
from methods import recompute
from methods.interface import Progress

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    name: str
    materialised: bool = False  # attention maps whole, and kept
    kept: bool = False  # everything for the backward pass; else the results of convolutions


SUITE = Way("maps in parts, convolutions kept (this suite)")
KEPT = Way("maps in parts, everything kept", kept=True)
WHOLE = Way("maps materialised, everything kept", kept=True, materialised=True)
AUTHORS = "authors' code, at published width"
AUTHORS_BYTES = round(5.1 * 2**30)  # peak resident, a step at 256 × 256, batch 1
RESIDENT = "Of a whole process on another machine; the other rows are growth from before the networks were built"
GAMMA = 0.5  # of the attention's residual factor, which starts at 0: then the maps would change nothing


@dataclass(frozen=True)
class Step:
    """One training step: what it cost, and what came out."""

    memory: int | None  # bytes; None where the system does not tell
    seconds: float
    image: NDArray[np.float32]  # generated before the update
    gradients: NDArray[np.float32]  # of every attention's projections


def memory(scope: Scope) -> list[Group]:
    """A step at 256 px and batch 1, published widths; with --quick at 160 px and a sixteenth of them."""
    size, width = (160, 1 / 16) if scope.quick else (256, 1.0)  # both above recompute.LARGE
    spec = replace(scope.spec(scope.cell("xinggan")), image_size=size, batch=1, width=width, options={})
    with scope.report.task("XingGAN's memory"):
        steps = {
            way: in_fresh_process(measure, spec, way, str(scope.device), scope.threads) for way in (SUITE, KEPT, WHOLE)
        }
    heading = (
        f"XingGAN's memory, a training step at {size} px, batch 1, width {width:g}; ratios of memory to this suite's; "
        "apart: largest difference of the image or, relative to the largest, of a gradient"
    )
    base = steps[SUITE]
    lines = [_line(way.name, step, base) for way, step in steps.items()]
    if not scope.quick and scope.device.type == "cpu":
        lines.append(Line(AUTHORS, ratio=over(AUTHORS_BYTES, base.memory), memory=AUTHORS_BYTES, notes=(RESIDENT,)))
    return [Group("XingGAN's memory", heading, tuple(lines))]


def _line(name: str, step: Step, base: Step) -> Line:
    seconds = Quartiles.of([step.seconds])
    apart = None if step is base else difference(step, base)
    return Line(name, seconds, over(step.memory, base.memory), memory=step.memory, apart=apart)


def over(memory: int | None, base: int | None) -> Quartiles | None:
    """Their ratio, as a measurement of one round; None where the system does not tell of one."""
    return Quartiles.of([memory / base]) if memory and base else None


def difference(one: Step, other: Step) -> float:
    """How far two steps are apart: in the image, or in gradients as a share of the largest."""
    gradients = np.abs(one.gradients - other.gradients).max() / np.abs(other.gradients).max()
    return float(max(np.abs(one.image - other.image).max(), gradients))


def in_fresh_process(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`work` in a new interpreter: memory that was freed there before would not show."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def materialised(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What `baselines.xinggan.attend` computes, with all of the map in memory."""
    return torch.softmax(queries @ keys.mT, -1) @ values


def measure(spec: TrainSpec, way: Way, device_name: str, threads: int) -> Step:
    """One training step of XingGAN, the first, which is the one that allocates."""
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    clock, peak = Clock(device, threads), PeakMemory(device)
    peak.reset()
    torch.manual_seed(0)
    method = build(spec, device)
    assert isinstance(method, xinggan.XingGAN)
    attentions = [part for part in method.generator.modules() if isinstance(part, xinggan.CrossAttention)]
    for attention in attentions:
        torch.nn.init.constant_(attention.gamma, GAMMA)
    (phase,) = method.phases()
    batch = Subject("xinggan", device, spec.image_size).batch(phase, 0)
    images: list[Tensor] = []
    method.generator.register_forward_hook(lambda module, inputs, image: images.append(image.detach()))
    torch.manual_seed(0)  # dropout
    with (
        mock.patch.object(xinggan, "attend", materialised if way.materialised else xinggan.attend),
        mock.patch.object(recompute, "LARGE", spec.image_size**2 if way.kept else recompute.LARGE),
    ):
        started = clock.now()
        method.train_step(batch, Progress(phase, 0))
        seconds = clock.now() - started
    grown = peak.growth()
    projections = [p.grad for attention in attentions for p in attention.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in projections]).float().cpu()
    return Step(grown, seconds, images[0].float().cpu().numpy(), flat.numpy())
