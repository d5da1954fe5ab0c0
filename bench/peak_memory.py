"""How much memory a piece of work adds at its peak, in a process that does nothing else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch


class PeakMemory:
    """Bytes above what was taken when this was made.

    On CUDA: what torch's allocator hands out on that device. On a CPU: resident memory of the process; Linux resets
    its peak, elsewhere the peak of the whole life of the process stands for it, so that the growth is a lower bound.
    A CPU peak means something only in a fresh process: freed memory that is used again does not show.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known = True
        self._before = self._now()

    def reset(self) -> None:
        """Forget peaks up to now, not what was taken at the start."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:  # a container may forbid it; the peak would then be that of loading, not of the work
                self._known = False

    def growth(self) -> int | None:
        """Bytes at the peak since `reset`; None where the system does not tell."""
        peak = self._peak()
        return peak - self._before if self._known and peak is not None and self._before is not None else None

    def _now(self) -> int | None:
        if self._device.type == "cuda":
            return torch.cuda.memory_allocated(self._device)
        return _of_process("VmRSS") if self._device.type == "cpu" else None

    def _peak(self) -> int | None:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return _of_process("VmHWM") if self._device.type == "cpu" else None


def _of_process(field: str) -> int | None:
    """Resident bytes now (VmRSS) or at most (VmHWM); outside Linux always at most; None on Windows."""
    if sys.platform == "linux":
        found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else None
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
