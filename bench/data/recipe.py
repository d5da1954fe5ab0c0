"""What the procedural data are: which characters, which frames, and a digest that names all of it.

A character is a seed. Each split has its own range of seeds, so a character of a split is the same one in
every preset and can never be in two splits. A recipe's digest holds a hash of the generator's code: data made
by an older generator are other data.

The characters come in editions. Edition 1 is what the committed results of preset quick were trained on, and stays as
it is to the pixel; edition 2 (bench.data.render.edition2) mends and enriches the same people.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.layout import CLIPS, SPLITS, VIEWS, CharacterFrames, FrameInfo
from bench.errors import UsageError, unknown
from bench.files import digest_of
from bench.presets import DataSize
from bench.seeds import derive
from bench.source import source_hash

EDITIONS = (1, 2)
SPLIT_SEEDS = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
SEEDS_PER_SPLIT = 1_000_000
SEEDS_PER_RECIPE = 10_000_000
SECONDS_PER_FRAME = 1.0  # two beats or so: neighbouring frames of a clip show different poses
MARGIN = 0.03  # empty border, a fraction of the frame
# degrees the character turns to its left; "left" shows its left side
VIEW_TURN = {"front": 0.0, "back": 180.0, "left": -90.0, "right": 90.0}


@cache
def generator_version(edition: int = 1) -> str:
    """A hash of the code that draws the data: the renderer package and this file; without edition 2 for edition 1."""
    here = Path(__file__).parent
    found = (file.relative_to(here).with_suffix("") for file in (here / "render").rglob("*.py"))
    files = [file for file in found if edition > 1 or "edition2" not in file.parts]
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
    generator_version: str = ""  # left out: that of the code which is here
    edition: int = 1  # of the characters

    def __post_init__(self) -> None:
        if self.edition not in EDITIONS:
            raise unknown("edition", str(self.edition), [str(edition) for edition in EDITIONS])
        if not self.generator_version:
            object.__setattr__(self, "generator_version", generator_version(self.edition))
        if self.frames < 6 or self.frames % 2:
            raise UsageError(f"frames is {self.frames}; it must be even and at least 6 (4 views + two clips)")
        if max(self.train, self.validation, self.test) > SEEDS_PER_SPLIT:
            raise UsageError(f"a split holds at most {SEEDS_PER_SPLIT} characters")

    @classmethod
    def of(cls, size: DataSize, seed: int = 0) -> Recipe:
        counts = size.train, size.validation, size.test, size.frames
        return cls(size.image_size, *counts, seed, edition=size.edition)

    @property
    def digest(self) -> str:
        return digest_of({"kind": "procedural", **self.as_json()})

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
        """All fields; edition 1 is not named, so that its data keep the digest they had before there were editions."""
        value = asdict(self)
        if self.edition == 1:
            del value["edition"]
        return value


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
    In edition 2 dance frames differ in expression and hands too; the views are neutral.
    """
    # imported here: the renderer brings numba, which nobody who only reads a recipe or a pack need wait for
    from bench.data.render.camera import frame_camera
    from bench.data.render.characters import character
    from bench.data.render.dance import Dance
    from bench.data.render.edition2.actor import Stage, actor
    from bench.data.render.edition2.looks import look_of
    from bench.data.render.joints import keypoints
    from bench.data.render.model import F64
    from bench.data.render.pose import Pose, apply_pose, relaxed_pose
    from bench.data.render.raster import Renderer

    renderer: Renderer
    posed: Callable[[Pose], F64]
    samples = supersample(recipe.image_size)
    if recipe.edition == 1:
        renderer = Renderer(character(seed), recipe.image_size, samples)
        posed = partial(apply_pose, renderer.model)
    else:
        player = actor(seed)
        renderer, posed = Stage(player, recipe.image_size, samples), player.pose
    model = renderer.model
    shots: list[tuple[str | None, str | None, float]] = [(view, None, 0.0) for view in VIEWS]
    worlds = [posed(relaxed_pose(turn=VIEW_TURN[view])) for view in VIEWS]
    for clip in CLIPS:
        dance = Dance(derive("dance", seed, clip), recipe.clip_frames * SECONDS_PER_FRAME)
        for time in clip_times(recipe, seed, clip):
            shots.append((None, clip, time))
            worlds.append(posed(dance.pose(time)))

    camera = frame_camera((renderer.vertices(world) for world in worlds), recipe.image_size, margin=MARGIN)
    pictures = []
    for number, ((_, shown, _), world) in enumerate(zip(shots, worlds, strict=True)):
        if isinstance(renderer, Stage):
            renderer.wear(look_of(seed, shown, number))
        pictures.append(renderer.render(world, camera))
    frames = [
        FrameInfo(view, clip, time, keypoints(model, world, camera, picture.depth))
        for (view, clip, time), world, picture in zip(shots, worlds, pictures, strict=True)
    ]
    images = np.stack([picture.rgba for picture in pictures])
    return CharacterFrames(character_name(seed), tuple(frames), images, seed, model.tags)
