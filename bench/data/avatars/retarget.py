"""A motion clip of any rig as poses that any humanoid can take.

Rest poses of BVH rigs are no T-poses: some lie along an axis, some stand with legs apart, some have Z up. So
nothing is taken from them: the torso and the limbs come from the places of joints, frame by frame, and only the
head, whose place says nothing of the way it looks, from rotations.

What a pose holds is kept: turns of hips, chest and head, directions of limbs, the height of a jump. The way that
is walked is not: a character stays where it is, so that one fixed camera can be near.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import minimum_filter1d

from bench.data.avatars.clip import Clip
from bench.data.avatars.humanoid import LIMBS
from bench.data.render.model import F64, Model
from bench.data.render.pose import LIMB_END, Pose, rotation
from bench.errors import DataError

CALIBRATION_FRAMES = 64
FLOOR_RATE, FLOOR_SECONDS = 20.0, 0.7  # samples a second; seconds before and after
LONGEST = 600.0  # seconds of a clip that are looked at so closely
HIGHEST_LIFT = 0.6  # leg lengths
STILL = 1e-4  # leg lengths: hips that move less stand still in the file, and feet tell nothing of the floor


class Performance:
    """A clip, calibrated: which way is up, which way it faces on average, how its head sits."""

    def __init__(self, clip: Clip) -> None:
        """Raises DataError when the clip's body is no body."""
        self.clip, self.seconds = clip, clip.seconds
        joints = clip.human
        rotations, places = clip.sample(np.linspace(0.0, clip.seconds, CALIBRATION_FRAMES))
        self._leg = _leg_length({name: places[:, joint] for name, joint in joints.items()})
        self._up = _up_axis(places[:, joints["head"]] - places[:, joints["hips"]], clip.rest_rotations is not None)
        self._tilt = np.eye(3)  # of the hips, around their left axis
        hips, chest = self._torso(places)
        self._tilt = _mean_tilt(hips, chest)
        hips, chest = self._torso(places)
        self._to_body = _heading(hips[:, :, 2], self._up)
        head = rotations[:, joints["head"]]
        if clip.rest_rotations is not None:
            self._head_rest = clip.rest_rotations[joints["head"]].T  # which looks along +Z with Y up
        else:  # the rotation that makes the head look, on average, where the chest points
            self._head_rest = _nearest_rotation(np.einsum("tij,tik->jk", head, chest))
        # Captures drift, and floors have steps: the floor is where the lowest foot was within a second or so.
        self._floor_times = np.linspace(0.0, clip.seconds, max(2, int(min(clip.seconds, LONGEST) * FLOOR_RATE)))
        _, places = clip.sample(self._floor_times)
        width = 1 + 2 * round(FLOOR_SECONDS / max(float(self._floor_times[1]), 1e-3))
        self._floor = minimum_filter1d(self._feet(places), width, mode="nearest")
        if float(np.ptp(places[:, joints["hips"]], axis=0).max()) < STILL * self._leg:
            self._floor = np.full(len(self._floor), np.inf)
        if not np.isfinite(self._head_rest).all() or not np.isfinite(self._to_body).all():
            raise DataError("joints of its body lie in one place; export the clip with its skeleton")

    def poses(self, times: F64, leg: float) -> list[Pose]:
        """The poses at times [T] in seconds of a body whose legs are `leg` metres long."""
        rotations, places = self.clip.sample(np.clip(times, 0.0, self.seconds))
        human = self.clip.human
        hips, chest = (self._to_body @ basis for basis in self._torso(places))
        head = self._to_body @ rotations[:, human["head"]] @ self._head_rest
        lifts = np.clip((self._feet(places) - self._floor_at(times)) / self._leg, 0.0, HIGHEST_LIFT) * leg
        found = []
        for frame in range(len(places)):
            hip_angles, chest_angles = euler_angles(hips[frame]), euler_angles(chest[frame])
            # legs are directions in a frame that only turns with the hips, arms in the chest's (render.pose)
            heading = rotation(1, hip_angles[0])
            limbs = {}
            for bone, end in LIMB_END.items():
                along = self._to_body @ (places[frame, human[end]] - places[frame, human[bone]])
                frame_of = chest[frame] if "Arm" in bone else heading
                limbs[bone] = _unit(frame_of.T @ along)
            pose = Pose(
                limbs,
                hips=hip_angles,
                chest=(chest_angles[0] - hip_angles[0], chest_angles[1], chest_angles[2]),
                head=euler_angles(chest[frame].T @ head[frame]),
                offset=(0.0, float(lifts[frame]), 0.0),
            )
            if not all(np.isfinite(direction).all() for direction in limbs.values()):
                raise DataError("joints of a limb lie in one place; export the clip with its skeleton")
            found.append(pose)
        return found

    def _torso(self, places: F64) -> tuple[F64, F64]:
        """Bases of hips and chest [T, 3, 3]: columns left, up, front in the clip's world."""
        human = self.clip.human
        at = {name: places[:, joint] for name, joint in human.items()}
        shoulders = (at["leftUpperArm"] + at["rightUpperArm"]) / 2
        top = at.get("neck", shoulders)
        waist = at.get("chest", at.get("spine", top))
        # a spine that starts in the hips' own joint does not tell where they point
        short = np.linalg.norm(waist - at["hips"], axis=1, keepdims=True) < 0.05 * self._leg
        waist = np.where(short, top, waist)
        across = at["leftUpperLeg"] - at["rightUpperLeg"]
        hips = _basis(across, waist - at["hips"], left_first=True) @ self._tilt
        chest = _basis(at["leftUpperArm"] - at["rightUpperArm"], top - at["hips"], left_first=False)
        return hips, chest

    def _floor_at(self, times: F64) -> F64:
        """Height of the floor [T], infinite where the clip does not tell."""
        nearest = np.searchsorted(self._floor_times, times).clip(0, len(self._floor) - 1)
        return np.asarray(self._floor[nearest])

    def _feet(self, places: F64) -> F64:
        """Height of the lowest foot joint [T]."""
        human = self.clip.human
        feet = [human[side + bone] for side in ("left", "right") for bone in ("Foot", "Toes") if side + bone in human]
        return np.asarray((places[:, feet] @ self._up).min(1))


