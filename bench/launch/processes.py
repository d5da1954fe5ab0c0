"""Several worker processes on this machine: each with its share of the cores, or with a GPU of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

import torch

from bench.build import pick_device
from bench.cells import Workplace, data_pack
from bench.errors import Interrupted, UsageError
from bench.launch.drive import Finished, drive
from bench.launch.outcome import Failure, Outcome, one_after_the_other
from bench.launch.worker import Begin, End, Ended, Line, Message, Update, work
from bench.plan import Later, PlannedStage
from bench.progress import SilentReporter, Task
from bench.spec import Cell

MOST = 4  # workers that `auto` starts on a CPU: the trainings of a table hardly keep more busy
WORKER_BYTES = 2 << 30  # what `auto` reckons a worker to need at `quick`


def local(cells: Sequence[Cell | Later], place: Workplace, jobs: str = "auto") -> Outcome:
    """Do all cells in `jobs` processes; with one job, in this process and in the order given."""
    base = next(cell for cell in cells if isinstance(cell, Cell))
    base.check()
    pick_device(base.device)
    environments = worker_environments(jobs, base.device)
    if len(environments) == 1:
        return one_after_the_other(cells, place)
    data_pack(base.check(), place)  # rendered once, by all cores
    with LocalPool(environments, place) as pool:
        return drive(cells, place, pool)


def worker_environments(jobs: str, device_name: str) -> list[dict[str, str]]:
    """Environment variables of each worker process; raises UsageError for a number of jobs that makes no sense."""
    try:
        wanted = 0 if jobs == "auto" else int(jobs)
    except ValueError:
        wanted = -1
    if wanted < 0 or (wanted == 0 and jobs != "auto"):
        raise UsageError(f"--jobs '{jobs}': give a number of processes from 1, or auto")
    if wanted == 1:
        return [{}]
    device = pick_device(device_name)
    cores = allowed_cores()
    if device.type == "cpu":
        count = wanted or max(1, min(MOST, cores, memory_bytes() // WORKER_BYTES))
        if count > cores:
            raise UsageError(f"--jobs {count}: more than the cores this process may use, {cores}; use --jobs {cores}")
        devices: list[dict[str, str]] = [{} for _ in range(count)]
    else:
        named = device.index is not None or device.type == "mps"  # one device, whichever there are besides
        visible = _visible_gpus() if device.type == "cuda" and not named else [""]
        count = wanted or len(visible)
        if count > len(visible):
            hint = f"--device {device_name} is one" if named else f"this machine has {len(visible)}"
            raise UsageError(f"--jobs {count}: a job takes a GPU of its own, and {hint}; use --jobs {len(visible)}")
        devices = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in visible[:count]]
    # set by the user, it says how many threads a process gets; nothing else here does
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // count))
    return [{**device, "OMP_NUM_THREADS": threads} for device in devices] if count > 1 else [{}]


def allowed_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int:
    """Of the machine; of a system that does not tell, enough for two workers."""
    if not hasattr(os, "sysconf"):
        return 2 * WORKER_BYTES
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _visible_gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]


@contextmanager
def _spawning(environment: Mapping[str, str]) -> Iterator[None]:
    """What a process that is started inside inherits: `environment`, and to leave Ctrl-C to this process.

    The terminal sends Ctrl-C to all of them; this process tells its workers to stop, once, by SIGTERM.
    """
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    masks = hasattr(signal, "pthread_sigmask")
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class _Worker:
    """A process, the pipe to it, and what it is doing."""

    process: BaseProcess
    pipe: Connection
    environment: Mapping[str, str]
    names: tuple[str, ...] = ()  # of the stages it is doing; none: idle
    task: Task | None = None

    def __post_init__(self) -> None:
        self.tasks = ExitStack()  # of the progress display


class LocalPool:
    """Worker processes that are started when there is work for them and kept until the end."""

    whole_chains = False

    def __init__(
        self,
        environments: Sequence[Mapping[str, str]],
        place: Workplace,
        target: Callable[[Connection, Workplace], None] = work,
    ) -> None:
        self._place, self._free, self._target = place, list(environments), target
        self._workers: list[_Worker] = []

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            with suppress(OSError):
                worker.pipe.send(None)
            if kind is not None:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.tasks.__exit__(kind, error, trace)  # a task that was stopped is not shown as done

    def has_room(self) -> bool:
        return bool(self._free) or any(not worker.names for worker in self._workers)

    def start(self, planned: Sequence[PlannedStage]) -> None:
        worker = next((worker for worker in self._workers if not worker.names), None) or self._spawn()
        worker.names = tuple(stage.name for stage in planned)
        with suppress(OSError):  # a worker that died idle; `wait` finds it and says so
            worker.pipe.send([(stage.cell, stage.step) for stage in planned])

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        environment = self._free.pop(0)
        quiet = replace(self._place, report=SilentReporter())  # the worker puts its own in; a terminal cannot be sent
        process = context.Process(target=self._target, args=(theirs, quiet), daemon=True)
        with _spawning(environment):
            process.start()
        theirs.close()
        worker = _Worker(process, ours, environment)
        self._workers.append(worker)
        return worker

    def wait(self, seconds: float) -> list[Finished]:
        by_pipe = {worker.pipe: worker for worker in self._workers}
        ended = []
        for pipe in wait(list(by_pipe), seconds):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                message: Message = worker.pipe.recv()
            except (EOFError, OSError):
                ended.append(self._bury(worker))
                continue
            if isinstance(message, Ended):
                ended.append(Finished(worker.names, message.failure))
                worker.names = ()
            else:
                self._show(worker, message)
        return ended

    def _show(self, worker: _Worker, message: Message) -> None:
        report = self._place.report
        match message:
            case Begin(label):
                worker.task = worker.tasks.enter_context(report.task(label))
            case Update(done, total, note) if worker.task is not None:
                worker.task.update(done, total, note)
            case End():
                worker.tasks.close()
                worker.task = None
            case Line(text):
                report.line(text)

    def _bury(self, worker: _Worker) -> Finished:
        """A process that is gone. Its place is free again."""
        worker.process.join()
        worker.tasks.close()
        worker.pipe.close()
        self._workers.remove(worker)
        self._free.append(dict(worker.environment))
        code = worker.process.exitcode
        if code == Interrupted.exit_code:
            return Finished(worker.names, interrupted=True)
        if code is not None and code < 0:
            reason = f"its process died (signal {-code}), as it does when memory runs out; try fewer --jobs"
        else:
            reason = f"its process ended in the midst of it (exit code {code}): does the method call exit?"
        return Finished(worker.names, Failure(reason, 1))

    def stop(self, signals: Sequence[int]) -> None:
        sent = len(signals)
        for worker in self._workers:
            worker.process.terminate()
            with suppress(OSError):  # for one whose signal was lost in an error: it may not wait for more work
                worker.pipe.send(None)
        while any(worker.process.is_alive() for worker in self._workers):
            if len(signals) > sent:
                for worker in self._workers:
                    worker.process.kill()
            for worker in self._workers:
                with suppress(EOFError, OSError):
                    while worker.pipe.poll():  # a full pipe would hold the worker up
                        worker.pipe.recv()
            time.sleep(0.05)
