"""Where a result was made: versions, hardware, git commit. Stamped into every record."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "numba", "pillow", "scikit-image", "pytorch-fid")


@cache
def processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@cache
def package_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def describe(device: str) -> dict[str, Any]:
    """Python, packages, operating system and the device that did the work."""
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    return {
        "python": platform.python_version(),
        **package_versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
    }


def git_state() -> dict[str, Any]:
    """Commit and whether the working tree differs from it; changes under `results/` do not count."""
    here = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--", ".", ":(exclude)results")
    return {"commit": commit or "unknown", "dirty": bool(status)}


def command_line() -> str:
    """The command as it was typed, without the path of the program."""
    program = Path(sys.argv[0]).name
    return " ".join(["bench" if program == "__main__.py" else program, *sys.argv[1:]])  # python -m bench.cli