def leg_length(model: Model) -> float:
    """Thigh and shin of a character at rest, metres."""
    places = model.skeleton.globals()[:, :3, 3]
    return _leg_length({name: places[None, bone] for name, bone in model.skeleton.human.items()})


def _leg_length(at: dict[str, F64]) -> float:
    """Mean length of thigh and shin over frames and sides; `at` holds places [T, 3] by bone."""
    steps = [at[b] - at[a] for limb in LIMBS if "Leg" in limb[0] for a, b in pairwise(limb)]
    length = float(sum(np.linalg.norm(step, axis=1).mean() for step in steps)) / 2
    if not length > 1e-6:
        raise DataError("legs without length; export the clip with its skeleton")
    return length


def _up_axis(spine: F64, known: bool) -> F64:
    """The axis along which the body [T, 3] stands on average; Y where a specification says so."""
    up = np.zeros(3)
    mean = _unit(spine).mean(0)
    axis = 1 if known or not np.isfinite(mean).all() else int(np.abs(mean).argmax())
    up[axis] = 1.0 if known or not mean[axis] < 0 else -1.0
    return up


def _mean_tilt(hips: F64, chest: F64) -> F64:
    """The turn about the left axis that puts the hips, on average, upright below the chest.

    The joint above the hips is seldom straight above them: which way it lies is the rig's, not the dancer's.
    """
    up = np.einsum("tji,tj->ti", hips, chest[:, :, 1])  # the chest's up as the hips see it
    pitch = float(np.degrees(np.median(np.arctan2(up[:, 2], up[:, 1]))))
    return rotation(0, pitch)


def _heading(fronts: F64, up: F64) -> F64:
    """Rows left, up, front of the clip's world; front is where the hips face on average."""
    level = fronts - np.outer(fronts @ up, up)
    mean = _unit(level).mean(0)
    if np.linalg.norm(mean) < 0.1:  # a clip that turns round and round has no mean
        mean = level[0]
    front = _unit(mean)
    return np.stack([np.cross(up, front), up, front])


def _basis(left: F64, up: F64, left_first: bool) -> F64:
    """Orthonormal columns left, up, front [T, 3, 3]; the first named keeps its direction."""
    if left_first:
        left = _unit(left)
        up = _unit(up - left * (up * left).sum(-1, keepdims=True))
    else:
        up = _unit(up)
        left = _unit(left - up * (left * up).sum(-1, keepdims=True))
    return np.stack([left, up, np.cross(left, up)], -1)


def _nearest_rotation(matrix: F64) -> F64:
    """The rotation nearest to a sum of rotations [3, 3]; the identity where there is none."""
    if not np.isfinite(matrix).all():
        raise DataError("joints of its body lie in one place; export the clip with its skeleton")
    u, _, v = np.linalg.svd(matrix)
    u[:, 2] *= np.sign(np.linalg.det(u @ v))
    return np.asarray(u @ v)


def euler_angles(turn: F64) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees so that `render.pose.euler` gives this rotation [3, 3]."""
    yaw = np.arctan2(turn[0, 2], turn[2, 2])
    pitch = np.arcsin(np.clip(-turn[1, 2], -1, 1))
    roll = np.arctan2(turn[1, 0], turn[1, 1])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def _unit(vectors: F64) -> F64:
    """Vectors [..., 3] at length 1; NaN where they have none."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 1e-12, length, np.nan))
