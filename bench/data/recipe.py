"""What the procedural data are: which characters, which frames, and a digest that names all of it.

A character is a seed. Each split has its own range of seeds, so a character of a split is the same one in
every preset and can never be in two splits. A recipe's digest holds a hash of the generator's code: data made
by an older generator are other data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.layout import CLIPS, SPLITS, VIEWS, CharacterFrames, FrameInfo
from bench.errors import UsageError
from bench.files import digest_of
from bench.presets import DataSize
from bench.seeds import derive
from bench.source import source_hash

SPLIT_SEEDS = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
SEEDS_PER_SPLIT = 1_000_000
SEEDS_PER_RECIPE = 10_000_000
SECONDS_PER_FRAME = 1.0  # two beats or so: neighbouring frames of a clip show different poses
MARGIN = 0.03  # empty border, a fraction of the frame
# degrees the character turns to its left; "left" shows its left side
VIEW_TURN = {"front": 0.0, "back": 180.0, "left": -90.0, "right": 90.0}


@cache
def generator_version() -> str:
    """A hash of the code that draws the data: the renderer package and this file."""
    here = Path(__file__).parent
    files = (file.relative_to(here).with_suffix("") for file in (here / "render").rglob("*.py"))
    modules = [".".join(file.parts).removesuffix(".__init__") for file in files]
    return source_hash(["bench.data.recipe", *(f"bench.data.{module}" for module in modules)])


@dataclass(frozen=True)
class Recipe:
    """A procedural data set."""

    image_size: int
    train: int  # characters
    validation: int
    test: int
    frames: int  # a character: 4 basic views + two dance clips of equal length
    seed: int = 0  # another seed: other characters
    generator_version: str = field(default_factory=generator_version)

    def __post_init__(self) -> None:
        if self.frames < 6 or self.frames % 2:
            raise UsageError(f"frames is {self.frames}; it must be even and at least 6 (4 views + two clips)")
        if max(self.train, self.validation, self.test) > SEEDS_PER_SPLIT:
            raise UsageError(f"a split holds at most {SEEDS_PER_SPLIT} characters")

    @classmethod
    def of(cls, size: DataSize, seed: int = 0) -> Recipe:
        return cls(size.image_size, size.train, size.validation, size.test, size.frames, seed)

    @property
    def digest(self) -> str:
        return digest_of({"kind": "procedural", **asdict(self)})

    @property
    def clip_frames(self) -> int:
        return (self.frames - len(VIEWS)) // len(CLIPS)

    def seeds(self, split: str) -> range:
        """The character seeds of a split."""
        start = SPLIT_SEEDS[split] + SEEDS_PER_RECIPE * self.seed
        return range(start, start + getattr(self, split))

    def split(self) -> dict[str, list[str]]:
        """Character names by split."""
        return {part: [character_name(seed) for seed in self.seeds(part)] for part in SPLITS}

    def all_seeds(self) -> list[int]:
        return [seed for part in SPLITS for seed in self.seeds(part)]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def character_name(seed: int) -> str:
    return f"c{seed:07d}"


def clip_times(recipe: Recipe, seed: int, clip: str) -> list[float]:
    """Seconds of a clip's frames: one in each of `clip_frames` equal stretches, at a random place in it."""
    jitter = [derive("time", seed, clip, i) / 2**63 for i in range(recipe.clip_frames)]
    return [(i + offset) * SECONDS_PER_FRAME for i, offset in enumerate(jitter)]


def supersample(image_size: int) -> int:
    """Samples a side of a pixel: 2 leave uneven outlines below 256 px; at 256 px, 3 cost 1.7 times 2."""
    return 3 if image_size < 256 else 2


def render_character(recipe: Recipe, seed: int) -> CharacterFrames:
    """All frames of one character: the basic views in the relaxed pose, then clip A, then clip B.

    One fixed camera sees them all, as near as the widest frame allows; for the views the character turns.
    """
    # imported here: the renderer brings numba, which nobody who only reads a recipe or a pack need wait for
    from bench.data.render.camera import frame_camera
    from bench.data.render.characters import character
    from bench.data.render.dance import Dance
    from bench.data.render.joints import keypoints
    from bench.data.render.pose import apply_pose, rest_relaxed
    from bench.data.render.raster import Renderer

    model = character(seed)
    shots: list[tuple[str | None, str | None, float]] = [(view, None, 0.0) for view in VIEWS]
    worlds = [rest_relaxed(model, turn=VIEW_TURN[view]) for view in VIEWS]
    for clip in CLIPS:
        dance = Dance(derive("dance", seed, clip), recipe.clip_frames * SECONDS_PER_FRAME)
        for time in clip_times(recipe, seed, clip):
            shots.append((None, clip, time))
            worlds.append(apply_pose(model, dance.pose(time)))

    renderer = Renderer(model, recipe.image_size, supersample=supersample(recipe.image_size))
    camera = frame_camera((renderer.vertices(world) for world in worlds), recipe.image_size, margin=MARGIN)
    pictures = [renderer.render(world, camera) for world in worlds]
    frames = [
        FrameInfo(view, clip, time, keypoints(model, world, camera, picture.depth))
        for (view, clip, time), world, picture in zip(shots, worlds, pictures, strict=True)
    ]
    images = np.stack([picture.rgba for picture in pictures])
    return CharacterFrames(character_name(seed), tuple(frames), images, seed, model.tags)
