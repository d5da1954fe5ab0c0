"""Figures that the paper lacks: training, score against shots and cost, characters one by one, fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bench.figures as figures
from bench.cells import stages
from bench.errors import SkippedError
from bench.illustrate.paper import CHOSEN, grid
from bench.illustrate.pictures import NotInStore
from bench.illustrate.studio import Made, Studio
from bench.plan import table1_cells
from bench.records import Record
from bench.run import read_log, row_title
from bench.spec import FLOORS

PLAIN_VARIANTS = ("", "msl")


def rows_of_table1(studio: Studio) -> Made:
    """Every row of Table 1 on the same characters and poses, with the floors: what the scores are scores of."""
    floors = [replace(studio.base, method=floor) for floor in FLOORS if floor != "truth"]  # the truth is a column
    cells = [*table1_cells(studio.base), *studio.further_methods(), *floors]
    paths, missing = grid(studio, cells, studio.folder / "table1")
    return Made(paths, f"The rows of Table 1 on unseen characters. {CHOSEN}", missing)


def training(studio: Studio) -> Made:
    """The losses and gradient norms of every training of Table 1."""
    logs, missing = {}, []
    for cell in table1_cells(studio.base):
        found = stages(cell, studio.place)
        title = _line_title(studio, cell.method, cell.variant)
        if found.warm_start is not None and found.warm_start.done:
            logs[f"{title.partition(' (')[0]}: warm start"] = read_log(found.warm_start)
        if found.train is not None and found.train.done:
            logs[title] = read_log(found.train)
        else:
            missing.append(title)
    if not logs:
        raise NotInStore("nothing has been trained yet")
    paths = figures.training_curves(logs, studio.folder / "training")
    said = "Losses in training, as moving means; the logged values faintly behind them."
    norms = {title: _gradient_norms(log) for title, log in logs.items()}
    if any(norms.values()):
        paths += figures.training_curves(norms, studio.folder / "training-gradients", "gradient norm")
        said += " training-gradients.*: norms of the gradients, an optimiser a line."
    return Made(paths, said, missing)


def _gradient_norms(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log with gradient norms in the place of losses; without entries of before they were logged."""
    kept = ("phase", "step", "seconds")
    return [
        {**{name: entry[name] for name in kept}, **{n: v for n, v in entry["gradient_norms"].items() if v is not None}}
        for entry in log
        if entry.get("gradient_norms")
    ]


def _rows(studio: Studio) -> list[Record]:
    """The rows of Table 1 in its order, those of methods of one's own, and the floors: one shot, default adaptation."""
    order = [(cell.method, cell.variant) for cell in table1_cells(studio.base)]

    def place(record: Record) -> int:
        row = (record.cell["method"], record.cell["variant"])
        return order.index(row) if row in order else len(order)

    rows = [
        record
        for record in studio.records.values()
        if record.kind == "floor"
        or (
            record.cell["seed"] == studio.base.seed
            and record.cell["shots"] == 1
            and record.cell["adaptation"] == "default"
            and record.cell["variant"] in PLAIN_VARIANTS
            and record.cell["protocol"] == "shift"
        )
    ]
    return sorted(rows, key=place)


def shots(studio: Studio) -> Made:
    """Scores against the number of shots, of all seeds there are."""
    lines: dict[tuple[str, str], dict[tuple[int, int], Record]] = {}
    for record in studio.records.values():
        cell = record.cell
        if (
            record.kind == "method"
            and cell["variant"] in PLAIN_VARIANTS
            and cell["protocol"] == "shift"
            and cell["adaptation"] in ("default", "none", "tuned")
        ):
            # what was not adapted is the same for every number of shots: one of them a seed
            line = lines.setdefault((cell["method"], cell["variant"]), {})
            line.setdefault((figures.shots_of(record), cell["seed"]), record)
    # a baseline that was never fine-tuned has one number of shots and is no line
    lines = {key: line for key, line in lines.items() if any(record.finetune for record in line.values())}
    if len({shots for line in lines.values() for shots, _ in line}) < 2:
        raise SkippedError("there are no records of several numbers of shots")
    named = {_line_title(studio, *key): list(line.values()) for key, line in lines.items()}
    paths = figures.scores_by_shots(named, studio.folder / "shots")
    return Made(paths, "Scores by number of support samples; bars are 95 % intervals over test characters.")


def _line_title(studio: Studio, method: str, variant: str) -> str:
    """What all rows of a method and variant have in common in their titles, be they labelled otherwise in a table."""
    cell = replace(studio.base, method=method, variant=variant, shots=1, adaptation="default")
    return row_title(cell).replace(" (1-shot)", "")


def cost(studio: Studio) -> Made:
    """Quality against minutes of training."""
    rows = _rows(studio)
    if all(record.kind == "floor" for record in rows):
        raise SkippedError("there is no record of a trained method")
    paths = figures.quality_by_cost(rows, studio.folder / "cost")
    return Made(
        paths, f"Quality against training time, seed {studio.base.seed}; bars are 95 % intervals over test characters."
    )


def characters(studio: Studio) -> Made:
    """Scores of every test character."""
    rows = [record for record in _rows(studio) if record.kind == "method"]
    if not rows:
        raise SkippedError("there is no record of a trained method")
    paths = figures.scores_by_character(rows, studio.folder / "characters")
    return Made(paths, f"Scores of each test character, hardest first; seed {studio.base.seed}.")


def tuning(studio: Studio) -> Made:
    """The fine-tuning curve of every row whose schedule was chosen on validation characters."""
    paths = []
    for name, record in studio.records.items():
        if record.cell["seed"] == studio.base.seed and record.finetune and record.finetune.get("curve"):
            paths += figures.tuning_curve(record, studio.folder / f"tuning-{name}")
    if not paths:
        raise SkippedError("no record has a fine-tuning curve")
    return Made(paths, "Foreground scores on validation characters by learning rate and passes of fine-tuning.")
