"""`bench figures`: the paper's figures and further ones, from what has been run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import Scored, names_of, print_json, with_options
from bench.cli.tables import SeedsOption, seeds_of
from bench.errors import DataError, SkippedError, UsageError


@with_options
def figures(
    *,
    only: Annotated[str | None, typer.Option("--only", help="Some of them, with commas, e.g. 1,6,8,training.")] = None,
    people: Annotated[
        Path | None,
        typer.Option("--people", help="For figure 7: a folder of images and their COCO annotations.json."),
    ] = None,
    seeds: SeedsOption = "",
    options: Scored,
) -> None:
    """Make figures from what has been run: the paper's 1 and 4 to 11, curves, shots, cost, characters.

    Exit code 4 where something to show is not there yet, 3 where it is there and damaged; all others are made.
    """
    from bench.illustrate.make import chosen, illustrate
    from bench.illustrate.studio import Studio

    if people is not None and not people.is_dir():
        raise UsageError(f"--people {people}: no such folder; give one with images and annotations.json")
    names = chosen(",".join(names_of("--only", only)))
    if people is None and not only:
        names.remove("7")  # nothing is missing where nobody asked for it
    if options.dry_run:
        print_json(names) if options.as_json else print("\n".join(names))
        return
    cell = replace(options.cell(), seed=seeds_of(seeds, options)[0])  # pictures are of one seed, records of all
    outcomes = illustrate(names, Studio(cell, options.workplace(), people))
    if options.as_json:
        print_json(
            [{"figure": o.figure, "files": [str(f) for f in o.files], "caption": o.caption, "skipped": o.skipped}
             for o in outcomes]
        )  # fmt: skip
    else:
        for outcome in outcomes:
            for file in outcome.files:
                print(file)
        if "7" not in names and not only:
            hint = "figure 7 shows people: give a folder with images and their COCO annotations.json as --people DIR"
            print(hint, file=sys.stderr)
    skipped = [outcome for outcome in outcomes if outcome.skipped]
    for outcome in skipped:
        print(outcome.skipped, file=sys.stderr)
    if skipped:
        names = [outcome.figure for outcome in skipped]
        kind = DataError if any(outcome.bad_data for outcome in skipped) else SkippedError
        raise kind(f"done, but not or not all of figure {', '.join(names)}")
