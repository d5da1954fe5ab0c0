"""Who does what of a command: the first rank runs it, and has the others train with it whenever it trains.

So every command works under `torchrun`, and locks, records, tables and words are the first rank's alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from bench.build import use_all_cores
from bench.data.pack import Pack, open_pack
from bench.errors import BenchError, DataError, Interrupted, NonFiniteLoss, RankFailed
from bench.progress import SilentReporter, Task
from bench.ranks.group import first_rank, join, own_device, world_size
from bench.spec import TrainSpec
from bench.train import train

LET_THE_FIRST_SPEAK = 5.0  # seconds


@dataclass(frozen=True)
class Job:
    """A training, as the first rank describes it to the others."""

    spec: TrainSpec
    pack: Path
    folder: Path
    device: str  # "cuda" or "cpu"
    warm_start: Path | None


def train_together(
    spec: TrainSpec, pack: Pack, folder: Path, device: torch.device, task: Task, warm_start: Path | None
) -> dict[str, Any]:
    """`bench.train.train` by all ranks; called on the first. The summary notes how many they were.

    Raises RankFailed for whatever may have failed on one rank alone: it ends the command, and so the other ranks.
    """
    ranks = world_size()
    if ranks == 1:
        return train(spec, pack, folder, device, task, warm_start)
    _tell(Job(spec, pack.folder.resolve(), folder.resolve(), device.type, warm_start and warm_start.resolve()))
    try:
        summary = train(spec, pack, folder, device, task, warm_start)
    except (Interrupted, NonFiniteLoss, RankFailed):  # the first two of all ranks at the same step
        raise
    except Exception as error:
        ours = isinstance(error, BenchError)
        failed = RankFailed(str(error) if ours else f"a rank failed or is gone ({type(error).__name__}: {error})")
        failed.exit_code = getattr(error, "exit_code", RankFailed.exit_code)
        raise failed from error
    summary["notes"].append(f"trained by {ranks} ranks; minutes are those that passed on the clock")
    return summary


def run_command(command: Callable[[], None]) -> None:
    """Run `command` on the first rank, and on the others whatever trainings it asks for.

    A command that fails ends its process, whereupon `torchrun` ends the others.
    """
    join()
    if not first_rank():
        _follow()
        return
    try:
        command()
    except SystemExit as end:
        if end.code:
            raise
    _tell(None)
    dist.destroy_process_group()


def _tell(job: Job | None) -> None:
    dist.broadcast_object_list([job], 0, device=torch.device("cpu"))


def _follow() -> None:
    """Train whatever the first rank does, until it has no more to do or is gone."""
    use_all_cores()
    while True:
        heard: list[Job | None] = [None]
        try:
            dist.broadcast_object_list(heard, 0, device=torch.device("cpu"))
        except RuntimeError as lost:  # the first rank has ended with an error, and said which
            raise SystemExit(1) from lost
        if heard[0] is None:
            dist.destroy_process_group()
            return
        try:
            _train(heard[0])
        except Interrupted as stop:  # on all ranks at the same step; the first says so
            raise SystemExit(stop.exit_code) from stop
        except NonFiniteLoss:  # the same; the command may have more trainings
            continue
        except BenchError:
            # most likely the first rank has the same to say and is about to; if not, it waits for this one
            time.sleep(LET_THE_FIRST_SPEAK)
            raise


def _train(job: Job) -> None:
    pack = open_pack(job.pack)
    if pack.digest != job.spec.data:
        raise DataError(f"{job.pack}: a rank sees other data there than the first one does")
    with SilentReporter().task("") as task:
        train(job.spec, pack, job.folder, own_device(torch.device(job.device)), task, job.warm_start)
