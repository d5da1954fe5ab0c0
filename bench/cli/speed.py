"""`bench speed`: what the suite's own operations cost, as ratios."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import JsonOption, PresetOption, QuietOption, ResultsOption, names_of, stopped_with

STOPPED = "interrupted before anything was measured; the same command begins again"
TOPICS = "startup, steps, meta, adapt, generate, render, pack, features, frechet, published, authors, memory"


def speed(
    preset: PresetOption = "quick",
    only: Annotated[str | None, typer.Option("--only", help=f"Topics, with commas: {TOPICS}.")] = None,
    methods: Annotated[
        str | None, typer.Option("--methods", help="Some, with commas; default: all built-in ones.")
    ] = None,
    clones: Annotated[
        Path | None,
        typer.Option("--authors", help="A folder with clones of the baselines' own code, which is run: topic authors."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes, in seconds: does it work?")] = False,
    compiles: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compiled steps too; minutes for each method.")
    ] = True,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    threads: Annotated[int, typer.Option("--threads", help="Of the CPU; with one, CPU seconds are counted.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", help="Timed rounds; at least 3.")] = 7,
    seconds: Annotated[
        float, typer.Option("--seconds", help="For a group; rounds beyond 3 stop when they are spent.")
    ] = 60.0,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Speed as ratios: precisions, layouts, compiling, meta-steps, data, metrics, the authors' code. Keeps no model."""
    # before numpy loads its BLAS, which reads them once
    os.environ.update({name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})
    with stopped_with(STOPPED):
        from bench.build import pick_device
        from bench.presets import preset as find
        from bench.progress import reporter
        from bench.speed.make import check_amounts, measure_speed
        from bench.speed.record import Scope

        # as they were given: with --quick others take their place
        find(preset)
        check_amounts(rounds, threads, seconds)
        scope = Scope(
            preset_name="smoke" if quick else preset,
            device=pick_device(device),
            threads=threads,
            rounds=3 if quick else rounds,
            seconds=0.0 if quick else seconds,
            quick=quick,
            compiles=compiles and not quick,
            methods=tuple(names_of("--methods", methods)),
            authors=clones,
            report=reporter(quiet),
        )
        table = measure_speed(scope, names_of("--only", only), results)
    print(table.to_json()) if as_json else table.print()
