"""The list of figures and the making of them: one that cannot be made never keeps the others from being made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.errors import BenchError, DataError, unknown
from bench.files import read_json, write_json
from bench.illustrate import further, hard, paper
from bench.illustrate.studio import Made, Studio
from bench.store import UNREADABLE


@dataclass(frozen=True)
class Figure:
    """A figure: what `--only` calls it, how it is made, and the command that makes the cells it shows."""

    make: Callable[[Studio], Made]
    command: str  # empty: it needs no cells


FIGURES: dict[str, Figure] = {
    "1": Figure(paper.teaser, "table1"),
    "4": Figure(paper.feature_maps, "table1"),
    "5": Figure(paper.support_samples, ""),
    "6": Figure(paper.methods, "table1"),
    "7": Figure(paper.people, "table1"),
    "8": Figure(paper.shots, "table2"),
    "9": Figure(paper.ablations, "table4"),
    "10": Figure(paper.gallery, "table2"),
    "11": Figure(paper.failures, "table1"),
    "rows": Figure(further.rows_of_table1, "table1"),
    "training": Figure(further.training, "table1"),
    "tuning": Figure(further.tuning, "table1"),
    "shots": Figure(further.shots, "table2"),
    "cost": Figure(further.cost, "table1"),
    "characters": Figure(further.characters, "table1"),
    "difficulty": Figure(hard.by_difficulty, "table1"),
    "examples": Figure(hard.examples, ""),
}
"""The paper's figures by number (2 and 3 are its diagrams), and further ones."""


@dataclass(frozen=True)
class Outcome:
    """What became of one figure that was asked for."""

    figure: str
    files: tuple[Path, ...]
    caption: str
    skipped: str  # why it, or a part of it, is not there, and the command that helps; empty: nothing was
    bad_data: bool = False  # it is not there since what it shows is, and cannot be used


def chosen(only: str) -> list[str]:
    """The figures that `--only` names, in order; all of them for nothing. Raises UsageError."""
    names = [part.strip() for part in only.split(",") if part.strip()] or list(FIGURES)
    for name in names:
        if name not in FIGURES:
            raise unknown("figure", name, FIGURES)
    return list(dict.fromkeys(names))


def illustrate(names: Sequence[str], studio: Studio) -> list[Outcome]:
    """Make these figures under `results/<preset>/figures/`, and list all there are in its `figures.json`.

    A figure that cannot be made is an outcome without files, and the next one follows.
    """
    outcomes = []
    for name in names:
        figure = FIGURES[name]
        help_ = f"; make it with `{studio.command(figure.command)}`" if figure.command else ""
        with studio.place.report.task(f"figure {name}"):
            try:
                made = figure.make(studio)
            except BenchError as error:
                needs_people = name == "7" and studio.people_folder is None
                why = f"figure {name}: {error}{'' if needs_people else help_}"
                outcomes.append(Outcome(name, (), "", why, isinstance(error, DataError)))
                continue
        without = f"figure {name} is without {', '.join(made.left_out)}{help_}" if made.left_out else ""
        outcomes.append(Outcome(name, tuple(made.paths), made.caption + studio.trial_note, without))
    _list(outcomes, studio)
    return outcomes


def _list(outcomes: Sequence[Outcome], studio: Studio) -> None:
    """Add what was made to `figures.json`: files, caption and command of every figure in the folder."""
    made = {
        outcome.figure: {
            "files": [file.name for file in outcome.files],
            "caption": outcome.caption,
            "without": outcome.skipped,
            "command": f"{studio.command('figures')} --only {outcome.figure}",
        }
        for outcome in outcomes
        if outcome.files
    }
    if not made:
        return
    path = studio.folder / "figures.json"
    with FileLock(path.with_name(".figures.lock")):  # of two commands at once, the later one adds to the earlier one's
        listed = _listed(path, studio) | made
        write_json(path, {name: listed[name] for name in FIGURES if name in listed})


def _listed(path: Path, studio: Studio) -> dict[str, Any]:
    """The list of earlier commands; a damaged one is said and begun anew, since every figure can be made again."""
    if not path.exists():
        return {}
    try:
        return dict(read_json(path))
    except UNREADABLE as error:
        studio.place.report.line(
            f"{path} is damaged ({type(error).__name__}: {error}) and begun anew; `{studio.command('figures')}` lists "
            "the figures again that earlier commands made"
        )
        return {}
