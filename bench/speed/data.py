"""Rendering a frame, and reading frames from the pack that training reads."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.data.batches import pair_batch
from bench.data.make import make_dataset
from bench.data.pack import pack_of
from bench.data.recipe import MARGIN, Recipe, supersample
from bench.speed.clock import Operation
from bench.speed.record import Group, Scope, line

CHARACTER = 2_000_000  # the first test character, in every preset
SIZES = (64, 128, 256)
POSE, BUILD = "posing alone", "building a character"


def render(scope: Scope) -> list[Group]:
    """Frames of one dancing character, as data sets are rendered; one core, whatever the device."""
    from bench.data.render.camera import frame_camera
    from bench.data.render.characters import character
    from bench.data.render.dance import Dance
    from bench.data.render.pose import apply_pose
    from bench.data.render.raster import Renderer

    count = 2 if scope.quick else 8
    model, dance = character(CHARACTER), Dance(0, float(count))
    worlds = [apply_pose(model, dance.pose(float(second))) for second in range(count)]

    def frames(size: int) -> Operation:
        renderer = Renderer(model, size, supersample=supersample(size))
        camera = frame_camera((renderer.vertices(world) for world in worlds), size, margin=MARGIN)
        return lambda number: [renderer.render(world, camera) for world in worlds]

    running: dict[str, Operation] = {f"frame at {size} px": frames(size) for size in SIZES}
    running[POSE] = lambda number: [apply_pose(model, dance.pose(float(second))) for second in range(count)]
    running[BUILD] = lambda number: character(CHARACTER)
    with scope.report.task("rendering"):
        timed = scope.time(running)
    base = f"frame at {SIZES[0]} px"
    lines = tuple(line(timed, name, base, 1 if name == BUILD else count, base_images=count) for name in running)
    return [Group("rendering", f"Rendering, one core, each by the frame or the character; ratios to {base}", lines)]


def pack(scope: Scope) -> list[Group]:
    """Images a second from the pack, as float32 on the device, beside decoding the data set's PNG files."""
    size, device = scope.image_size, scope.device
    batch = scope.preset.default_batch or 4
    with TemporaryDirectory() as folder, scope.report.task("pack"):
        data = make_dataset(Recipe(size, train=2, validation=1, test=1, frames=8), Path(folder) / "data", workers=1)
        packed = pack_of(data, Path(folder))
        everything, names = np.arange(len(packed)), list(data.entries)
        running: dict[str, Operation] = {
            "decoding PNG files": lambda number: [data.read(name) for name in names],
            "pack, 32 at once": lambda number: packed.images(everything, device),
            "pack, one by one": lambda number: [packed.images([int(frame)], device) for frame in everything],
            f"training batch, {batch} pairs": lambda number: pair_batch(packed, 0, number, batch, device),
        }
        timed = scope.time(running)
    base = next(iter(running))
    counts = (len(packed), len(packed), len(packed), 2 * batch)
    lines = tuple(line(timed, name, base, n, base_images=counts[0]) for name, n in zip(running, counts, strict=True))
    heading = f"Reading a {size} px image; ratios to {base}"
    return [Group("pack", heading, lines)]
