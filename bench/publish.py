"""Writing what people see of cells that were done: table files and figures."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cells import Workplace, trial_of
from bench.launch.outcome import Outcome
from bench.records import Record
from bench.tables import Table, table1, table2, table4

FORMS = {"table1": table1, "table2": table2, "table4": table4}
"""How the records of each table of `bench.plan.TABLES` are printed."""


def publish(name: str, outcome: Outcome, place: Workplace, figures: bool = True) -> Table:
    """Write a table of TABLES, and for Table 1 its figures if wanted, under `results/<preset>/`.

    What was tested on a second data set or with detected joints has a name of its own: `table1-on-NAME`,
    `table1-detected-joints`. Raises the error of the first cell when none was done.
    """
    outcome.require_any()
    table = FORMS[name]([record for _, record in outcome.done], missing=outcome.missing)
    base = outcome.done[0][0]
    suffix = trial_of(base, place).suffix
    table.write(place.results / base.preset / (name + suffix))
    if figures and name == "table1":
        from bench.illustrate.make import illustrate
        from bench.illustrate.studio import Studio

        # what shows training and tuning has nothing to do with test characters
        for figure in illustrate(("rows",) if suffix else ("rows", "training", "tuning"), Studio(base, place)):
            if figure.skipped:
                place.report.line(figure.skipped)
    return table


def print_records(records: Sequence[Record]) -> None:
    """Scores of a few cells as a terminal table."""
    from rich.console import Console
    from rich.table import Table as RichTable

    first = records[0]
    shown = RichTable(title=f"{first.cell['preset']}, seed {first.cell['seed']}{first.trial}")
    names = {
        "fid": f"FID↓ {first.features['name']}",
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
