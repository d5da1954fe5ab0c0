"""`bench report`: tables, figures and pictures in one static page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import Judged, check_folder, print_json, with_options
from bench.errors import DataError, SkippedError


@with_options
def report(
    *,
    out: Annotated[
        Path | None, typer.Option("--out", help="New, empty or an earlier report; default results/<preset>/report….")
    ] = None,
    options: Judged,
) -> None:
    """A static HTML report of what has been run; runs nothing.

    Exit code 4 where the store lacks the pictures of some row, 3 where some are damaged; all others are shown.
    """
    from bench.report import make_report

    place, trial = options.workplace(), options.trial()
    target = out or options.results / options.preset / f"report{trial.suffix}"
    option = "--out" if out else "--results"
    check_folder(option, target)
    check_folder(option, target.resolve().parent)  # a report is built beside the one that it replaces
    made = make_report(options.results, options.preset, place.store, target, options.folders(), trial)
    if options.as_json:
        print_json({"page": str(made.page), "without_pictures": dict(made.without_pictures)})
    else:
        print(made.page)
    if made.damaged:
        reasons = "\n  ".join(made.without_pictures[row] for row in made.damaged)
        raise DataError(f"the report is without pictures that are damaged:\n  {reasons}")
    if made.without_pictures:
        rows = ", ".join(made.without_pictures)
        raise SkippedError(f"the report has no pictures of: {rows}; it names the commands that make them")
