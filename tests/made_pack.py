"""A tiny data set made in code: coloured bars that lean as their keypoints do."""

from pathlib import Path

import numpy as np

from bench.data.layout import CLIPS, VIEWS
from bench.data.pack import SCHEMA, Pack
from bench.files import write_json

SIZE = 32


def made_pack(train: int = 3, validation: int = 1, test: int = 2, frames: int = 8, size: int = SIZE) -> Pack:
    """Characters are colours; a frame is a vertical bar at its own place with 17 joints along it."""
    rng = np.random.default_rng(0)
    characters = train + validation + test
    count = characters * frames
    pixels = np.full((count, size, size, 4), 255, np.uint8)
    pixels[..., 3] = 0
    keypoints = np.zeros((count, 17, 3), np.float32)
    view, clip = np.full(count, -1, np.int8), np.full(count, -1, np.int8)
    for character in range(characters):
        colour = rng.integers(0, 200, 3)
        for frame in range(frames):
            at = character * frames + frame
            x = int(rng.integers(size // 4, 3 * size // 4))
            pixels[at, 4:-4, x - 3 : x + 3, :3] = colour
            pixels[at, 4:-4, x - 3 : x + 3, 3] = 255
            keypoints[at, :, 0], keypoints[at, :, 2] = x + 0.5, 2
            keypoints[at, :, 1] = np.linspace(5, size - 5, 17)
            if frame < len(VIEWS):
                view[at] = frame
            else:
                clip[at] = (frame - len(VIEWS)) * len(CLIPS) // (frames - len(VIEWS))
    splits = ("train",) * train + ("validation",) * validation + ("test",) * test
    return Pack(
        folder=Path("made"),
        digest="made-in-code",
        pixel_digest="made-in-code",
        image_size=size,
        names=tuple(f"c{i}" for i in range(characters)),
        splits=splits,
        tags=({},) * characters,
        pixels=pixels,
        keypoints=keypoints,
        character=np.repeat(np.arange(characters, dtype=np.int32), frames),
        view=view,
        clip=clip,
    )


def write_pack(pack: Pack, folder: Path) -> None:
    """Put a pack where `open_pack` finds it."""
    folder.mkdir(parents=True)
    np.save(folder / "pixels.npy", pack.pixels)
    np.save(folder / "keypoints.npy", pack.keypoints)
    index = np.stack([pack.character, pack.view.astype(np.int32), pack.clip.astype(np.int32)], axis=1)
    np.save(folder / "index.npy", index)
    write_json(
        folder / "pack.json",
        {
            "schema": SCHEMA,
            "digest": pack.digest,
            "pixel_digest": pack.pixel_digest,
            "image_size": pack.image_size,
            "names": pack.names,
            "splits": pack.splits,
            "tags": pack.tags,
        },
    )
