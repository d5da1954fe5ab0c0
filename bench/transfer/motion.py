"""Target poses from what people have: a dance of the suite's, a motion clip, keypoints in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, UsageError
from bench.files import read_json
from bench.seeds import derive

if TYPE_CHECKING:
    from bench.data.render.model import Model
    from bench.data.render.pose import Pose

F32 = NDArray[np.float32]
SIDE = 256  # pixels of the square that a dance is projected into; `fit` brings it to any other
DANCER = 2_000_000  # seed of the character whose skeleton dances
LARGEST_FILE = 256 * 2**20  # bytes


def read_motion(motion: str, frames: int, fps: float) -> F32:
    """The poses of a motion, [N, 17, 3]: COCO joints, x and y in pixels of any scale, and visibility.

    `motion` is `dance` or `dance:SEED` (the suite's own, `frames` of them), a `.bvh` or `.vrma` clip, of which `fps`
    poses a second are taken, or a `.json`: a list of poses of 17 joints × (x, y, visibility), or COCO annotations in
    the order of their images. A file gives as many poses as it has, at most `frames`. Raises UsageError for what is
    none of these, DataError for a file that holds no poses.
    """
    name, _, seed = motion.partition(":")
    if name == "dance":
        if seed and not seed.isdigit():
            raise UsageError(f"--motion {motion}: the seed of a dance is a whole number, e.g. dance:7")
        return _dance(int(seed or 0), frames, fps)
    path = Path(motion)
    if not path.is_file():
        raise UsageError(f"--motion {motion}: no such file; give a .bvh, .vrma or .json, or dance, or dance:SEED")
    match path.suffix.lower():
        case ".json":
            return read_keypoints(path)[:frames]
        case ".bvh" | ".vrma":
            return _clip(path, frames, fps)
    raise UsageError(f"--motion {motion}: it is no .bvh, .vrma or .json")


def _dance(seed: int, frames: int, fps: float) -> F32:
    # imported here: the renderer brings numba, for which nobody with a file of keypoints need wait
    from bench.data.render.characters import character
    from bench.data.render.dance import Dance

    dance = Dance(derive("transfer", seed), frames / fps)
    return _projected(character(DANCER), [dance.pose(frame / fps) for frame in range(frames)])


def _clip(path: Path, frames: int, fps: float) -> F32:
    from bench.data.avatars.render import MOTIONS
    from bench.data.avatars.retarget import Performance, leg_length
    from bench.data.render.characters import character

    performance, model = Performance(MOTIONS[path.suffix.lower()](path)), character(DANCER)
    count = min(frames, max(1, int(performance.seconds * fps)))
    return _projected(model, performance.poses(np.arange(count) / fps, leg_length(model)))


def _projected(model: Model, poses: Sequence[Pose]) -> F32:
    """The joints of a character in these poses, as a camera in front of it sees them, [N, 17, 3]."""
    from bench.data.render.camera import frame_camera
    from bench.data.render.joints import joints_3d, keypoints
    from bench.data.render.pose import apply_pose

    worlds = [apply_pose(model, pose) for pose in poses]
    camera = frame_camera((joints_3d(model, world) for world in worlds), SIDE)
    nothing_near = np.full((SIDE, SIDE), np.inf, np.float32)  # without a body in front, no joint is hidden
    return np.stack([keypoints(model, world, camera, nothing_near) for world in worlds])


def read_keypoints(path: Path) -> F32:
    """The poses in a JSON file, [N, 17, 3]; raises DataError."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path}: larger than {LARGEST_FILE // 2**20} MiB")
        value = read_json(path)
        poses = np.asarray(_listed(value), np.float32).reshape(-1, 17, 3)
    except (OSError, RecursionError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: give a list of poses of 17 joints × (x, y, visibility), or COCO annotations "
            f"({type(error).__name__}: {error})"
        ) from error
    if not len(poses):
        raise DataError(f"{path} holds no pose")
    present = poses[..., 2] > 0
    if not np.isfinite(poses).all():
        raise DataError(f"{path}: pose {int(np.argwhere(~np.isfinite(poses))[0, 0])} has a joint that is not a number")
    if (present.sum(1) < 2).any():
        raise DataError(f"{path}: pose {int(np.argmin(present.sum(1)))} has fewer than two joints")
    return np.asarray(poses * present[..., None])


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        order = {image["id"]: str(image["file_name"]) for image in value["images"]}
        first: dict[Any, Any] = {}
        for annotation in value["annotations"]:
            first.setdefault(annotation["image_id"], annotation["keypoints"])
        return [first[number] for number in sorted(first, key=order.__getitem__)]
    if not isinstance(value, list):
        raise TypeError(f"a JSON {type(value).__name__}")
    # one pose alone is a motion of one
    return [value] if (value and not isinstance(value[0], list)) or _is_pose(value) else value


def _is_pose(value: list[Any]) -> bool:
    return len(value) == 17 and isinstance(value[0], list) and not any(isinstance(part, list) for part in value[0])
