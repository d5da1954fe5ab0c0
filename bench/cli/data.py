"""`bench data`: make, import, look at and check data sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.shared import JsonOption, Place, QuietOption, WorkersOption, print_json, with_options
from bench.errors import SkippedError, UsageError

if TYPE_CHECKING:
    from bench.presets import Preset

app = typer.Typer(no_args_is_help=True, help="Make, import, look at and check data sets.")
EditionOption = Annotated[
    int | None, typer.Option("--edition", min=1, max=2, help="Of the characters: 1 or 2; default: the preset's.")
]


def _sized(preset: str, edition: int | None) -> Preset:
    """The preset of that name, its characters in another edition where one is asked for."""
    from bench.presets import preset as find

    found = find(preset)
    return found if edition is None else replace(found, data=replace(found.data, edition=edition))


@app.command("make")
@with_options
def make(*, edition: EditionOption = None, options: Place) -> None:
    """Render a preset's characters, if they are not there yet, and print where they are."""
    from bench.cells import data_pack
    from bench.data.make import make_dataset
    from bench.data.recipe import Recipe

    size, place = _sized(options.preset, edition), options.workplace()
    if place.data is None:  # also where the pack is whole and the files that it was made of are not
        with place.report.task("data") as task:
            make_dataset(Recipe.of(size.data), place.store / "data", place.workers, task.update)
    pack = data_pack(size, place)
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
    edition: EditionOption = None,
    options: Place,
) -> None:
    """Write a contact sheet: characters in all their frames, stick figures beneath."""
    from bench.cells import data_pack
    from bench.data.show import contact_sheet

    pack = data_pack(_sized(options.preset, edition), options.workplace())
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
             "characters": characters, "skipped": dict(done.skipped), "notes": list(done.notes)}
        )  # fmt: skip
    else:
        for c in characters:
            print(f"{c['split']:10} {c['name']}: {c['title'] or 'untitled'}, by {c['author']}; licence: {c['licence']}"
                  + (f" ({c['licence_url']})" if c["licence_url"] else ""))  # fmt: skip
        for file, reason in done.skipped.items():
            print(f"skipped    {file}: {reason}")
        for note in done.notes:
            print(f"note       {note}")
        print(f"{len(pack)} frames of {len(pack.names)} characters, {pack.image_size} px, digest {pack.digest}")
        print(out)
    if done.skipped:
        raise SkippedError(f"{len(done.skipped)} of the files were skipped: mend or remove them and run this again")


@app.command("export-vrm")
def export_vrm(
    *,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which procedural character.")],
    out: Annotated[Path, typer.Option("--out", help="The .vrm file to write.")],
    edition: Annotated[int, typer.Option("--edition", min=1, max=2, help="Of the characters: 1 or 2.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write one of the suite's own characters as VRM 1.0 (CC0)."""
    from bench.data.avatars.export import export_character

    if out.suffix.lower() != ".vrm":
        raise UsageError(f"--out {out}: name a file that ends in .vrm")
    meta = export_character(seed, out, edition)
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


@app.command("import")
def import_pictures(
    source: Annotated[Path, typer.Argument(help="A folder with a folder of images for each character.")],
    out: Annotated[Path, typer.Option("--out", help="The data set's folder, a new one; then --data names it.")],
    size: Annotated[int, typer.Option("--size", help="Pixels a side.")] = 64,
    joints: Annotated[
        str, typer.Option("--joints", help="coco or alphapose: from files in SOURCE; detect; auto: files, else detect.")
    ] = "auto",
    annotations: Annotated[Path | None, typer.Option("--annotations", help="The file of joints, if not there.")] = None,
    detector: Annotated[str, typer.Option("--detector", help="movenet or rtmlib.")] = "movenet",
    threshold: Annotated[float, typer.Option("--threshold", help="Score from which a joint is there.")] = 0.2,
    front: Annotated[
        str, typer.Option("--source", help="Pattern of each front view's file; default: front.*, else the first.")
    ] = "",
    split: Annotated[
        str, typer.Option("--split", help="A .json file, or shares; default: SOURCE/split.json, else 0.8,0.1,0.1.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the split by shares.")] = 0,
    views: Annotated[
        str, typer.Option("--views", help="fill: other images stand in for views training characters lack; named: no.")
    ] = "fill",
    skip_faulty: Annotated[bool, typer.Option("--skip-faulty", help="Leave out images with a fault; exit 4.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a data set of your own pictures; lists every fault and exits with 3 if there are any."""
    from bench.data.imports import ImportFaults, ImportOptions, import_folder
    from bench.data.imports.faults import listed
    from bench.errors import unknown
    from bench.progress import reporter

    if views not in ("fill", "named"):
        raise unknown("--views", views, ("fill", "named"))
    options = ImportOptions(
        size, joints, annotations, detector, threshold, front, split, seed, views == "fill", skip_faulty
    )
    try:
        made = import_folder(source, out, options, reporter(quiet))
    except ImportFaults as error:
        if as_json:
            print_json({"faults": error.faults})
            raise typer.Exit(3) from None
        raise
    if as_json:
        print_json({**vars(made), "folder": str(made.folder)})
    else:
        counts = ", ".join(f"{count} {part}" for part, count in made.characters.items())
        print(f"{made.frames} frames of {sum(made.characters.values())} characters ({counts}), digest {made.digest}")
        print("joints: " + ", ".join(f"{key} {value}" for key, value in made.joints.items()))
        for line in [*made.notes, *(f"left out: {fault}" for fault in listed(made.skipped))]:
            print(f"- {line}")
        print(made.folder)
    if made.skipped:
        raise typer.Exit(4)


@app.command("stats")
def stats(folder: Annotated[Path, typer.Argument(help="A data set folder.")], as_json: JsonOption = False) -> None:
    """Characters, frames, views, size of the foreground, joints that show, tags."""
    from bench.data.stats import as_text
    from bench.data.stats import stats as stats_of

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    found = stats_of(folder)
    if as_json:
        print_json(found.as_json())
    else:
        print(as_text(found))
