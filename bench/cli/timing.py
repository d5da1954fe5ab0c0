"""`bench time`: what every method costs, the paper's Table 3."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.shared import Common, names_of, print_json, with_options
from bench.errors import SkippedError, UsageError


@with_options
def time(
    *,
    methods: Annotated[
        str | None, typer.Option("--methods", help="Some, with commas; default: all built-in ones.")
    ] = None,
    variants: Annotated[
        str | None, typer.Option("--variants", help="Of ours, with commas: plain, msl, k2, wo-ml, wo-frm (plain,msl).")
    ] = None,
    shots: Annotated[int, typer.Option("--shots", help="Support samples a character, in fine-tuning.")] = 4,
    passes: Annotated[int, typer.Option("--passes", help="Passes over them.")] = 10,
    lr: Annotated[float | None, typer.Option("--lr", help="Of fine-tuning; default: the preset's smallest.")] = None,
    finetune: Annotated[bool, typer.Option("--finetune", help="Time the fine-tuning of baselines too.")] = False,
    repetitions: Annotated[int, typer.Option("--repetitions", help="Timed repetitions; at least 3.")] = 20,
    seconds: Annotated[
        float, typer.Option("--seconds", help="For a method; repetitions beyond 3 stop when they are spent.")
    ] = 20.0,
    options: Common,
) -> None:
    """The paper's Table 3: seconds of training, fine-tuning and generating, memory, sizes. Keeps no model."""
    from bench.timing_apart import cells_to_time, jobs_of, planned, time_methods
    from bench.timing_table import table3

    if options.features != "auto":
        raise UsageError("--features are of FID, which `bench time` does not measure; leave it out")
    base, place = options.cell(shots=shots), options.workplace()
    cells = cells_to_time(base, names_of("--methods", methods), names_of("--variants", variants))
    jobs = jobs_of(cells, place, repetitions, seconds, lr, passes, finetune)
    if options.dry_run:
        if options.as_json:
            print_json(planned(jobs))
            return
        for job in planned(jobs):
            batch = "published" if job["batch"] is None else job["batch"]
            tuned = f"{shots} shots × {passes} passes" if job["finetuned"] else "not fine-tuned"
            print(f"{job['title']:22} width {job['width']:g}, batch {batch}, {tuned}, about {job['seconds']:g} s")
        return
    timings = time_methods(jobs, place)
    print_json(timings.to_dict()) if options.as_json else table3(timings).print()
    if timings.missing:
        raise SkippedError(f"done, but not measured: {'; '.join(timings.missing)}")
