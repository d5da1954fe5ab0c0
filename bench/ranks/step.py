"""One training step taken by all ranks: each has its share of the batch, and the update is that of the whole batch.

A method knows nothing of it. Its losses are means over samples, so the mean of the ranks' gradients is the
gradient of the whole batch; noise.py and statistics.py see to the two things that mix or number samples.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from bench.conformance import flat
from bench.errors import BenchError, UsageError
from bench.ranks.group import average, first_rank, rank, world_size
from bench.ranks.noise import SharedNoise
from bench.ranks.statistics import SharedStatistics
from methods.interface import EpisodeBatch, Method, PairBatch, Phase, Progress

Batch = PairBatch | EpisodeBatch
Step = Callable[[Batch, Progress], dict[str, Tensor]]
DRIFT = 1e-6  # of the sum of a tensor's magnitudes, by which its sum may differ between ranks


def shared(method: Method, phases: Sequence[Phase], done: int) -> Step:
    """`method.train_step` as all ranks take it together, from the state of the first; called with the whole batch.

    The losses it returns are means over the ranks. `done`: steps that the checkpoint stands for. Alone, it is
    `method.train_step` itself. Raises UsageError for a batch that the ranks cannot divide, BenchError for ranks
    that see different checkpoints.
    """
    ranks = world_size()
    if ranks == 1:
        return method.train_step
    for phase in phases:
        if phase.batch % ranks:
            fitting = [str(n) for n in range(1, phase.batch + 1) if phase.batch % n == 0]
            raise UsageError(
                f"{method.title}: {ranks} ranks cannot share a batch of {phase.batch} (phase {phase.name}) equally; "
                f"use --nproc-per-node {' or '.join(fitting)}"
            )
    _start_together(method, done)
    outer = {tensor.data_ptr() for tensor in _tensors(method).values()}
    checked: set[str] = set()

    def step(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        share = share_of(batch)
        samples, episodes = len(share.source), isinstance(share, EpisodeBatch)
        with _average_gradients(outer), SharedStatistics(samples, episodes), SharedNoise(samples, episodes):
            losses = method.train_step(share, progress)
        means = [value.detach().float().clone() for value in losses.values()]
        average(means)
        if progress.phase.name not in checked:
            checked.add(progress.phase.name)
            _refuse_drift(method)
        return dict(zip(losses, means, strict=True))

    return step


def share_of(batch: Batch) -> Batch:
    """This rank's rows of a batch: pairs, or whole tasks."""
    count = len(batch.source) // world_size()
    rows = slice(rank() * count, (rank() + 1) * count)
    parts: dict[str, Any] = {field.name: getattr(batch, field.name)[rows] for field in fields(batch)}
    return replace(batch, **parts)


@contextmanager
def _average_gradients(outer: set[int]) -> Iterator[None]:
    """Within, an optimiser that moves parameters stored at `outer` takes the mean of all ranks' gradients.

    Others are a method's own affair: an inner loop moves copies, each rank those of its own tasks.
    """

    def before_step(optimizer: Optimizer, *_: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(p.data_ptr() in outer for p in parameters):
            average([p.grad for p in parameters])

    handle = register_optimizer_step_pre_hook(before_step)
    try:
        yield
    finally:
        handle.remove()


def _tensors(method: Method) -> dict[str, Tensor]:
    return {name: leaf for name, leaf in flat(method.state_dict()) if isinstance(leaf, Tensor)}


def _start_together(method: Method, done: int) -> None:
    """Give every rank the first one's state, so that not even the last bits of an initialisation differ."""
    steps = torch.tensor([done, -done])
    dist.all_reduce(steps, dist.ReduceOp.MAX)
    if int(steps[0]) != -int(steps[1]):
        raise BenchError("ranks see different checkpoints; the store must be on a file system that all of them share")
    buffer = io.BytesIO()
    if first_rank():
        torch.save(method.state_dict(), buffer)
    length = torch.tensor([buffer.tell()])
    dist.broadcast(length, 0)
    content = torch.empty(int(length), dtype=torch.uint8)
    if first_rank():
        content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
    dist.broadcast(content, 0)
    if not first_rank():
        # the tensors go to this rank's device as they are loaded
        state = torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)
        method.load_state_dict(state)


def _refuse_drift(method: Method) -> None:
    """BenchError where ranks differ in what they should have in common; looked at after the first step of a phase."""
    state = _tensors(method)
    sums = torch.stack([leaf.double().sum().cpu() for leaf in state.values()])
    scale = torch.stack([leaf.double().abs().sum().cpu() for leaf in state.values()])
    highest, lowest = sums.clone(), sums.clone()
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    dist.all_reduce(lowest, dist.ReduceOp.MIN)
    apart = (highest - lowest > DRIFT * scale).tolist()
    names = [name for name, differs in zip(state, apart, strict=True) if differs]
    if names:
        raise BenchError(
            f"{method.title}: after a shared step the ranks differ in {', '.join(names[:3])}"
            f"{' and others' if names[3:] else ''}: the method changes its state by other means than the gradients "
            "of an optimiser's step(); train it in one process"
        )
