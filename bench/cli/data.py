"""`bench data`: make, look at and check data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import JsonOption, Place, print_json, with_options
from bench.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Make, look at and check data sets.")


@app.command("make")
@with_options
def make(*, options: Place) -> None:
    """Render a preset's characters, if they are not there yet, and print where they are."""
    from bench.cells import data_pack
    from bench.presets import preset as find

    pack = data_pack(find(options.preset), options.workplace())
    if options.as_json:
        print_json(
            {"frames": len(pack), "characters": len(pack.names), "image_size": pack.image_size,
             "digest": pack.digest, "folder": str(pack.folder)}
        )  # fmt: skip
        return
    print(f"{len(pack)} frames of {len(pack.names)} characters, {pack.image_size} px, digest {pack.digest}")
    print(pack.folder)


@app.command("show")
@with_options
def show(
    *,
    out: Annotated[Path, typer.Option("--out", help="The PNG to write.")] = Path("contact-sheet.png"),
    split: Annotated[str, typer.Option("--split", help="train, validation or test.")] = "test",
    count: Annotated[int, typer.Option("--count", help="How many characters.")] = 8,
    options: Place,
) -> None:
    """Write a contact sheet: characters in all their frames, stick figures beneath."""
    from bench.cells import data_pack
    from bench.data.show import contact_sheet
    from bench.presets import preset as find

    pack = data_pack(find(options.preset), options.workplace())
    contact_sheet(pack, [int(c) for c in pack.characters(split)[:count]], out)
    if options.as_json:
        print_json({"written": str(out)})
    else:
        print(out)


@app.command("check")
def check(folder: Annotated[Path, typer.Argument(help="A data set folder.")], as_json: JsonOption = False) -> None:
    """List everything that is wrong with a data set; exit code 3 if anything is."""
    from bench.data.check import check as faults_of

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    faults = [str(fault) for fault in faults_of(folder)]
    if as_json:
        print_json(faults)
    else:
        print("\n".join(faults) or "no fault found")
    if faults:
        raise typer.Exit(3)
