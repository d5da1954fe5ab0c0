"""How long the command line takes until it answers."""

from __future__ import annotations

import subprocess
import sys

from bench.speed.clock import Operation
from bench.speed.record import Group, Scope, line

PYTHON = "python, doing nothing"


def startup(scope: Scope) -> list[Group]:
    """`bench --help` in a process of its own, beside an interpreter that does nothing."""

    def process(*arguments: str) -> Operation:
        return lambda number: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    running = {PYTHON: process("-c", "pass"), "bench --help": process("-m", "bench.cli", "--help")}
    with scope.report.task("start-up"):
        timed = scope.time(running)
    return [Group("start-up", f"Start-up; ratios to {PYTHON}", tuple(line(timed, name, PYTHON) for name in running))]
