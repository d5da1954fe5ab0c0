"""`bench pose`: how far the joints that a detector finds can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.shared import Place, print_json, with_options
from bench.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Pose detectors: measure them against exact joints.")


@app.callback()
def _group() -> None:
    """A group even while it has one command."""


@app.command("eval")
@with_options
def evaluate(
    *,
    detector: Annotated[str, typer.Option("--detector", help="movenet or rtmlib.")] = "movenet",
    size: Annotated[int, typer.Option("--size", help="Pixels a side the preset's characters are rendered at.")] = 256,
    threshold: Annotated[float, typer.Option("--threshold", help="Score from which a joint is drawn.")] = 0.2,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Also write a PNG: pictures, exact and detected stick figures.")
    ] = None,
    options: Place,
) -> None:
    """Detect the joints of characters whose joints are exact: PCK and median error by view, at 256 px."""
    from dataclasses import replace

    from bench.cells import data_pack
    from bench.data.show import chosen_frames
    from bench.pose import detector as find_detector
    from bench.pose.evaluate import as_table
    from bench.pose.evaluate import evaluate as measure
    from bench.pose.show import comparison_sheet
    from bench.presets import preset as find

    if not 32 <= size <= 1024:
        raise UsageError(f"--size {size}: give 32 to 1024 pixels")
    place, preset = options.workplace(), find(options.preset)
    found = find_detector(detector)
    pack = data_pack(replace(preset, data=replace(preset.data, image_size=size)), place)
    with place.report.task(f"detect joints, {len(pack)} frames") as task:
        report = measure(found, pack, threshold, task.update)
    if picture is not None:
        comparison_sheet(found, pack, chosen_frames(pack, int(pack.characters("test")[0]), 8), picture, threshold)
    if options.as_json:
        print_json(report.as_json())
        return
    print(f"{report.detector}; {len(pack)} frames of {len(pack.names)} characters at {pack.image_size} px\n")
    print(as_table(report))
    print(
        "\nPCK@r: share of joints within r pixels at 256 px, hidden ones included; drawn, ghosts: share of present and"
        f"\nof absent joints with a score from {report.threshold:g}; swapped: frames with left and right exchanged."
    )
