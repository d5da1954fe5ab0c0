"""Commands that run cells: one of them, or those of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.shared import Judged, Scored, Tested, names_of, print_json, show_plan, with_options
from bench.errors import SkippedError, UsageError

if TYPE_CHECKING:
    from bench.launch import Outcome
    from bench.render_table import Table
    from bench.trial import Trial

MslOption = Annotated[bool, typer.Option("--msl", help="Train Ours with the multi-step loss.")]
SeedsOption = Annotated[str, typer.Option("--seeds", help="Several seeds, with commas; default: --seed alone.")]
FinetuneOption = Annotated[
    bool, typer.Option("--finetune", help="Fine-tune baselines too, on the same support set (rows of their own).")
]

JobsOption = Annotated[
    str, typer.Option("--jobs", help="Processes, each with its share of the cores or a GPU of its own; or auto.")
]

FromRecordsOption = Annotated[
    bool, typer.Option("--from-records", help="Print what has been recorded under --results; run nothing.")
]


def seeds_of(seeds: str, options: Scored) -> list[int]:
    if not seeds:
        return [options.seed]
    try:
        return [int(part) for part in seeds.split(",")]
    except ValueError:
        raise UsageError(f"--seeds '{seeds}': give whole numbers with commas, e.g. 0,1") from None


def _table(
    name: str,
    seeds: str,
    options: Scored,
    jobs: str,
    recorded: bool,
    finetune: bool = False,
    also: str | None = None,
) -> None:
    """Plan or make a table, or take it from records, and print it."""
    from bench.launch import from_records, local
    from bench.plan import cells_of

    further = names_of("--also", also)
    place, cells = options.workplace(), cells_of(name, options.cell(), seeds_of(seeds, options), finetune, further)
    if options.dry_run:
        show_plan(cells, place, options.as_json)
    elif recorded:
        show_outcomes({name: from_records(cells, place)}, options, figures=False)  # there may be no pictures to show
    else:
        show_outcomes({name: local(cells, place, jobs)}, options)


def show_outcomes(outcomes: dict[str, Outcome], options: Scored, figures: bool = True) -> None:
    """Write and print tables, by name, of cells that were done; cells of no table, which is "", as records.

    Raises SkippedError that lists what is missing.
    """
    from bench.publish import print_records, publish

    place, missing = options.workplace(), dict[str, str]()
    for name, outcome in outcomes.items():
        missing |= outcome.missing
        if name:
            table = publish(name, outcome, place, figures)
            print(table.to_json()) if options.as_json else table.print()
            continue
        outcome.require_any()
        records = [record for _, record in outcome.done]
        print_json([record.to_dict() for record in records]) if options.as_json else print_records(records)
    if missing:
        why = "; ".join(f"{row}: {reason}" for row, reason in missing.items())
        raise SkippedError(f"done, but rows were left out: {why}")


@with_options
def table1(
    *,
    seeds: SeedsOption = "",
    jobs: JobsOption = "1",
    from_records: FromRecordsOption = False,
    finetune: FinetuneOption = False,
    also: Annotated[
        str | None, typer.Option("--also", help="Further methods, with commas: dptn, package.module:Class.")
    ] = None,
    options: Scored,
) -> None:
    """The paper's Table 1: every method trained, scored on unseen characters, printed and written."""
    _table("table1", seeds, options, jobs, from_records, finetune, also)


@with_options
def table2(
    *,
    seeds: SeedsOption = "",
    jobs: JobsOption = "1",
    from_records: FromRecordsOption = False,
    finetune: FinetuneOption = False,
    options: Scored,
) -> None:
    """The paper's Table 2: Ours unadapted and at 1, 4 and 10 shots, without and with the multi-step loss."""
    _table("table2", seeds, options, jobs, from_records, finetune)


