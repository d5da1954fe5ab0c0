"""All frames of one avatar: the basic views, then clip A and clip B, seen by one fixed camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from bench.data.avatars.bvh import read_bvh
from bench.data.avatars.humanoid import Meta
from bench.data.avatars.retarget import Performance, leg_length
from bench.data.avatars.vrma import read_vrma
from bench.data.layout import CLIPS, VIEWS, CharacterFrames, FrameInfo
from bench.data.recipe import MARGIN, SECONDS_PER_FRAME, VIEW_TURN, supersample
from bench.data.render.camera import Camera, frame_camera
from bench.data.render.dance import Dance
from bench.data.render.joints import keypoints
from bench.data.render.model import F64, Model
from bench.data.render.pose import apply_pose, rest_relaxed
from bench.data.render.raster import MAX_OUTLINE_GROWTH, Renderer
from bench.errors import DataError, UsageError
from bench.seeds import derive

MOTIONS = {".bvh": read_bvh, ".vrma": read_vrma}
SMALLEST, LARGEST = 16, 1024  # pixels a side
MOST_FRAMES = 1000  # a character: file names have three digits
THINNEST_OUTLINE = 0.75  # samples; a thinner one is drawn as scattered dots


@dataclass(frozen=True)
class Shots:
    """What determines a character's frames besides its file and the clips."""

    image_size: int = 64
    frames: int = 28  # 4 basic views + two clips of equal length
    seed: int = 0

    def __post_init__(self) -> None:
        if not SMALLEST <= self.image_size <= LARGEST:
            raise UsageError(f"size is {self.image_size}; it must be {SMALLEST} to {LARGEST} px")
        if not 6 <= self.frames <= MOST_FRAMES or self.frames % 2:
            raise UsageError(f"frames is {self.frames}; it must be even and 6 to {MOST_FRAMES} (4 views + two clips)")

    @property
    def largest_texture(self) -> int:
        """Pixels a side of textures: mip maps of larger ones cost more time than the frames that show them."""
        return min(max(4 * self.image_size, 512), 1024)

    @property
    def clip_frames(self) -> int:
        return (self.frames - len(VIEWS)) // len(CLIPS)


@dataclass(frozen=True)
class MotionFile:
    """A clip on the disk."""

    path: Path
    name: str  # relative to the folder of motions
    sha256: str


@dataclass(frozen=True)
class Stretch:
    """A part of a clip, from and to a fraction of its length."""

    motion: MotionFile
    start: float = 0.0
    end: float = 1.0


@cache
def performance(path: Path, sha256: str) -> Performance:
    """A motion file, read once in each process; raises DataError. The hash makes a changed file another one."""
    return Performance(MOTIONS[path.suffix.lower()](path))


def casting(motions: Sequence[MotionFile], shots: Shots, avatar: str) -> dict[str, list[Stretch]]:
    """Which motions make up an avatar's clips: half of them each, or one half each of a single one.

    Clip B is the reference for FID, so no motion is in both. `avatar` is a hash of its file.
    """
    order = sorted(motions, key=lambda motion: derive("motions", shots.seed, avatar, motion.sha256))
    if len(order) == 1:
        return {"A": [Stretch(order[0], 0.0, 0.5)], "B": [Stretch(order[0], 0.5, 1.0)]}
    half = (len(order) + 1) // 2
    return {
        clip: [Stretch(motion) for motion in part[: shots.clip_frames]]
        for clip, part in zip(CLIPS, (order[:half], order[half:]), strict=True)
    }


def _spread(count: int, seed: Sequence[object]) -> F64:
    """`count` fractions in [0, 1): one in each of as many equal parts, at a random place in it."""
    return np.array([(i + derive("time", *seed, i) / 2**63) / count for i in range(count)])


