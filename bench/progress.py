"""One progress display: bars with an ETA on a terminal, one line a task elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Task(Protocol):
    """A running piece of work."""

    def update(self, done: int, total: int, note: str = "") -> None: ...


class Reporter(Protocol):
    """Where progress goes."""

    def task(self, label: str) -> AbstractContextManager[Task]: ...

    def line(self, text: str) -> None: ...


class _LineTask:
    """Prints when a task ends, and every half minute while it runs."""

    def __init__(self, label: str) -> None:
        self._label, self._started = label, time.monotonic()
        self._printed = self._started

    def update(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._printed >= 30:
            self._printed = now
            print(f"  {self._label}: {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)


class LineReporter:
    """Plain lines on stderr."""

    @contextmanager
    def _context(self, label: str) -> Iterator[Task]:
        started = time.monotonic()
        yield _LineTask(label)
        print(f"{label}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)

    def task(self, label: str) -> AbstractContextManager[Task]:
        return self._context(label)

    def line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class SilentReporter:
    """No output."""

    class _Task:
        def update(self, done: int, total: int, note: str = "") -> None:
            return

    @contextmanager
    def _context(self) -> Iterator[Task]:
        yield SilentReporter._Task()

    def task(self, label: str) -> AbstractContextManager[Task]:
        return self._context()

    def line(self, text: str) -> None:
        return


class RichReporter:
    """Progress bars on stderr, with the time a task still needs; one below the other when several tasks run."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._progress: Progress | None = None  # while there are tasks
        self._tasks = 0

    def _bars(self) -> Progress:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        bars = Progress(*columns, console=self._console, transient=True)
        bars.start()
        return bars

    @contextmanager
    def _context(self, label: str) -> Iterator[Task]:
        started = time.monotonic()
        bars = self._progress = self._progress or self._bars()
        self._tasks += 1
        bar = bars.add_task(label, total=None, note="")

        class _Bar:
            def update(self, done: int, total: int, note: str = "") -> None:
                bars.update(bar, completed=done, total=total, note=note)

        try:
            yield _Bar()
        finally:
            bars.remove_task(bar)
            self._tasks -= 1
            if not self._tasks:
                bars.stop()
                self._progress = None
        self.line(f"{label}: {time.monotonic() - started:.1f} s")

    def task(self, label: str) -> AbstractContextManager[Task]:
        return self._context(label)

    def line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)


def reporter(quiet: bool = False) -> Reporter:
    """Bars on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        return SilentReporter()
    return RichReporter() if sys.stderr.isatty() else LineReporter()
