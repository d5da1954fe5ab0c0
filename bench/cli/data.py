"""`bench data`: make, look at and check data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import JsonOption, Place, QuietOption, WorkersOption, print_json, with_options
from bench.errors import SkippedError, UsageError

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


@app.command("render")
def render(
    *,
    avatars: Annotated[Path, typer.Option("--avatars", help="A folder of .vrm files (VRM 0.x and 1.0).")],
    out: Annotated[Path, typer.Option("--out", help="The data set to make; every command's --data takes it.")],
    motions: Annotated[
        Path | None, typer.Option("--motions", help="A folder of .bvh and .vrma clips; default: made-up dances.")
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Pixels a side.")] = 64,
    frames: Annotated[int, typer.Option("--frames", help="Frames a character: 4 views + two clips.")] = 28,
    split: Annotated[
        str, typer.Option("--split", help="train, validation, test, or their shares: 80,10,10.")
    ] = "80,10,10",
    seed: Annotated[int, typer.Option("--seed", help="Seed of split, clips and frame times.")] = 0,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Render real characters into a data set; exit code 4 if some files had to be skipped."""
    from bench.data.avatars.dataset import render_folder
    from bench.data.avatars.render import Shots
    from bench.progress import reporter

    with reporter(quiet).task("avatars") as task:
        done = render_folder(avatars, motions, out, Shots(size, frames, seed), split, workers, task.update)
    pack = done.pack
    shown = ("file", "title", "author", "licence", "licence_url")
    characters = [
        {"name": name, "split": part, **{key: tags.get(key) for key in shown}}
        for name, part, tags in zip(pack.names, pack.splits, pack.tags, strict=True)
    ]
    if as_json:
        print_json(
            {"frames": len(pack), "image_size": pack.image_size, "digest": pack.digest, "folder": str(out),
             "characters": characters, "skipped": dict(done.skipped)}
        )  # fmt: skip
    else:
        for c in characters:
            print(f"{c['split']:10} {c['name']}: {c['title'] or 'untitled'}, by {c['author']}; licence: {c['licence']}"
                  + (f" ({c['licence_url']})" if c["licence_url"] else ""))  # fmt: skip
        for file, reason in done.skipped.items():
            print(f"skipped    {file}: {reason}")
        print(f"{len(pack)} frames of {len(pack.names)} characters, {pack.image_size} px, digest {pack.digest}")
        print(out)
    if done.skipped:
        raise SkippedError(f"{len(done.skipped)} of the files were skipped: mend or remove them and run this again")


@app.command("export-vrm")
def export_vrm(
    *,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which procedural character.")],
    out: Annotated[Path, typer.Option("--out", help="The .vrm file to write.")],
    as_json: JsonOption = False,
) -> None:
    """Write one of the suite's own characters as VRM 1.0 (CC0)."""
    from bench.data.avatars.export import export_character

    if out.suffix.lower() != ".vrm":
        raise UsageError(f"--out {out}: name a file that ends in .vrm")
    meta = export_character(seed, out)
    if as_json:
        print_json({"written": str(out), "title": meta.title, "licence": meta.licence})
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
