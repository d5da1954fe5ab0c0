"""What commands share: the options of every run, given once; the work place they name; printing."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import json
import os
import tempfile
import tomllib
import typing
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import FULL, Interrupted, Stopped, UsageError, unknown

if TYPE_CHECKING:
    from bench.cells import Workplace
    from bench.launch.forecast import Forecast
    from bench.plan import Later
    from bench.spec import Cell
    from bench.trial import Trial

PresetOption = Annotated[str, typer.Option("--preset", help="smoke, quick, standard or paper.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of training; 0, 1, 2, …")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="A packed data set of your own; default: the preset's.")
]
TestDataOption = Annotated[
    Path | None,
    typer.Option("--test-data", help="Test on this packed data set's test characters; default: those of --data."),
]
JointsOption = Annotated[str, typer.Option("--joints", help="Of the test characters: exact, or detected (by MoveNet).")]


def check_folder(option: str, folder: Path, written: bool = True) -> None:
    """Before any work is done for it: raises UsageError unless the folder is there or can be made.

    `written`: one that is there must take files too. Leaves no trace.
    """
    place = folder.absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{place} is no folder")
        if written or place != folder.absolute():
            # asking for rights is not enough: nothing can be made in /proc, whoever one is
            with tempfile.TemporaryFile(dir=place):
                pass
    except OSError as error:
        if error.errno in FULL:
            return  # what is there already may be all that is wanted
        why = (
            error.strerror if error.errno == errno.ENOTDIR else f"nothing can be written in {place} ({error.strerror})"
        )
        raise UsageError(f"{option} {folder}: {why}; name a folder that can be written in, or a new one") from error
    except ValueError as error:  # a path with a null in it
        raise UsageError(f"{option} {str(folder)!r}: {error}; name a folder") from error


READ_RESULTS = ("plan", "verify", "export", "report")
"""Commands that only read what is under --results, which may be a copy nobody can write to; the last, with --out."""


def _checked_results(context: typer.Context, path: Path) -> Path:
    check_folder("--results", path, written=context.info_name not in READ_RESULTS)
    return path


def _checked_store(context: typer.Context, path: Path | None) -> Path | None:
    from bench.store import default_root

    # one that is full of finished work serves without being written to
    check_folder("--store" if path else "BENCH_STORE", path or default_root(), written=False)
    return path


ResultsOption = Annotated[
    Path, typer.Option("--results", callback=_checked_results, help="Where records, tables and figures go.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store", callback=_checked_store, help="Where data, models and images live (default $BENCH_STORE, .store)."
    ),
]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Processes that render data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
RetryOption = Annotated[bool, typer.Option("--retry", help="Do again what failed before; else it is only reported.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def _require_data_set(option: str, folder: Path | None) -> None:
    """Once for all cells: raises UsageError for a folder that is none of `bench data import` or `render`."""
    from bench.data.origin import how_to_make

    if folder is None or (folder / "pack.json").is_file():
        return
    fault = "no data set that can be used is there" if folder.is_dir() else "no such folder"
    raise UsageError(f"{option} {folder}: {fault}; {how_to_make(folder)}")


@dataclass(frozen=True)
class Place:
    """Options of every command that needs data or the store."""

    preset: PresetOption = "quick"
    data: DataOption = None
    results: ResultsOption = field(default=Path("results"))
    store: StoreOption = None
    workers: WorkersOption = None
    as_json: JsonOption = False
    quiet: QuietOption = False

    def workplace(self) -> Workplace:
        from bench.cells import Workplace
        from bench.progress import reporter
        from bench.store import default_root

        _require_data_set("--data", self.data)
        return Workplace(self.store or default_root(), self.results, reporter(self.quiet), self.data, self.workers)


@dataclass(frozen=True)
class Tested(Place):
    """Options of every command about scores on test characters, which may be of a second data set."""

    test_data: TestDataOption = None

    def workplace(self) -> Workplace:
        _require_data_set("--test-data", self.test_data)
        return replace(super().workplace(), test_data=self.test_data)

    def folders(self) -> list[Path]:
        """Where data sets may lie that are not in the store."""
        return [folder for folder in (self.data, self.test_data) if folder is not None]


@dataclass(frozen=True)
class Judged(Tested):
    """Options of every command about rows as they were drawn, with exact joints or with detected ones."""

    joints: JointsOption = "exact"

    def trial(self) -> Trial:
        """What --test-data and --joints name; raises UsageError where either, or the preset, is none."""
        from bench.cells import trial_of
        from bench.spec import Cell

        return trial_of(Cell("ours", self.preset, joints=self.joints), self.workplace())


def _read_file(context: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file: keys are the long options' names; a flag on the command line goes before them."""
    if path is None:
        return None
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"--file {path}: {error}") from error
    known = {
        option.removeprefix("--"): parameter.name
        for parameter in context.command.params
        for option in parameter.opts
        if option.startswith("--") and option != "--file"
    }
    for key, value in values.items():
        if key not in known:
            raise unknown(f"option in {path}", key, known)
        if isinstance(value, list | dict):
            raise UsageError(f'--file {path}: {key} must be a single value, as on the command line, e.g. "1,4,10"')
    # before the values themselves are looked at, so that required options may stand in the file
    context.default_map = {known[key]: value for key, value in values.items()}
    return path