@with_options
def table4(
    *,
    seeds: SeedsOption = "",
    jobs: JobsOption = "1",
    from_records: FromRecordsOption = False,
    options: Scored,
) -> None:
    """The paper's Table 4: Ours without meta-learning, fine-tuning, FRM, multi-step loss, 4-shot."""
    _table("table4", seeds, options, jobs, from_records)


def _of_records(name: str, options: Judged) -> None:
    """A table of all records of the preset that can stand side by side, written and printed; runs nothing."""
    from bench import tables
    from bench.records import comparable, read_records

    folder, trial = options.results / options.preset, options.trial()
    records, others = comparable(trial.scores_in(read_records(folder / "records")))
    if not records:
        raise UsageError(f"{_no_records(folder, trial)}; make them with `bench table1` … `bench table4`")
    table = {"claims": tables.claims, "budget": tables.budget}[name](records)
    _write_and_print(table, folder / (name + trial.suffix), options.as_json, others)


def _no_records(folder: Path, trial: Trial) -> str:
    return f"{folder / 'records'} holds no records of this data with {trial.joints} joints"


def _write_and_print(table: Table, stem: Path, as_json: bool, others: Sequence[str]) -> None:
    table.write(stem)
    if as_json:
        print(table.to_json())
    else:
        table.print()
    if others:
        raise SkippedError(f"left out, of other data, features or joints: {', '.join(others)}; run them again")


@with_options
def claims(*, options: Judged) -> None:
    """Does it reproduce? The paper's claims against the records that are there; runs nothing."""
    _of_records("claims", options)


@with_options
def budget(*, options: Judged) -> None:
    """Quality against cost: pairs, steps, minutes and scores of the records that are there; runs nothing."""
    _of_records("budget", options)


@with_options
def joints(*, options: Tested) -> None:
    """What detected joints cost: Table 1's rows with exact and with detected ones, side by side; runs nothing."""
    from bench.cells import trial_of
    from bench.records import comparable, read_records
    from bench.spec import JOINTS, Cell
    from bench.tables import joints as table_of

    folder, place = options.results / options.preset, options.workplace()
    trials = [trial_of(Cell("ours", options.preset, joints=name), place) for name in JOINTS]
    sides, others = [], list[str]()
    for trial in trials:
        records, left = comparable(trial.scores_in(read_records(folder / "records")))
        if not records:
            option = "" if trial.joints == "exact" else f" --joints {trial.joints}"
            raise UsageError(f"{_no_records(folder, trial)}; make them with `bench table1{option}`")
        sides.append(records)
        others += left
    _write_and_print(table_of(*sides), folder / f"joints{trials[0].suffix}", options.as_json, others)


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
    joint_pairs: Annotated[
        int, typer.Option("--joint-pairs", min=0, help="Pairs of joint training, of variant wo-ml; 0: equal samples.")
    ] = 0,
    label: Annotated[str, typer.Option("--label", help="Title of the row, when it is not the method's own.")] = "",
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
    if joint_pairs and chosen != "wo-ml":
        raise UsageError("--joint-pairs are of --method ours --variant wo-ml, whose training is joint")
    cell = options.cell(
        method, variant=chosen, shots=shots, adaptation=adaptation, protocol=protocol, extra_pairs=joint_pairs,
        label=label,
    )  # fmt: skip
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
    jobs: JobsOption = "1",
    options: Scored,
) -> None:
    """One method without adapting and at several numbers of shots; trains once."""
    from bench.launch import local
    from bench.plan import sweep_cells

    try:
        counts = [int(part) for part in shots.split(",")]
    except ValueError:
        raise UsageError(f"--shots '{shots}': give whole numbers with commas, e.g. 1,4,10") from None
    base = options.cell(method, variant="msl" if msl else "")
    cells, place = sweep_cells(base, counts), options.workplace()
    if options.dry_run:
        show_plan(cells, place, options.as_json)
        return
    show_outcomes({"": local(cells, place, jobs)}, options)
