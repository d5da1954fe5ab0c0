"""A worker process of `bench.launch.processes`: does stages that it is sent, and says how far it is."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from types import FrameType

from bench.cells import Workplace
from bench.errors import Interrupted, Stopped
from bench.launch.outcome import Failure
from bench.progress import Task
from bench.run import do_step
from bench.spec import Cell

UPDATE_SECONDS = 0.2  # between two messages about how far a task is


@dataclass(frozen=True)
class Begin:
    """A task of the progress display starts."""

    label: str


@dataclass(frozen=True)
class Update:
    """How far it is."""

    done: int
    total: int
    note: str


@dataclass(frozen=True)
class End:
    """It ends."""


@dataclass(frozen=True)
class Line:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class Ended:
    """What was sent last is done, or has failed."""

    failure: Failure | None = None


Message = Begin | Update | End | Line | Ended


def work(pipe: Connection, place: Workplace) -> None:
    """Do lists of (cell, step) until None comes or the other side is gone. Ends with code 75 on SIGTERM."""
    signal.signal(signal.SIGTERM, _stop)
    place = replace(place, report=PipeReporter(pipe))
    try:
        while (request := pipe.recv()) is not None:
            pipe.send(Ended(_do(request, place)))
    except (Interrupted, Stopped):
        sys.exit(Interrupted.exit_code)
    except (EOFError, BrokenPipeError):
        return


def _do(request: list[tuple[Cell, str]], place: Workplace) -> Failure | None:
    try:
        for cell, step in request:
            do_step(cell, step, place)
    except (Interrupted, BrokenPipeError):
        raise
    except Exception as error:  # a method of anybody's may raise anything
        return Failure.of(error)
    return None


def _stop(number: int, frame: FrameType | None) -> None:
    """Outside of training, which has a handler of its own, there is nothing to save."""
    raise Stopped


class _PipeTask:
    def __init__(self, reporter: PipeReporter) -> None:
        self._reporter, self._sent = reporter, 0.0

    def update(self, done: int, total: int, note: str = "") -> None:
        if time.monotonic() - self._sent >= UPDATE_SECONDS:
            self._sent = time.monotonic()
            self._reporter.send(Update(done, total, note))


class PipeReporter:
    """Progress as messages. When nobody reads them any more, the work is stopped as by SIGTERM."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def send(self, message: Message) -> None:
        try:
            self._pipe.send(message)
        except BrokenPipeError:
            os.kill(os.getpid(), signal.SIGTERM)

    @contextmanager
    def _context(self, label: str) -> Iterator[Task]:
        self.send(Begin(label))
        try:
            yield _PipeTask(self)
        finally:
            self.send(End())

    def task(self, label: str) -> AbstractContextManager[Task]:
        return self._context(label)

    def line(self, text: str) -> None:
        self.send(Line(text))
