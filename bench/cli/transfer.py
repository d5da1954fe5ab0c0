"""`bench transfer` and `bench export-model`: a user's own character, animated; a trained model as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import Common, JsonOption, QuietOption, print_json, with_options
from bench.cli.tables import MslOption
from bench.errors import UsageError


def transfer(
    *,
    source: Annotated[
        list[str],
        typer.Option("--source", help="A picture of the character; more for more shots. Or c2000000: one of ours."),
    ],
    out: Annotated[Path, typer.Option("--out", help="A .gif, .mp4, .png (contact sheet) or a folder of frames.")],
    motion: Annotated[
        str, typer.Option("--motion", help="dance, dance:SEED, a .bvh or .vrma clip, or a .json of keypoints.")
    ] = "dance",
    joints: Annotated[
        list[Path] | None, typer.Option("--joints", help="Joints of each picture, .json; default: beside it.")
    ] = None,
    detector: Annotated[
        str, typer.Option("--detector", help="Finds the joints of pictures without: movenet or rtmlib.")
    ] = "",
    model: Annotated[
        Path | None, typer.Option("--model", help="A file of `bench export-model`; default: the one that comes along.")
    ] = None,
    frames: Annotated[int, typer.Option("--frames", min=1, max=10_000, help="At most so many.")] = 48,
    fps: Annotated[float, typer.Option("--fps", min=0.5, max=60, help="Frames a second.")] = 12.0,
    shots: Annotated[int, typer.Option("--shots", help="Support samples; default: one a picture.")] = 0,
    scale: Annotated[int, typer.Option("--scale", min=1, max=16, help="Every pixel so many times as large.")] = 4,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="The motion's pixels are the framed picture's: change nothing.")
    ] = False,
    poses: Annotated[bool, typer.Option("--poses", help="The stick figure beside every frame.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace what is at --out.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Animate a character: adapt a trained method to pictures of it, and draw it in every pose of a motion."""
    from functools import cache, partial

    from bench.build import pick_device, use_all_cores
    from bench.pose import detector as load_detector
    from bench.progress import reporter
    from bench.transfer import default_model, read_model, read_motion, read_source, remarks, write_pictures
    from bench.transfer import transfer as animate
    from bench.transfer.write import check_target

    check_target(out, force)
    use_all_cores()
    report = reporter(quiet)
    published = read_model(model or default_model(), pick_device(device))
    size = published.spec.image_size
    finder = cache(partial(load_detector, detector)) if detector else None
    people = read_source(source, joints or [], size, published.framing, finder)
    for remark in remarks(people):
        report.line(remark)
    target = read_motion(motion, frames, fps)
    with report.task(f"transfer, {len(target)} frames of {size} px") as task:
        made = animate(published, people, target, shots or len(people), task, in_place)
    images = made.with_poses() if poses else made.images
    files = write_pictures(images, out, fps, scale)
    if as_json:
        print_json({
            "files": [str(file) for file in files], "frames": len(images), "image_size": size,
            "adapt_seconds": made.adapt_seconds, "draw_seconds": made.draw_seconds, "passes": made.passes,
            "model": published.about,
        })  # fmt: skip
        return
    print(f"{out}: {len(images)} frames; adapted in {made.adapt_seconds:.1f} s, drawn in {made.draw_seconds:.1f} s")


@with_options
def export_model(
    *,
    out: Annotated[Path, typer.Option("--out", help="The .safetensors to write.")],
    method: Annotated[str, typer.Option("--method", help="The method of the cell.")] = "ours",
    msl: MslOption = False,
    variant: Annotated[str, typer.Option("--variant", help="Of ours: msl, k2, wo-ml or wo-frm.")] = "",
    shots: Annotated[int, typer.Option("--shots", help="Whose fine-tuning schedule goes along.")] = 1,
    options: Common,
) -> None:
    """Write the trained model of a cell as one small file, for `bench transfer` and for others."""
    from bench.build import pick_device
    from bench.cells import data_pack, stages
    from bench.data.people import Framing
    from bench.illustrate.pictures import model as trained
    from bench.presets import preset
    from bench.run import row_title
    from bench.transfer import export_model as write

    if msl and variant not in ("", "msl"):
        raise UsageError(f"--msl and --variant {variant} are two variants; give one")
    cell = options.cell(method, variant="msl" if msl else variant, shots=shots)
    cell.check()
    if cell.is_floor:
        raise UsageError(f"{method} is a floor and has no model")
    place = options.workplace()
    found = stages(cell, place)
    assert found.spec is not None and found.train is not None
    pack = data_pack(preset(cell.preset), place)
    sources = [pack.view_of(int(character), "front") for character in pack.characters("train")]
    pick_device(cell.device)
    about = {"title": row_title(cell), "preset": cell.preset, "seed": cell.seed, "train_key": found.train.key,
             "data": pack.digest, "command": f"bench run --method {cell.method} --variant {cell.variant}"}  # fmt: skip
    size = write(trained(cell, place), found.spec.when_adapting, Framing.of(pack.keypoints[sources]), about, out)
    if options.as_json:
        print_json({"written": str(out), "bytes": size, **about})
    else:
        print(f"{out}: {row_title(cell)}, {size / 2**20:.1f} MiB")
