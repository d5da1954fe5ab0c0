"""Operations timed side by side: a round runs each of them once, and ratios are taken within a round.

A machine that slows down or warms up changes all operations of a round alike. Every other round runs in reverse order
(A B C, C B A, …), so that a steady drift within rounds cancels too.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time

import torch

from bench.timing import synchronise

MINIMUM = 3  # timed rounds, whatever they take

Operation = Callable[[int], object]
"""One of several things to time; it is told the round, from 0, which warms up."""


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of a number over rounds; of a single one all three are that one."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high, len(values))

    def times(self, factor: float) -> Quartiles:
        return Quartiles(self.median * factor, self.low * factor, self.high * factor, self.count)


class Clock:
    """Seconds that work on a device has taken.

    On one thread of a CPU these are CPU seconds, of this process and of children that have ended: other programs
    on the machine count little. Elsewhere they are wall-clock seconds after the device has finished.
    """

    def __init__(self, device: torch.device, threads: int) -> None:
        self.device = device
        self.counts_cpu = device.type == "cpu" and threads == 1

    @property
    def kind(self) -> str:
        return "CPU seconds of one thread" if self.counts_cpu else "wall-clock seconds"

    def now(self) -> float:
        if self.counts_cpu:
            return process_time() + _of_children()
        synchronise(self.device)
        return perf_counter()


def _of_children() -> float:
    if sys.platform == "win32":  # tells nothing of them
        return 0.0
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Timed:
    """Seconds of every operation in every round, in the order they were given, or why it could not be run."""

    seconds: Mapping[str, Sequence[float]]  # empty for one that failed
    failed: Mapping[str, str]

    def quartiles(self, name: str, scale: float = 1.0) -> Quartiles | None:
        """Of an operation `scale` times as long; None for one that failed."""
        values = self.seconds[name]
        return Quartiles.of([scale * value for value in values]) if values else None

    def ratio(self, name: str, base: str) -> Quartiles | None:
        """An operation's seconds over those of `base` in the same round; None where either failed."""
        values = [a / b for a, b in zip(self.seconds[name], self.seconds[base], strict=False)]
        return Quartiles.of(values) if values else None


def interleave(operations: Mapping[str, Operation], clock: Clock, rounds: int, seconds: float) -> Timed:
    """Run all operations round by round: at least MINIMUM timed rounds, then up to `rounds` within `seconds`.

    Round 0 warms up and is not counted; it may take as long as it wants. An operation other than the first that
    raises in it is left out, with the reason.
    """
    failed: dict[str, str] = {}
    for number, (name, operation) in enumerate(operations.items()):
        try:
            operation(0)
        except Exception as error:
            if number == 0:
                raise
            # a way of computing that a compiler or a device refuses is a finding, whatever it raises
            failed[name] = one_line(error)
    running = [(name, operation) for name, operation in operations.items() if name not in failed]
    taken: dict[str, list[float]] = {name: [] for name in operations}
    begun = perf_counter()
    for number in range(1, 1 + max(MINIMUM, rounds)):
        if number > MINIMUM and perf_counter() - begun >= seconds:
            break
        for name, operation in running if number % 2 else reversed(running):
            started = clock.now()
            operation(number)
            taken[name].append(clock.now() - started)
    return Timed(taken, failed)


def one_line(error: Exception) -> str:
    """What went wrong, for a footnote."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
