"""Methods that fail, die, are slow or are preempted, and otherwise train as the README's example does."""

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import bench.cells
import bench.metrics.features
from bench.cells import Workplace
from bench.launch.worker import work
from methods import PairBatch, Progress, Setup, Support
from tests.example_method import Plain
from tests.test_run import MeanColours

Losses = dict[str, torch.Tensor]


class Broken(Plain):
    """Raises in its first step."""

    def train_step(self, batch: PairBatch, progress: Progress) -> Losses:
        raise RuntimeError("no gradient today")


class Exiting(Plain):
    """Calls exit in its first step, as if all were well."""

    def train_step(self, batch: PairBatch, progress: Progress) -> Losses:
        sys.exit(0)


class Dying(Plain):
    """Takes its process down, as the kernel does when memory runs out."""

    def train_step(self, batch: PairBatch, progress: Progress) -> Losses:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


class Looking(Plain):
    """Decides by a value."""

    def train_step(self, batch: PairBatch, progress: Progress) -> Losses:
        return super().train_step(batch, progress) if float(batch.source.mean()) < 2 else {}


class LookingAsBuilt(Plain):
    """Decides by a value before it is whole."""

    def __init__(self, setup: Setup) -> None:
        if float(torch.ones(1)) == 1:
            super().__init__(setup)


class Slow(Plain):
    """Takes half a second a step while $SLOW is set."""

    def train_step(self, batch: PairBatch, progress: Progress) -> Losses:
        time.sleep(0.5 if "SLOW" in os.environ else 0.0)
        return super().train_step(batch, progress)


class Preempted(Plain):
    """Is sent SIGUSR2 in its second step, the first time it gets there; $PREEMPTED is the file it remembers that by."""

    def train_step(self, batch: PairBatch, progress: Progress) -> Losses:
        before = Path(os.environ["PREEMPTED"])
        if progress.step == 1 and not before.exists():
            before.touch()
            os.kill(os.getpid(), signal.SIGUSR2)
        return super().train_step(batch, progress)


class Spoiling(Plain):
    """Adapts the trained weights themselves."""

    def adapt(self, support: Support, finetune: Any, on_pass: Any = None) -> Any:
        with torch.no_grad():
            next(self.net.parameters()).mul_(0.9)
        return self.draw


class Whole(Plain):
    """Draws bytes."""

    def draw(self, *given: torch.Tensor) -> torch.Tensor:
        return super().draw(*given).byte() if not torch.is_grad_enabled() else super().draw(*given)


class Half(Plain):
    """Draws at half the size."""

    def draw(self, *given: torch.Tensor) -> torch.Tensor:
        return super().draw(*given)[..., ::2, ::2] if not torch.is_grad_enabled() else super().draw(*given)


def work_without_weights(pipe: Connection, place: Workplace) -> None:
    """A worker process that stands in for the FID network as tests/test_run.py does."""
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    with (
        mock.patch.object(bench.cells, "extractor_identity", lambda name: identity),
        mock.patch.object(bench.cells, "lpips_identity", lambda: None),
        mock.patch.object(bench.metrics.features, "Extractor", MeanColours),
    ):
        work(pipe, place)
