"""The `bench` command: reads options, calls the suite, prints. No logic, and no torch until a command needs it.

Exit codes: 0 done, 2 usage, 3 bad data, 4 done but something was skipped, 5 weights missing, 6 device,
7 non-finite loss, 75 interrupted and resumable.
"""

from __future__ import annotations

import sys

import typer

from bench.cli import data, figures, methods, pose, records, report, speed, store, tables, timing, transfer, weights
from bench.errors import BenchError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Benchmark for few-shot anime pose transfer: train, adapt, score, compare.",
    epilog="Exit codes: 0 done, 2 usage, 3 bad data, 4 something skipped, 5 weights missing, 6 device, "
    "7 non-finite loss, 75 interrupted (run the same command again).",
)
for command in (
    *(tables.table1, tables.table2, tables.table4, tables.claims, tables.budget),
    *(tables.run, tables.sweep, tables.ablate, tables.plan),
    *(methods.methods, methods.inspect, methods.check_method),
    *(records.import_predictions, records.verify, records.export),
    figures.figures,
    report.report,
    timing.time,
    speed.speed,
    transfer.transfer,
    transfer.export_model,
):
    app.command()(command)
for name, group in (("data", data.app), ("pose", pose.app), ("store", store.app), ("weights", weights.app)):
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point: errors end in one line that names the fix, and a documented exit code."""
    try:
        app()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        print("bench: interrupted; the same command goes on from the store", file=sys.stderr)
        raise SystemExit(75) from None
