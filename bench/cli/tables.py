"""Commands that run cells: one of them, or those of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.shared import Common, print_json, show_plan, with_options
from bench.errors import SkippedError, UsageError, unknown

if TYPE_CHECKING:
    from bench.cells import Workplace
    from bench.spec import Cell

MslOption = Annotated[bool, typer.Option("--msl", help="Train Ours with the multi-step loss.")]


@with_options
def table1(*, options: Common) -> None:
    """The paper's Table 1: every method trained, scored on unseen characters, printed and written."""
    from bench.plan import table1_cells
    from bench.publish import publish_table1

    place, cells = options.workplace(), table1_cells(options.cell())
    if options.dry_run:
        show_plan(cells, place, options.as_json)
        return
    table, missing = publish_table1(cells, place)
    if options.as_json:
        print(table.to_json())
    else:
        table.print()
    if missing:
        raise SkippedError(f"done, but rows were left out: {'; '.join(missing.values())}")


@with_options
def run(
    *,
    method: Annotated[str, typer.Option("--method", help="A name of `bench methods`, or package.module:Class.")],
    shots: Annotated[int, typer.Option("--shots", help="Support samples a character at test time.")] = 1,
    msl: MslOption = False,
    variant: Annotated[str, typer.Option("--variant", help="Of ours: msl, k2, wo-ml or wo-frm.")] = "",
    adapt: Annotated[
        str, typer.Option("--adapt", help="default, none, tuned, paper, or e.g. lr=0.01,passes=5.")
    ] = "default",
    protocol: Annotated[str, typer.Option("--protocol", help="Support set: shift or views.")] = "shift",
    options: Common,
) -> None:
    """Do one cell: train (or take from the store), adapt, generate, score, record."""
    from bench.publish import print_records
    from bench.run import run_cell

    if msl and variant not in ("", "msl"):
        raise UsageError(f"--msl and --variant {variant} are two variants; give one")
    chosen = "msl" if msl else variant
    cell = options.cell(method, variant=chosen, shots=shots, adaptation=adapt, protocol=protocol)
    cell.check()
    place = options.workplace()
    if options.dry_run:
        show_plan([cell], place, options.as_json)
        return
    record = run_cell(cell, place)
    if options.as_json:
        print_json(record.to_dict())
    else:
        print_records([record])


@with_options
def sweep(
    *,
    shots: Annotated[str, typer.Option("--shots", help="Numbers of shots, with commas.")] = "1,4,10",
    method: Annotated[str, typer.Option("--method", help="The method to sweep.")] = "ours",
    msl: MslOption = False,
    options: Common,
) -> None:
    """One method without adapting and at several numbers of shots; trains once."""
    from bench.plan import sweep_cells

    try:
        counts = [int(part) for part in shots.split(",")]
    except ValueError:
        raise UsageError(f"--shots '{shots}': give whole numbers with commas, e.g. 1,4,10") from None
    cells = sweep_cells(options.cell(method, variant="msl" if msl else ""), counts)
    _run_all(cells, options.workplace(), options)


@with_options
def ablate(*, options: Common) -> None:
    """Ours without meta-learning, fine-tuning, FRM, MSL (the paper's Table 4), 4-shot."""
    from bench.plan import ablation_cells, equal_seconds_cell

    base, place = options.cell(), options.workplace()
    cells = ablation_cells(base)
    if options.dry_run:
        show_plan(cells, place, options.as_json)
        return
    _run_all([*cells, lambda: equal_seconds_cell(base, place)], place, options)


def _run_all(cells: Sequence[Cell | Callable[[], Cell]], place: Workplace, options: Common) -> None:
    """Run cells, or functions that make one once the cells before are done, and print their records."""
    from bench.publish import print_records
    from bench.run import run_cell

    if options.dry_run:
        show_plan([cell for cell in cells if not callable(cell)], place, options.as_json)
        return
    records = [run_cell(cell() if callable(cell) else cell, place) for cell in cells]
    if options.as_json:
        print_json([record.to_dict() for record in records])
    else:
        print_records(records)


@with_options
def plan(*, what: Annotated[str, typer.Argument(help="table1, sweep or ablate.")], options: Common) -> None:
    """Print the stages a table needs, what of them is in the store, and how long the rest will take."""
    from bench.plan import ablation_cells, sweep_cells, table1_cells

    tables: dict[str, Callable[[Cell], list[Cell]]] = {
        "table1": table1_cells,
        "sweep": lambda cell: sweep_cells(cell, (1, 4, 10)),
        "ablate": ablation_cells,
    }
    if what not in tables:
        raise unknown("table", what, tables)
    show_plan(tables[what](options.cell()), options.workplace(), options.as_json)
