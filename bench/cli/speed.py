"""`bench speed`: what the suite's own operations cost, as ratios."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import JsonOption, PresetOption, QuietOption, ResultsOption

TOPICS = "startup, steps, meta, adapt, generate, render, pack, features, frechet, published, memory"


def speed(
    preset: PresetOption = "quick",
    only: Annotated[str, typer.Option("--only", help=f"Topics, with commas: {TOPICS}.")] = "",
    methods: Annotated[str, typer.Option("--methods", help="Some, with commas; default: all built-in ones.")] = "",
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
    """Speed as ratios: precisions, layouts, compiling, meta-steps, data, metrics, published code. Keeps no model."""
    # before numpy loads its BLAS, which reads them once
    os.environ.update({name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})
    from bench.build import pick_device
    from bench.progress import reporter
    from bench.speed.make import measure_speed
    from bench.speed.record import Scope

    scope = Scope(
        preset_name="smoke" if quick else preset,
        device=pick_device(device),
        threads=threads,
        rounds=3 if quick else rounds,
        seconds=0.0 if quick else seconds,
        quick=quick,
        compiles=compiles and not quick,
        methods=_names(methods),
        report=reporter(quiet),
    )
    table = measure_speed(scope, _names(only), results)
    print(table.to_json()) if as_json else table.print()


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
