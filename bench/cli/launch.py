"""`bench plan` and `bench launch`: what a table needs and costs; its cells on many processes or machines."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.shared import NOTHING_RUN, Scored, print_json, show_plan, stopped_with, with_options
from bench.cli.tables import FinetuneOption, SeedsOption, seeds_of, show_outcomes
from bench.errors import UsageError, unknown

CPU_PRESETS = ("smoke", "quick")  # whose plans say nothing of GPUs unless asked
WITH = ("local", "slurm", "print")

WhatArgument = Annotated[str, typer.Argument(help="table1, table2, table4, sweep, ablate or all.")]


@with_options
def plan(
    *,
    what: WhatArgument,
    seeds: SeedsOption = "",
    finetune: FinetuneOption = False,
    gpus: Annotated[
        str, typer.Option("--gpus", help="Hours on so many, with commas; default 1,8,64, at smoke and quick none.")
    ] = "",
    tflops: Annotated[float, typer.Option("--tflops", help="Of a GPU, for estimates.", min=0.001)] = 312.0,
    utilisation: Annotated[
        float, typer.Option("--utilisation", help="Share of --tflops reached.", min=0.001, max=1)
    ] = 0.15,
    options: Scored,
) -> None:
    """Print the stages a table needs, what of them is in the store, and how long the rest takes, here and on GPUs."""
    with stopped_with(NOTHING_RUN):
        from bench.launch.forecast import Gpu, forecast
        from bench.plan import cells_named

        base, place = options.cell(), options.workplace()
        cells = [cell for of in cells_named(what, base, seeds_of(seeds, options), finetune).values() for cell in of]
        wanted = gpus or ("" if options.preset in CPU_PRESETS else "1,8,64")
        counts = _counts(wanted)
        shown = forecast(cells, place, counts, Gpu(tflops, utilisation)) if counts else None
        show_plan(cells, place, options.as_json, shown)


def _counts(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",") if part]
    except ValueError:
        found = [0]
    if any(count < 1 for count in found) or (text and not found):
        raise UsageError(f"--gpus '{text}': give whole numbers from 1 with commas, e.g. 1,8,64")
    return found


@with_options
def launch(
    *,
    what: WhatArgument,
    launcher: Annotated[str, typer.Option("--with", help="local, slurm or print.")],
    seeds: SeedsOption = "",
    finetune: FinetuneOption = False,
    jobs: Annotated[
        str, typer.Option("--jobs", help="local: processes, or auto. slurm: jobs at a time; auto: 64.")
    ] = "auto",
    partition: Annotated[str, typer.Option("--partition", help="slurm: where jobs go.")] = "",
    gpu: Annotated[
        list[str] | None, typer.Option("--gpu", help="slurm: a GPU there is and its GiB, e.g. a100:40; repeat.")
    ] = None,
    sbatch: Annotated[
        list[str] | None, typer.Option("--sbatch", help="slurm: a further option, e.g. account=lab; repeat.")
    ] = None,
    options: Scored,
) -> None:
    """Do the cells of a table with many processes, as jobs of a cluster, or print a command for each."""
    from bench.launch import commands, local
    from bench.launch.outcome import Outcome
    from bench.plan import cells_named

    if launcher not in WITH:
        raise unknown("launcher", launcher, WITH)
    if launcher != "slurm" and (partition or gpu or sbatch):
        raise UsageError("--partition, --gpu and --sbatch are of --with slurm")
    base, place = options.cell(), options.workplace()
    if launcher == "slurm":
        from bench.launch.slurm import Cluster, base_cell, slurm

        gpus = None if base.device == "cpu" else dict(_pair("--gpu", part, ":") for part in gpu or [])
        memory = None if gpus is None else {name: _gib(value) for name, value in gpus.items()}
        extra = dict(_pair("--sbatch", part, "=") for part in sbatch or [])
        cluster = Cluster(partition=partition, gpus=memory, most=_most(jobs), extra=extra)
        base = base_cell(base, cluster)
    tables = cells_named(what, base, seeds_of(seeds, options), finetune)
    cells = [cell for of in tables.values() for cell in of]
    if options.dry_run:
        show_plan(cells, place, options.as_json)
        return
    if launcher == "print":
        printed = commands(cells, place)
        print_json(printed) if options.as_json else print("\n".join(printed))
        return
    outcome = slurm(cells, place, cluster) if launcher == "slurm" else local(cells, place, jobs)
    rows = iter(outcome.rows)
    show_outcomes({name: Outcome(tuple(next(rows) for _ in of)) for name, of in tables.items()}, options)


def _most(jobs: str) -> int:
    if jobs == "auto":
        return 64
    if not jobs.isdecimal() or int(jobs) < 1:
        raise UsageError(f"--jobs '{jobs}': give a number of jobs from 1, or auto")
    return int(jobs)


def _pair(option: str, text: str, mark: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not (name and found and value):
        raise UsageError(f"{option} '{text}': give NAME{mark}VALUE")
    return name, value


def _gib(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--gpu: '{text}' is no number of GiB; give e.g. a100:40") from None
