"""Multiply-accumulates of a whole training, counted on training steps that compute nothing.

torch's fake tensors have shapes and no values, so a step of the published networks at 256 px costs seconds and hardly
any memory. What is counted is what a step does: discriminators, perceptual terms and backward passes, inner steps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from bench.build import method_class, perceptual_nets
from bench.cells import Stages
from bench.files import digest_of, read_json, write_json
from bench.inspect import inspect
from bench.spec import TrainSpec
from bench.timing import stretches
from methods.interface import EpisodeBatch, PairBatch, PerceptualNets, Phase, Progress, Setup

BACKWARD = 3  # a forward and a backward pass, in forward passes: gradients by inputs and by weights cost one each
DISCRIMINATOR = 3 + 3 + 3  # with a real image, with a generated one, and once more for the generator
QUERY_SAMPLES = 5  # a query and four inner steps
COUNTING = 2  # of `counted` and `rough`; another number where they find another count for the same training


def training_macs(spec: TrainSpec, source: str, store: Path) -> tuple[float, str]:
    """Multiply-accumulates of a training by code of that hash, and how they are known; kept in the store.

    "counted" on its steps; "rough", by its networks, where a step looks at values, which fake tensors do not have.
    """
    identity = {name: value for name, value in spec.identity().items() if name not in ("seed", "data", "warm_start")}
    path = store / "macs" / f"{digest_of({'identity': identity, 'source': source, 'counting': COUNTING})}.json"
    if not path.exists():
        try:
            found = {"macs": counted(spec), "how": "counted"}
        except Exception:  # whatever a method of anybody's raises when its tensors have no values
            found = {"macs": rough(spec), "how": "rough"}
        write_json(path, found)
    kept: dict[str, Any] = read_json(path)
    return float(kept["macs"]), str(kept["how"])


def spec_of(found: Stages, step: str) -> TrainSpec:
    """The specification of the training, or of the warm start, of a cell."""
    assert found.spec is not None
    if step == "train":
        return found.spec
    assert found.spec.warm_start is not None
    return found.spec.warm_start


def counted(spec: TrainSpec) -> float:
    """By one step of each stretch of the training whose steps cost the same.

    Tasks of a meta-step are counted as that many times one: with weights a task, convolutions of several tasks are
    grouped, and torch counts the gradient by the weights of a grouped one as often as it has groups.
    """
    nets = _frozen_nets(tuple(spec.perceptual.items()))
    # what is fake cannot be moved, and need not be
    with FakeTensorMode(allow_non_fake_inputs=True), mock.patch.object(nn.Module, "to", lambda net, *_, **__: net):
        setup = Setup(
            image_size=spec.image_size,
            budget=spec.budget,
            width=spec.width,
            batch=spec.batch,
            perceptual=nets,
            options=spec.options,
        )
        method = method_class(spec.method)(setup)
        total = 0.0
        for stretch in stretches(method):
            phase = stretch.phase
            tasks = phase.batch if phase.data == "episodes" else 1
            batch = _batch(replace(phase, batch=phase.batch // tasks), spec.image_size)
            with FlopCounterMode(display=False) as counter:
                # of the phase as it is: which step of it uses the multi-step loss depends on its batch
                method.train_step(batch, Progress(phase, stretch.first))
            # torch counts a multiply-accumulate as two
            total += stretch.steps * tasks * counter.get_total_flops() / 2
    return total


@lru_cache(maxsize=2)
def _frozen_nets(hashes: tuple[tuple[str, str], ...]) -> PerceptualNets:
    """Networks by name and hash of their weights, which trainings that are counted one after the other share."""
    return perceptual_nets((name for name, _ in hashes), torch.device("cpu"))


def _batch(phase: Phase, size: int) -> PairBatch | EpisodeBatch:
    def images(*shape: int) -> tuple[Tensor, Tensor]:
        return torch.empty(*shape, 3, size, size), torch.empty(*shape, 17, 3)

    if phase.data == "pairs":
        return PairBatch(*images(phase.batch), *images(phase.batch))
    support = images(phase.batch, phase.support)
    return EpisodeBatch(*images(phase.batch), *support, *images(phase.batch, 1))


def rough(spec: TrainSpec) -> float:
    """By the networks alone: every sample drawn once and judged by every discriminator. Within a factor of two."""
    draw, judge = network_macs(spec.method, spec.preset)
    samples = spec.budget.pairs + QUERY_SAMPLES * spec.budget.queries
    return samples * (BACKWARD * draw + DISCRIMINATOR * judge)


@cache  # what is rough, tuned or drawn asks for the same few networks, cell after cell
def network_macs(method: str, preset_name: str) -> tuple[int, int]:
    """Multiply-accumulates of one image: of everything that draws, and of all discriminators."""
    draw = judge = 0
    for network in inspect(method, preset_name):
        if network.name.startswith(("D_", "discriminator")):
            judge += network.macs
        else:
            draw += network.macs
    return draw, judge
