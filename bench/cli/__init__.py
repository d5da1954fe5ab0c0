"""The `bench` command: reads options, calls the suite, prints. No logic, and no torch until a command needs it.

Exit codes: 0 done, 1 failed, 2 usage, 3 bad data, 4 done but something was skipped, 5 weights missing, 6 device,
7 non-finite loss, 8 disk full, 75 interrupted and resumable.
"""

from __future__ import annotations

import io
import signal
import sys
from typing import NoReturn

import typer

from bench.cli import (
    data,
    difficulty,
    figures,
    launch,
    methods,
    page,
    pose,
    records,
    report,
    speed,
    store,
    tables,
    timing,
    transfer,
    weights,
)
from bench.errors import FULL, BenchError, DiskFull, Interrupted, Stopped
from bench.ranks import launched

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Benchmark for few-shot anime pose transfer: train, adapt, score, compare.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 bad data, 4 something skipped, 5 weights missing, 6 device, "
    "7 non-finite loss, 8 disk full, 75 interrupted (run the same command again).",
)
for command in (
    *(tables.table1, tables.table2, tables.table4, tables.claims, tables.budget, tables.joints),
    *(tables.run, tables.sweep),
    *(launch.plan, launch.launch),
    *(methods.methods, methods.inspect, methods.check_method),
    *(records.import_predictions, records.verify, records.export),
    difficulty.difficulty,
    figures.figures,
    report.report,
    timing.time,
    speed.speed,
    transfer.transfer,
    page.page,
    transfer.export_model,
):
    app.command()(command)
app.command("ablate", help="Another name of table4.")(tables.table4)
for name, group in (("data", data.app), ("pose", pose.app), ("store", store.app), ("weights", weights.app)):
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point: errors end in one line that names the fix, and a documented exit code."""
    _show_what_can_be_shown()
    _stop_on_signals()
    try:
        if launched():
            from bench.ranks.jobs import run_command

            run_command(app)
        else:
            app()
    except BenchError as error:
        _end(error)
    except Stopped:
        _end(Interrupted("interrupted; the same command goes on from the store"))
    except OSError as error:
        if error.errno in FULL:
            _end(DiskFull(error.filename or "a file"))
        if error.filename is None:
            raise  # of no file: a fault of this program, as far as one can tell
        _end(_unusable(error))


def _show_what_can_be_shown() -> None:
    """A terminal or file whose encoding lacks ↓ or Δ gets a question mark, not the end of a command that is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # another may stand in for it, or none be there
            stream.reconfigure(errors="replace")


def _stop_on_signals() -> None:
    """Signals raise Stopped; the training loop, while it runs, takes them at the end of a step instead."""

    def stop(number: int, frame: object) -> None:
        raise Stopped

    for name in ("SIGINT", "SIGTERM", "SIGUSR2"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # whoever ignores one, means it
            signal.signal(number, stop)


def _unusable(error: OSError) -> BenchError:
    """What the system said of a file, or of the two of a renaming."""
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return BenchError(f"{names}: {error.strerror or error}")


def _end(error: BenchError) -> NoReturn:
    print(f"bench: {error}", file=sys.stderr)
    raise SystemExit(error.exit_code) from error
