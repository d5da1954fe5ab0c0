"""Cells as jobs of a Slurm cluster, by submitit (`pip install 'anime-pose-bench[slurm]'`).

A job does stages that only wait for each other: a training, and the row that it is for. What this process submits
depends on what is done, so it stays until the end; stopped, it cancels its jobs, which write checkpoints. A job that
is preempted or runs out of time writes one too and is queued again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cells import Workplace, data_pack
from bench.errors import Interrupted, UsageError
from bench.launch.drive import Finished, drive
from bench.launch.needs import Needs, needs_of
from bench.launch.outcome import Failure, Outcome
from bench.plan import Later, PlannedStage
from bench.progress import LineReporter
from bench.run import do_step
from bench.spec import Cell

if TYPE_CHECKING:
    from submitit import Executor, Job
    from submitit.helpers import DelayedSubmission

SIGNAL_SECONDS = 120  # before its end, a job is told to write a checkpoint
REQUEUES = 1000  # a training may be as long as it likes
CPU_HOURS = 1.0  # asked for floors


@dataclass(frozen=True)
class Cluster:
    """Where jobs go."""

    cluster: str = "slurm"  # or, to try things, "local" and "debug" of submitit
    partition: str = ""
    gpus: Mapping[str, float] | None = None  # GiB of memory by Slurm's name of the GPU; "": any. None: no GPU at all
    most: int = 64  # jobs at a time
    extra: Mapping[str, str] = field(default_factory=dict)  # of sbatch, e.g. account

    def parameters(self, needs: Needs) -> dict[str, Any]:
        """What is asked of Slurm for a job; raises UsageError when no GPU has the memory."""
        asked: dict[str, Any] = {"cpus_per_task": needs.cores, "timeout_min": max(1, round(60 * needs.hours))}
        if self.cluster != "slurm":
            return asked
        extra = dict(self.extra)
        if self.gpus is not None:
            extra["gpus-per-node"] = self._gpu(needs)
        return {
            **asked,
            "slurm_signal_delay_s": SIGNAL_SECONDS,
            **({"slurm_partition": self.partition} if self.partition else {}),
            **({"slurm_additional_parameters": extra} if extra else {}),
        }

    def _gpu(self, needs: Needs) -> str:
        """The smallest GPU with enough memory."""
        gpus = self.gpus or {"": float("inf")}
        enough = sorted((memory, name) for name, memory in gpus.items() if memory >= needs.gpu_gib)
        if not enough:
            most = max(gpus.values())
            raise UsageError(f"a training needs {needs.gpu_gib:g} GiB of GPU memory, and --gpu names {most:g} at most")
        name = enough[0][1]
        return f"{name}:1" if name else "1"


def base_cell(base: Cell, cluster: Cluster) -> Cell:
    """The cell that others are made from, as this host plans them: it need not have the GPU that the nodes have.

    The keys of stages depend on the precision and not on the device. Raises UsageError where the precision depends on
    a GPU that is not here to be asked.
    """
    if cluster.gpus is not None and base.precision == "auto":
        raise UsageError("--with slurm: what the nodes' GPUs can is not known here; add --precision bf16 or fp32")
    return replace(base, device="cpu")


def slurm(cells: Sequence[Cell | Later], place: Workplace, cluster: Cluster) -> Outcome:
    """Do all cells, made from a `base_cell`, as jobs. Store and results must be where all nodes see them."""
    try:
        from submitit import AutoExecutor
    except ModuleNotFoundError:
        raise UsageError("--with slurm needs submitit: pip install 'anime-pose-bench[slurm]'") from None

    data, tested = (folder and folder.absolute() for folder in (place.data, place.test_data))
    place = replace(place, store=place.store.absolute(), results=place.results.absolute(), data=data, test_data=tested)
    data_pack(next(cell for cell in cells if isinstance(cell, Cell)).check(), place)
    folder = place.store / "launch" / time.strftime("%Y%m%d-%H%M%S")
    options = {"slurm_max_num_timeout": REQUEUES} if cluster.cluster == "slurm" else {}
    executor = AutoExecutor(folder / "%j", cluster=cluster.cluster, **options)
    return drive(cells, place, SlurmPool(executor, cluster, place, folder))


@dataclass
class StageJob:
    """What a job runs: stages, one after the other. submitit pickles it, and again when the job is queued again."""

    work: list[tuple[Cell, str]]
    place: Workplace
    stop: Path  # where this file is, an interrupted job is not queued again

    def __call__(self) -> Failure | None:
        try:
            for cell, step in self.work:
                do_step(cell, step, self.place)
        except Interrupted as error:
            if not self.stop.exists() and callable(signal.getsignal(signal.SIGUSR2)):
                signal.raise_signal(signal.SIGUSR2)  # submitit's: queue this job again, and end
            return Failure.of(error)
        except Exception as error:  # a method of anybody's may raise anything
            return Failure.of(error)
        return None

    def checkpoint(self) -> DelayedSubmission | None:
        """What to queue when the job is stopped; the store knows how far it was."""
        from submitit.helpers import DelayedSubmission

        return None if self.stop.exists() else DelayedSubmission(self)


class SlurmPool:
    """Jobs of a submitit executor."""

    whole_chains = True

    def __init__(self, executor: Executor, cluster: Cluster, place: Workplace, folder: Path) -> None:
        self._executor, self._cluster, self._folder = executor, cluster, folder
        self._place = replace(place, report=LineReporter())
        self._report = place.report
        self._jobs: dict[tuple[str, ...], Job[Failure | None]] = {}

    def has_room(self) -> bool:
        return len(self._jobs) < self._cluster.most

    def start(self, work: Sequence[PlannedStage]) -> None:
        first = work[0]
        needs = Needs(hours=CPU_HOURS) if first.cell.is_floor else needs_of(first.cell.method)
        device = "cpu" if self._cluster.gpus is None else "cuda"
        steps = [(replace(stage.cell, device=device), stage.step) for stage in work]
        name = f"{first.step}-{first.stage.label}"
        self._executor.update_parameters(name=name, **self._cluster.parameters(needs))
        job = self._executor.submit(StageJob(steps, self._place, self._folder / "stop"))
        self._jobs[tuple(stage.name for stage in work)] = job
        self._report.line(f"job {job.job_id}: {', '.join(stage.step for stage in work)} of {first.stage.label}")

    def wait(self, seconds: float) -> list[Finished]:
        ended = []
        for names, job in list(self._jobs.items()):
            if job.done():
                failure = self._failure(job)
                interrupted = failure is not None and failure.exit_code == Interrupted.exit_code
                ended.append(Finished(names, failure, interrupted))
                del self._jobs[names]
        if not ended:
            time.sleep(seconds)
        return ended

    def _failure(self, job: Job[Failure | None]) -> Failure | None:
        """What a job returned, or why it returned nothing."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return job.result()
        except (FailedJobError, UncompletedJobError) as error:
            last = str(error).strip().splitlines()[-1]
            return Failure(f"job {job.job_id} ended without a result ({last}); its log is {job.paths.stderr}", 1)

    def stop(self, signals: Sequence[int]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "stop").touch()
        for job in self._jobs.values():
            job.cancel(check=False)
