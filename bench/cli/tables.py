"""Commands that run cells: one of them, or those of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.shared import Scored, Tested, print_json, show_plan, with_options
from bench.errors import SkippedError, UsageError, unknown

if TYPE_CHECKING:
    from bench.cells import Workplace
    from bench.plan import Later
    from bench.spec import Cell

MslOption = Annotated[bool, typer.Option("--msl", help="Train Ours with the multi-step loss.")]
SeedsOption = Annotated[str, typer.Option("--seeds", help="Several seeds, with commas; default: --seed alone.")]
FinetuneOption = Annotated[
    bool, typer.Option("--finetune", help="Fine-tune baselines too, on the same support set (rows of their own).")
]


def seeds_of(seeds: str, options: Scored) -> list[int]:
    if not seeds:
        return [options.seed]
    try:
        return [int(part) for part in seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds '{seeds}': give whole numbers with commas, e.g. 0,1") from None


def _table(name: str, seeds: str, options: Scored, finetune: bool = False, also: str = "") -> None:
    """Plan or make a table, and print it."""
    from bench.plan import cells_of
    from bench.publish import publish

    further = [method.strip() for method in also.split(",") if method.strip()]
    place, cells = options.workplace(), cells_of(name, options.cell(), seeds_of(seeds, options), finetune, further)
    if options.dry_run:
        show_plan(cells, place, options.as_json)
        return
    table, missing = publish(name, cells, place)
    if options.as_json:
        print(table.to_json())
    else:
        table.print()
    if missing:
        raise SkippedError(f"done, but rows were left out: {'; '.join(missing.values())}")


@with_options
def table1(
    *,
    seeds: SeedsOption = "",
    finetune: FinetuneOption = False,
    also: Annotated[str, typer.Option("--also", help="Further methods, with commas: dptn, package.module:Class.")] = "",
    options: Scored,
) -> None:
    """The paper's Table 1: every method trained, scored on unseen characters, printed and written."""
    _table("table1", seeds, options, finetune, also)


@with_options
def table2(*, seeds: SeedsOption = "", finetune: FinetuneOption = False, options: Scored) -> None:
    """The paper's Table 2: Ours unadapted and at 1, 4 and 10 shots, without and with the multi-step loss."""
    _table("table2", seeds, options, finetune)


@with_options
def table4(*, seeds: SeedsOption = "", options: Scored) -> None:
    """The paper's Table 4: Ours without meta-learning, fine-tuning, FRM, multi-step loss, 4-shot."""
    _table("table4", seeds, options)


def _of_records(name: str, options: Tested) -> None:
    """A table of all records of the preset that can stand side by side, written and printed; runs nothing."""
    from bench import tables
    from bench.cells import crossed_suffix
    from bench.records import comparable, read_records, scored_on

    folder, tested = options.results / options.preset, options.tested()
    records, others = comparable(scored_on(read_records(folder / "records"), tested.digest if tested else None))
    if not records:
        raise UsageError(
            f"{folder / 'records'} holds no records of this data; make them with `bench table1` … `bench table4`"
        )
    table = {"claims": tables.claims, "budget": tables.budget}[name](records)
    table.write(folder / (name + crossed_suffix(tested)))
    if options.as_json:
        print(table.to_json())
    else:
        table.print()
    if others:
        raise SkippedError(f"left out, of other data, features or joints: {', '.join(others)}; run them again")


@with_options
def claims(*, options: Tested) -> None:
    """Does it reproduce? The paper's claims against the records that are there; runs nothing."""
    _of_records("claims", options)


@with_options
def budget(*, options: Tested) -> None:
    """Quality against cost: pairs, steps, minutes and scores of the records that are there; runs nothing."""
    _of_records("budget", options)


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
    finetune: Annotated[bool, typer.Option("--finetune", help="Short for --adapt tuned.")] = False,
    protocol: Annotated[str, typer.Option("--protocol", help="Support set: shift or views.")] = "shift",
    joints: Annotated[
        str, typer.Option("--joints", help="Of the test characters: exact, or detected (by MoveNet).")
    ] = "exact",
    options: Scored,
) -> None:
    """Do one cell: train (or take from the store), adapt, generate, score, record."""
    from bench.publish import print_records
    from bench.run import run_cell

    if msl and variant not in ("", "msl"):
        raise UsageError(f"--msl and --variant {variant} are two variants; give one")
    if finetune and adapt not in ("default", "tuned"):
        raise UsageError(f"--finetune and --adapt {adapt} are two adaptations; give one")
    chosen = "msl" if msl else variant
    adaptation = "tuned" if finetune else adapt
    cell = options.cell(method, variant=chosen, shots=shots, adaptation=adaptation, protocol=protocol, joints=joints)
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
    options: Scored,
) -> None:
    """One method without adapting and at several numbers of shots; trains once."""
    from bench.plan import sweep_cells

    try:
        counts = [int(part) for part in shots.split(",")]
    except ValueError:
        raise UsageError(f"--shots '{shots}': give whole numbers with commas, e.g. 1,4,10") from None
    base = options.cell(method, variant="msl" if msl else "")
    base.check()
    _run_all(sweep_cells(base, counts), options.workplace(), options)


@with_options
def ablate(*, seeds: SeedsOption = "", options: Scored) -> None:
    """Another name of table4."""
    _table("table4", seeds, options)


def _run_all(cells: Sequence[Cell], place: Workplace, options: Scored) -> None:
    """Run cells and print their records."""
    from bench.publish import print_records
    from bench.run import run_cell

    if options.dry_run:
        show_plan(cells, place, options.as_json)
        return
    records = [run_cell(cell, place) for cell in cells]
    if options.as_json:
        print_json([record.to_dict() for record in records])
    else:
        print_records(records)


@with_options
def plan(
    *,
    what: Annotated[str, typer.Argument(help="table1, table2, table4, sweep, ablate or all.")],
    seeds: SeedsOption = "",
    finetune: FinetuneOption = False,
    options: Scored,
) -> None:
    """Print the stages a table needs, what of them is in the store, and how long the rest will take."""
    from bench.plan import SHOTS, TABLES, cells_of, sweep_cells

    base, wanted = options.cell(), seeds_of(seeds, options)
    known: dict[str, Callable[[], Sequence[Cell | Later]]] = {
        **{name: partial(cells_of, name, base, wanted, finetune) for name in TABLES},
        "sweep": lambda: sweep_cells(base, SHOTS),
        "ablate": lambda: cells_of("table4", base, wanted),
        "all": lambda: [cell for name in TABLES for cell in cells_of(name, base, wanted, finetune)],
    }
    if what not in known:
        raise unknown("table", what, known)
    show_plan(known[what](), options.workplace(), options.as_json)
