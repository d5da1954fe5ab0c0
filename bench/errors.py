"""Errors that name their fix, and the exit code each one ends the program with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Ends a command with one line on stderr and `exit_code`."""

    exit_code = 1


class UsageError(BenchError):
    """What was asked for makes no sense."""

    exit_code = 2


class DataError(BenchError):
    """Data that cannot be used; the message lists every fault found."""

    exit_code = 3


class SkippedError(BenchError):
    """Done, but something was skipped."""

    exit_code = 4


class WeightsMissing(BenchError):
    """Pretrained weights that are not on this machine and could not be fetched."""

    exit_code = 5


class DeviceError(BenchError):
    """A device that was asked for and is not there."""

    exit_code = 6


class NonFiniteLoss(BenchError):
    """A loss became NaN or infinite."""

    exit_code = 7


class Interrupted(BenchError):
    """Stopped by a signal after a checkpoint; the same command goes on from there."""

    exit_code = 75


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """`unknown method 'pant'; did you mean 'patn'? Known: …`."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return UsageError(f"unknown {kind} '{name}'{hint} Known: {', '.join(known)}")
