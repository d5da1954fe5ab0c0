"""Running the cells of a table and writing what people see: table files and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cells import Workplace
from bench.errors import FailedBefore, NonFiniteLoss
from bench.plan import Later
from bench.records import Record
from bench.run import row_title, run_cell
from bench.spec import Cell
from bench.tables import Table, table1, table2, table4

FORMS = {"table1": table1, "table2": table2, "table4": table4}
"""How the records of each table of `bench.plan.TABLES` are printed."""


@dataclass(frozen=True)
class Outcome:
    """Cells that were done, with their records, and why others were not."""

    done: list[tuple[Cell, Record]]
    missing: dict[str, str]  # row title -> reason


def run_cells(cells: Sequence[Cell | Later], place: Workplace) -> Outcome:
    """Do all cells, in order. One that diverges or failed before is said aloud and left out; the rest goes on."""
    outcome = Outcome([], {})
    for number, entry in enumerate(cells):
        cell = entry(place) if callable(entry) else entry
        place.report.line(f"[{number + 1}/{len(cells)}] {row_title(cell)}, seed {cell.seed}")
        try:
            outcome.done.append((cell, run_cell(cell, place)))
        except (NonFiniteLoss, FailedBefore) as error:
            place.report.line(f"SKIPPED: {error}")
            outcome.missing[row_title(cell)] = str(error)
    return outcome


def publish(name: str, cells: Sequence[Cell | Later], place: Workplace) -> tuple[Table, dict[str, str]]:
    """Do every cell of a table of TABLES, then write it, and for Table 1 its figures, under `results/<preset>/`.

    Returns the table and why rows are missing from it, by title.
    """
    outcome = run_cells(cells, place)
    table = FORMS[name]([record for _, record in outcome.done], missing=outcome.missing)
    folder = place.results / outcome.done[0][0].preset
    table.write(folder / name)
    if name == "table1":
        from bench.illustrate import Studio, illustrate

        for figure in illustrate(("rows", "training", "tuning"), Studio(outcome.done[0][0], place)):
            if figure.skipped:
                place.report.line(figure.skipped)
    return table, outcome.missing


def print_records(records: Sequence[Record]) -> None:
    """Scores of a few cells as a terminal table."""
    from rich.console import Console
    from rich.table import Table as RichTable

    shown = RichTable(title=f"{records[0].cell['preset']}, seed {records[0].cell['seed']}")
    names = {
        "fid": f"FID↓ {records[0].features['name']}",
        "kid": "KID↓",
        "ssim": "SSIM↑",
        "ssim_foreground": "fg-SSIM↑",
        "l1_foreground": "fg-L1↓",
        "l1_background": "bg-L1↓",
    }
    shown.add_column("")
    for name in names.values():
        shown.add_column(name, justify="right")
    shown.add_column("fine-tuning")
    for record in records:
        values = []
        for name in names:
            half = record.half_width(name)
            values.append(f"{record.centre(name):.3f}" + (f" ±{half:.3f}" if half is not None else ""))
        schedule = record.finetune
        tuned = f"lr {schedule['lr']:g} × {schedule['passes']}" if schedule else "none"
        shown.add_row(record.title, *values, tuned)
    console = Console()
    console.print(shown)
    for record in records:
        for note in record.notes:
            console.print(f"{record.title}: {note}", highlight=False)