FileOption = Annotated[
    Path | None,
    typer.Option("--file", callback=_read_file, is_eager=True, help='A TOML file of options: preset = "quick" …'),
]


@dataclass(frozen=True)
class Common(Place):
    """Options of every command that runs cells."""

    seed: SeedOption = 0
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32 or bf16.")] = "auto"
    features: Annotated[str, typer.Option("--features", help="FID features; see `bench weights list`.")] = "auto"
    dry_run: DryRunOption = False
    retry: RetryOption = False
    file: FileOption = None

    def workplace(self) -> Workplace:
        # what fails in this run is not repeated in it: rows of a table share trainings
        return replace(super().workplace(), retry=uuid.uuid4().hex if self.retry else "")

    def cell(self, method: str = "ours", **changes: Any) -> Cell:
        """The cell these options describe."""
        from bench.spec import Cell

        return Cell(
            method, self.preset, seed=self.seed, device=self.device, precision=self.precision,
            extractor=self.features, **changes,
        )  # fmt: skip


@dataclass(frozen=True)
class Rescored(Tested, Common):
    """Options of every command that scores pictures which are there."""


@dataclass(frozen=True)
class Scored(Judged, Rescored):
    """Options of every command that runs cells up to their scores."""

    def cell(self, method: str = "ours", **changes: Any) -> Cell:
        """The cell these options describe; raises UsageError, and WeightsMissing for want of a detector."""
        cell = super().cell(method, joints=self.joints, **changes)
        cell.check()
        if self.joints == "detected":
            from bench.pose.joints import joints_identity

            joints_identity()  # once for all cells, before any of them is begun
        return cell


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `options: Place` (or a subclass) by one option a field of it."""
    hints = typing.get_type_hints(command, include_extras=True)
    group = hints["options"]
    own = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "options"
    ]
    group_hints = typing.get_type_hints(group, include_extras=True)
    shared = [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=entry.default if entry.default is not MISSING else inspect.Parameter.empty,
            annotation=group_hints[entry.name],
        )
        for entry in fields(group)
    ]

    @functools.wraps(command)
    def call(**values: Any) -> None:
        options = group(**{parameter.name: values.pop(parameter.name) for parameter in shared})
        command(**values, options=options)

    del call.__wrapped__  # typer would read the signature of what is wrapped
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    call.__signature__ = inspect.Signature([*keyword, *shared])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    return call


def names_of(option: str, text: str | None) -> list[str]:
    """The names in an option's value, which has commas between them; none where it was not given.

    Raises UsageError for a value without any: it would mean all of them.
    """
    if text is None:
        return []
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise UsageError(f"{option} '{text}' names nothing; give names with commas, or leave it out for all")
    return found


@contextlib.contextmanager
def stopped_with(message: str) -> Iterator[None]:
    """A signal ends the command with this message instead of the one that says that it goes on from the store."""
    try:
        yield
    except Stopped:
        raise Interrupted(message) from None


NOTHING_RUN = "interrupted before the plan was made; nothing has been run"


def print_json(value: Any) -> None:
    """JSON on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def show_plan(cells: Sequence[Cell | Later], place: Workplace, as_json: bool, forecast: Forecast | None = None) -> None:
    """Print the stages that `cells` need, their state, an estimate of the time, and what GPUs would take."""
    with stopped_with(NOTHING_RUN):
        from bench.plan import plan

        stages = plan(cells, place)
    if as_json:
        listed = [
            {"stage": s.stage.kind, "label": s.stage.label, "key": s.stage.key, "state": s.state,
             "seconds": s.seconds, "name": s.name, "needs": s.needs}
            for s in stages
        ]  # fmt: skip
        print_json({"stages": listed, "gpu": forecast.to_dict() if forecast else None})
        return
    for planned in stages:
        seconds = "" if planned.state == "done" else "?" if planned.seconds is None else f"{planned.seconds:.0f} s"
        print(f"{planned.state:10} {planned.stage.kind:9} {planned.stage.label:44} {seconds:>8}")
    todo = [planned for planned in stages if planned.state != "done"]
    known = [planned.seconds for planned in todo if planned.seconds is not None]
    print(f"{len(stages) - len(todo)} of {len(stages)} stages are in the store.", end=" ")
    print(f"About {sum(known) / 60:.1f} min to do", end="")
    print(f", and {len(todo) - len(known)} stages without history." if len(known) < len(todo) else ".")
    if forecast is not None:
        forecast.print()