def clip_worlds(
    model: Model, clip: str, stretches: Sequence[Stretch], shots: Shots, avatar: str
) -> list[tuple[float, F64]]:
    """(seconds into the clip, bone world matrices [n, 4, 4]) of a clip's frames; a made-up dance without stretches.

    The stretches follow each other and share the frames evenly.
    """
    count, seed = shots.clip_frames, (shots.seed, avatar, clip)
    if not stretches:
        seconds = count * SECONDS_PER_FRAME
        dance = Dance(derive("dance", *seed), seconds)
        return [(float(t), apply_pose(model, dance.pose(float(t)))) for t in _spread(count, seed) * seconds]
    found: list[tuple[float, F64]] = []
    begins, leg = 0.0, leg_length(model)
    edges = [round(i * count / len(stretches)) for i in range(len(stretches) + 1)]
    for number, stretch in enumerate(stretches):
        played = performance(stretch.motion.path, stretch.motion.sha256)
        seconds = (stretch.end - stretch.start) * played.seconds
        times = _spread(edges[number + 1] - edges[number], (*seed, number)) * seconds
        poses = played.poses(times + stretch.start * played.seconds, leg)
        found += [(begins + float(t), apply_pose(model, pose)) for t, pose in zip(times, poses, strict=True)]
        begins += seconds
    return found


def render_avatar(
    name: str, model: Model, shots: Shots, motions: Sequence[MotionFile], avatar: str, tags: dict[str, object]
) -> CharacterFrames:
    """All frames of a model; `avatar` is a hash of its file, which with the seed draws its clips and times.

    Raises DataError when the model cannot be drawn in some pose.
    """
    clips = casting(motions, shots, avatar) if motions else {clip: [] for clip in CLIPS}
    taken: list[tuple[str | None, str | None, float]] = [(view, None, 0.0) for view in VIEWS]
    worlds = [rest_relaxed(model, turn=VIEW_TURN[view]) for view in VIEWS]
    for clip in CLIPS:
        for time, world in clip_worlds(model, clip, clips[clip], shots, avatar):
            taken.append((None, clip, time))
            worlds.append(world)
    if not np.isfinite(worlds).all():
        raise DataError("its bones cannot be posed; assign the bones again and export the avatar")
    camera = _camera(model, worlds, shots)
    renderer = Renderer(
        _without_dotted_outlines(model, worlds[0], camera), shots.image_size, supersample(shots.image_size)
    )
    pictures = [renderer.render(world, camera) for world in worlds]
    if not all(picture.rgba[..., 3].any() for picture in pictures):
        raise DataError("nothing of it can be seen in some pose; export the avatar with its meshes visible")
    frames = [
        FrameInfo(view, clip, time, keypoints(model, world, camera, picture.depth))
        for (view, clip, time), world, picture in zip(taken, worlds, pictures, strict=True)
    ]
    played = {clip: [stretch.motion.name for stretch in stretches] for clip, stretches in clips.items()}
    return CharacterFrames(
        name, tuple(frames), np.stack([picture.rgba for picture in pictures]), None, {**tags, "motions": played}
    )


def _camera(model: Model, worlds: Sequence[F64], shots: Shots) -> Camera:
    """The nearest camera that holds every frame."""
    bare = Renderer(replace(model, textures=()), 1)  # skinning needs no mip maps
    clouds = (bare.vertices(world) for world in worlds)
    return frame_camera(clouds, shots.image_size, facing=model.facing, margin=MARGIN)


def _without_dotted_outlines(model: Model, world: F64, camera: Camera) -> Model:
    """The model less the outlines that even widened are thinner than a sample."""
    hips = world[None, model.skeleton.human["hips"], :3, 3]
    pixel = float(camera.project(hips)[0, 2]) / camera.focal  # metres
    thinnest = THINNEST_OUTLINE * pixel / supersample(camera.size) / MAX_OUTLINE_GROWTH
    materials = (m if m.outline_width >= thinnest else replace(m, outline_width=0.0) for m in model.materials)
    return replace(model, materials=tuple(materials))


def meta_tags(meta: Meta) -> dict[str, object]:
    """Authorship and licence as a character's metadata."""
    return {
        "vrm": meta.version,
        "title": meta.title,
        "author": meta.author,
        "licence": meta.licence,
        "licence_url": meta.licence_url,
        "permissions": meta.permissions,
    }
