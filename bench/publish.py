"""Running the cells of a table and writing what people see: table files, grids, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.cells import Workplace, data_pack, record_name, stages
from bench.data.pack import Pack
from bench.errors import NonFiniteLoss
from bench.files import read_json
from bench.generate import all_test_pairs, to_uint8
from bench.plan import Later
from bench.presets import preset
from bench.records import Record
from bench.run import read_log, row_title, run_cell
from bench.spec import Cell
from bench.tables import Table, table1, table2, table4

if TYPE_CHECKING:
    from bench.figures import GridRow

GRID_CHARACTERS = 6
FORMS = {"table1": table1, "table2": table2, "table4": table4}
"""How the records of each table of `bench.plan.TABLES` are printed."""


@dataclass(frozen=True)
class Outcome:
    """Cells that were done, with their records, and why others were not."""

    done: list[tuple[Cell, Record]]
    missing: dict[str, str]  # row title -> reason


def run_cells(cells: Sequence[Cell | Later], place: Workplace) -> Outcome:
    """Do all cells, in order. One whose training diverges is said aloud and left out; the rest goes on."""
    outcome = Outcome([], {})
    for number, entry in enumerate(cells):
        cell = entry(place) if callable(entry) else entry
        place.report.line(f"[{number + 1}/{len(cells)}] {row_title(cell)}, seed {cell.seed}")
        try:
            outcome.done.append((cell, run_cell(cell, place)))
        except NonFiniteLoss as error:
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
        with place.report.task("figures") as task:
            first = outcome.done[0][0].seed
            _figures([(c, r) for c, r in outcome.done if c.seed == first], place, folder / "figures")
            task.update(1, 1)
    return table, outcome.missing


def _figures(done: Sequence[tuple[Cell, Record]], place: Workplace, folder: Path) -> None:
    from bench.figures import comparison_grid, training_curves, tuning_curve

    pack = data_pack(preset(done[0][0].preset), place)
    folder.mkdir(parents=True, exist_ok=True)
    # the truth is a column of every grid already
    drawn = {record.title: cell for cell, record in done if cell.method != "truth"}
    comparison_grid(grid_rows(drawn, pack, place), folder / "table1")
    logs = {}
    for cell, record in done:
        found = stages(cell, place)
        if found.warm_start is not None:
            logs[f"{record.title.split(' (')[0]}: warm start"] = read_log(found.warm_start)
        if found.train is not None:
            logs[record.title] = read_log(found.train)
        if record.finetune and record.finetune.get("curve"):
            tuning_curve(record, folder / f"tuning-{record_name(cell)}")
    training_curves(logs, folder / "training")


def grid_rows(cells: Mapping[str, Cell], pack: Pack, place: Workplace) -> list[GridRow]:
    """One row a character, spread over the test set; the target is another frame of clip A each time."""
    from bench.figures import GridRow
    from methods.pose import stick_figure

    everyone = list(all_test_pairs(pack))
    chosen = sorted({round(i) for i in np.linspace(0, len(everyone) - 1, min(GRID_CHARACTERS, len(everyone)))})
    pictures: dict[str, tuple[Any, dict[int, int]]] = {}
    for title, cell in cells.items():
        folder = stages(cell, place).generate.folder
        where = {frame: i for i, frame in enumerate(read_json(folder / "frames.json"))}
        pictures[title] = (np.load(folder / "images.npy", mmap_mode="r"), where)
    rows = []
    for number, index in enumerate(chosen):
        pairs = everyone[index]
        target = int(pairs.fid_targets[(3 * number + 1) % len(pairs.fid_targets)])
        pose = stick_figure(pack.keypoints_of([target]), pack.image_size)
        rows.append(
            GridRow(
                source=np.asarray(pack.rgb[pairs.source]),
                target_pose=to_uint8(pose)[0],
                outputs={title: np.asarray(images[where[target]]) for title, (images, where) in pictures.items()},
                truth=np.asarray(pack.rgb[target]),
            )
        )
    return rows


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
