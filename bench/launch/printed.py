"""Cells as shell commands that can be run anywhere, in any order, with the same result."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields

from bench.cells import Workplace
from bench.plan import Later, NotYet
from bench.spec import Cell

DEFAULTS = {field.name: field.default for field in fields(Cell)}
OPTIONS = {
    "variant": "--variant",
    "shots": "--shots",
    "adaptation": "--adapt",
    "seed": "--seed",
    "protocol": "--protocol",
    "joints": "--joints",
    "extractor": "--features",
    "device": "--device",
    "precision": "--precision",
    "extra_pairs": "--joint-pairs",
    "label": "--label",
}
"""The option of `bench run` for each field of a cell."""


def commands(cells: Sequence[Cell | Later], place: Workplace) -> list[str]:
    """One `bench run` a cell. A cell that cannot be named yet is a comment that says when it can."""
    found = []
    for entry in cells:
        try:
            found.append(command(entry.name(place) if isinstance(entry, Later) else entry, place))
        except NotYet as error:
            found.append(f"# {entry.label}, seed {entry.seed}: {error}")
    return list(dict.fromkeys(found))


def command(cell: Cell, place: Workplace) -> str:
    """The `bench run` that does a cell at a work place."""
    words = ["bench", "run", "--method", cell.method, "--preset", cell.preset]
    for name, option in OPTIONS.items():
        value = getattr(cell, name)
        if value != DEFAULTS[name]:
            words += [option, str(value)]
    places = {
        "--data": place.data,
        "--test-data": place.test_data,
        "--store": place.store,
        "--results": place.results,
        "--workers": place.workers,
    }
    for option, value in places.items():
        if value is not None:
            words += [option, str(value)]
    return shlex.join([*words, "--quiet"])
