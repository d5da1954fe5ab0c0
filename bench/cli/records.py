"""Commands about records: import pictures made elsewhere, recompute scores, bundle."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import Rescored, Tested, print_json, with_options
from bench.errors import DataError, UsageError


@with_options
def import_predictions(
    *,
    folder: Annotated[Path | None, typer.Argument(help="Pictures named as in the template.")] = None,
    name: Annotated[str, typer.Option("--name", help="Title of the row.")] = "",
    template: Annotated[Path | None, typer.Option("--template", help="Write what to draw to this folder.")] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Scale pictures of another size.")] = False,
    note: Annotated[str, typer.Option("--note", help="A footnote for the row: how they were made.")] = "",
    options: Rescored,
) -> None:
    """Score a folder of pictures made elsewhere as one more row (start with --template DIR)."""
    from bench.cells import data_pack, tested_pack
    from bench.data.beside import refuse_known
    from bench.predictions import import_predictions as score_them
    from bench.predictions import read_predictions, write_template
    from bench.presets import preset as find
    from bench.publish import print_records

    if (template is None) == (folder is None):
        raise UsageError("give a folder of pictures to import, or --template DIR to learn what to draw")
    if folder is not None and not name:
        raise UsageError("--name is missing: the title the row shall have")
    place, size = options.workplace(), find(options.preset)
    trained, tested = data_pack(size, place), tested_pack(size, place)
    if tested is not None:
        refuse_known(trained, tested)
    pack = tested or trained  # whose test characters are to be drawn
    if template is not None:
        wanted = write_template(pack, template)
        if options.as_json:
            print_json({"folder": str(template), "pictures": wanted})
        else:
            print(f"{template}: draw the {wanted} pictures that wanted.csv lists, {pack.image_size} px, on white")
        return
    assert folder is not None
    images = read_predictions(folder, pack, resize)
    if options.dry_run:
        print_json({"pictures": len(images)}) if options.as_json else print(f"{len(images)} pictures, no fault found")
        return
    record = score_them(name, images, trained, options.preset, place, options.features, options.device, note, tested)
    if options.as_json:
        print_json(record.to_dict())
    else:
        print_records([record])


@with_options
def verify(
    *,
    records: Annotated[list[Path] | None, typer.Argument(help="Record files; default: all of the preset.")] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Relative difference that is allowed.")] = 1e-4,
    options: Rescored,
) -> None:
    """Recompute records from their stored images and stages; exit code 3 when a field differs or images are gone."""
    from bench.build import pick_device, use_all_cores
    from bench.records import read_record
    from bench.verify import verify as check

    paths = records or sorted((options.results / options.preset / "records").glob("*.json"))
    if not paths:
        raise UsageError(f"{options.results / options.preset / 'records'} holds no records")
    place, device = options.workplace(), pick_device(options.device)
    use_all_cores()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as features:
        for path in paths:
            record = read_record(path)
            try:
                with place.report.task(f"verify {record.title}") as task:
                    wrong = check(record, place.store, device, task, options.folders(), tolerance, Path(features))
                found[str(path)] = [vars(difference) for difference in wrong]
                text = "; ".join(map(str, wrong[:5])) or "agrees"
                text += f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            except DataError as error:
                found[str(path)] = text = str(error)
            if not options.as_json:
                print(f"{path.name}: {text}")
    if options.as_json:
        print_json(found)
    bad = sum(bool(value) for value in found.values())
    if bad:
        raise DataError(f"{bad} of {len(paths)} records cannot be recomputed from the store")


@with_options
def export(
    *,
    out: Annotated[Path, typer.Option("--out", help="The zip to write.")] = Path("records.zip"),
    images: Annotated[bool, typer.Option("--images", help="With every generated picture.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    options: Tested,
) -> None:
    """Bundle the records, tables and figures of a preset in a zip."""
    from bench.export import export as bundle

    place = options.workplace()
    names = bundle(options.results, options.preset, out, place.store if images else None, force, options.folders())
    if options.as_json:
        print_json({"file": str(out), "holds": names})
    else:
        print(f"{out}: {len(names)} files, {out.stat().st_size / 2**20:.1f} MiB")
