"""Do what `bench speed` is asked for, topic by topic, and write the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.build import method_class
from bench.environment import command_line, describe, git_state
from bench.errors import Interrupted, Stopped, UsageError, unknown
from bench.presets import preset
from bench.render_table import Table
from bench.speed.authors import check_clones
from bench.speed.beside import authors
from bench.speed.clock import MINIMUM
from bench.speed.data import pack, render
from bench.speed.memory import memory
from bench.speed.meta import meta
from bench.speed.metrics import features, frechet
from bench.speed.published import published
from bench.speed.record import Group, Scope
from bench.speed.startup import startup
from bench.speed.steps import steps
from bench.speed.table import speed_table
from bench.speed.use import adapt, generate
from bench.timing_apart import load_average
from methods import METHODS

TOPICS: Mapping[str, Callable[[Scope], Iterable[Group]]] = {
    "startup": startup,
    "steps": steps,
    "meta": meta,
    "adapt": adapt,
    "generate": generate,
    "render": render,
    "pack": pack,
    "features": features,
    "frechet": frechet,
    "published": published,
    "authors": authors,
    "memory": memory,
}
"""What `--only` names, in the order of the table."""


def measure_speed(scope: Scope, only: Sequence[str], results: Path) -> Table:
    """Measure the topics (none: all); writes `<results>/bench/speed.*`, of a part or with `quick` under that name.

    What a run that is broken off has measured is left beside it as `…-unfinished.*`: it takes an hour.

    Raises UsageError, before anything is measured, for a preset, a topic or a method there is not, and for numbers that
    make no sense; Interrupted, that says where it is, for a signal when something has been measured.
    """
    preset(scope.preset_name)
    check_amounts(scope.rounds, scope.threads, scope.seconds)
    for topic in only:
        if topic not in TOPICS:
            raise unknown("topic", topic, TOPICS)
    for method in scope.methods:
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        method_class(method)
    if scope.authors is not None:
        check_clones(scope.authors)
    torch.set_num_threads(scope.threads)
    facts = _facts(scope, load_average())
    chosen = [topic for topic in TOPICS if topic in (only or TOPICS)]
    parts = ["speed", *(chosen if only else ()), *scope.methods, *(("quick",) if scope.quick else ())]
    stem = results / "bench" / "-".join(parts)
    groups: list[Group] = []
    unfinished: list[Path] = []
    try:
        for topic in chosen:
            for group in TOPICS[topic](scope):
                groups.append(group)
                unfinished = speed_table(groups, facts, finished=False).write(stem.with_name(f"{stem.name}-unfinished"))
    except Stopped:
        if not unfinished:
            raise
        raise Interrupted(
            f"interrupted; what was measured is in {unfinished[0]}, and the same command begins again"
        ) from None
    table = speed_table(groups, facts)
    table.write(stem)
    for path in unfinished:
        path.unlink(missing_ok=True)
    return table


def check_amounts(rounds: int, threads: int, seconds: float) -> None:
    """Raises UsageError, by the option's name, for a number that makes no sense."""
    if rounds < MINIMUM:
        raise UsageError(f"--rounds must be at least {MINIMUM}, not {rounds}")
    if threads < 1:
        raise UsageError(f"--threads must be at least 1, not {threads}")
    if not 0 <= seconds < math.inf:
        raise UsageError(f"--seconds must be a finite number from 0, not {seconds:g}")


def _facts(scope: Scope, load: float | None) -> dict[str, Any]:
    git = git_state()
    return {
        "preset": scope.preset_name,
        "quick": scope.quick,
        "clock": scope.clock.kind,
        "rounds": scope.rounds,
        "seconds": scope.seconds,
        "environment": describe(str(scope.device)),
        "load": load,
        "commit": git["commit"][:12] + (" with changes" if git["dirty"] else ""),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
    }
