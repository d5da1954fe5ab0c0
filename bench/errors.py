"""Errors that name their fix, and the exit code each one ends the program with."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system calls a disk without room: full, or the user's share of it used up."""

OF_THE_MACHINE = ("out of memory", "can't allocate memory", "CUDA", "cuDNN", "CUBLAS", "MPS")


def of_the_machine(error: Exception) -> bool:
    """Whether this machine failed, for want of memory, disk, device or package, where the same work might not."""
    return isinstance(error, OSError | MemoryError | ImportError) or any(
        words in str(error) for words in OF_THE_MACHINE
    )


class BenchError(Exception):
    """Ends a command with one line on stderr and `exit_code`."""

    exit_code = 1


class FailedBefore(BenchError):
    """Work whose failure is kept in the store, and which is done again on request only."""


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


class DiskFull(BenchError):
    """No room to write; what was there before is kept."""

    exit_code = 8

    def __init__(self, path: object) -> None:
        super().__init__(
            f"the disk is full: cannot write {path}. What was there before is kept; free some room, e.g. with "
            "`bench store gc`, and run the same command again"
        )


class RankFailed(BenchError):
    """One of several ranks failed, or is gone: the others wait for it, and no training can go on or begin."""


class Interrupted(BenchError):
    """Stopped by a signal. The message says what is kept and whether the same command goes on from there."""

    exit_code = 75


class Stopped(BaseException):
    """A signal where there is no training step to finish. No Exception, so that nothing takes it for a fault."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """`unknown method 'pant'; did you mean 'patn'? Known: …`."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return UsageError(f"unknown {kind} '{name}'{hint} Known: {', '.join(known)}")
