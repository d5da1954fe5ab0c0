"""Poses in terms of no particular skeleton, and putting a character into one.

A pose stores limbs as directions in the body's own frame (x to its left, y up, z to its front), so one motion
drives any humanoid whatever its proportions and the axes of its bones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from bench.data.render.model import F64, Model, Skeleton

# A limb bone and the bone whose place tells where it points at rest.
LIMB_END = {
    side + bone: side + end
    for side in ("left", "right")
    for bone, end in (
        ("UpperArm", "LowerArm"),
        ("LowerArm", "Hand"),
        ("UpperLeg", "LowerLeg"),
        ("LowerLeg", "Foot"),
    )
}
HAIR_BONES = ("hairBack", "hairL", "hairR")
HAIR_HANG, TAIL_HANG = 0.75, 0.5  # 0: turns with its parent like a stick, 1: hangs as at rest
FOOT_LEVEL = 0.75  # how level the foot of an upright shin is held


@dataclass(frozen=True)
class Pose:
    """Angles are (yaw, pitch, roll) in degrees: to its left, bowing forward, leaning to its right."""

    limbs: Mapping[str, F64] = field(default_factory=dict)  # LIMB_END bone -> direction; absent: as at rest
    hips: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the world
    chest: tuple[float, float, float] = (0.0, 0.0, 0.0)  # yaw from the hips, pitch and roll in the world
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)  # from the chest
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres: to its left, off the ground, to the front


def rotation(axis: int, degrees: float) -> F64:
    """Right-handed rotation about axis 0, 1 or 2 (x, y, z)."""
    angle = np.radians(degrees)
    j, k = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[j, j] = matrix[k, k] = np.cos(angle)
    matrix[j, k], matrix[k, j] = -np.sin(angle), np.sin(angle)
    return matrix


def euler(angles: tuple[float, float, float]) -> F64:
    """(yaw, pitch, roll) in degrees -> roll first, then pitch, then yaw."""
    yaw, pitch, roll = angles
    return rotation(1, yaw) @ rotation(0, pitch) @ rotation(2, roll)


def direction(azimuth: float, elevation: float) -> F64:
    """Unit vector `azimuth` degrees from the front to the left and `elevation` above the horizon."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])


def unit(vector: ArrayLike) -> F64:
    """The vector at length 1."""
    array = np.asarray(vector, np.float64)
    return np.asarray(array / np.linalg.norm(array))


def align(start: F64, end: F64) -> F64:
    """The smallest rotation that takes direction `start` to direction `end`."""
    start, end = unit(start), unit(end)
    cosine = float(start @ end)
    if cosine < -1 + 1e-8:  # half a turn about any axis across
        across = unit(np.cross(start, np.eye(3)[np.abs(start).argmin()]))
        return np.asarray(2 * np.outer(across, across) - np.eye(3))
    x, y, z = np.cross(start, end)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))


def blend(start: F64, end: F64, amount: float) -> F64:
    """The rotation nearest to the weighted mean of two: `start` at 0, `end` at 1."""
    u, _, v = np.linalg.svd((1 - amount) * start + amount * end)
    u[:, 2] *= np.sign(np.linalg.det(u @ v))  # a mean of two rotations far apart may come out mirrored
    return np.asarray(u @ v)


def rest_rotations(skeleton: Skeleton) -> F64:
    """World rotations of the bones at rest, without scale [n, 3, 3]."""
    world = skeleton.rotations.copy()
    for bone, parent in enumerate(skeleton.parents):
        if parent >= 0:
            world[bone] = world[parent] @ world[bone]
    return world


def apply_pose(model: Model, pose: Pose) -> F64:
    """World matrices [n, 4, 4] of the bones in a pose; the lowest sole is at y = 0 plus the offset's lift."""
    skeleton, human = model.skeleton, model.skeleton.human
    rest, rest_place = rest_rotations(skeleton), skeleton.globals()[:, :3, 3]
    to_world = np.diag([model.facing, 1.0, model.facing])  # the body's frame at rest -> world
    turns = _turns(skeleton, rest_place, pose, to_world)
    local = {}
    for bone, parent in enumerate(skeleton.parents):
        above = np.eye(3) if parent < 0 else turns[parent] @ rest[parent]
        local[bone] = above.T @ turns[bone] @ rest[bone]
    world = skeleton.globals(local)

    soles = []
    for name in ("leftFoot", "rightFoot", "leftToes", "rightToes"):
        if name in human:  # toes are optional in VRM
            bone = human[name]
            soles.append(world[bone, 1, 3] - rest_place[bone, 1] * turns[bone][1, 1])
    left, lift, front = pose.offset
    world[:, :3, 3] += to_world @ (left, lift, front) - (0.0, min(soles), 0.0)
    return world


def _turns(skeleton: Skeleton, rest_place: F64, pose: Pose, to_world: F64) -> F64:
    """How far each bone is turned in the world from its rest [n, 3, 3]."""
    human = skeleton.human
    yaw, hips = rotation(1, pose.hips[0]), euler(pose.hips)
    chest = euler((pose.hips[0] + pose.chest[0], pose.chest[1], pose.chest[2]))
    head = chest @ euler(pose.head)
    heading = np.degrees(np.arctan2(head[0, 2], head[2, 2]))  # of the head, however it nods
    hair = blend(head, rotation(1, heading), HAIR_HANG)
    torso = {
        "hips": hips,
        "spine": blend(hips, chest, 0.5),
        "chest": chest,
        "upperChest": chest,
        "neck": blend(chest, head, 0.5),
        "head": head,
        "tail": blend(hips, yaw, TAIL_HANG),
        **dict.fromkeys(HAIR_BONES, hair),
    }
    names = {bone: name for name, bone in human.items()}
    turns = np.empty((len(skeleton.names), 3, 3))
    for bone, parent in enumerate(skeleton.parents):
        name = names.get(bone, "")
        inherited = np.eye(3) if parent < 0 else turns[parent]
        if name in torso:
            turns[bone] = to_world @ torso[name] @ to_world.T
        elif name in pose.limbs:
            frame = chest if "Arm" in name else yaw  # legs stand in the world, however the hips sway
            now = inherited @ (rest_place[human[LIMB_END[name]]] - rest_place[bone])
            turns[bone] = align(now, to_world @ frame @ pose.limbs[name]) @ inherited
        elif name.endswith("Foot"):
            # the sole of an upright shin is level; that of a lifted one goes with it
            shin = rest_place[bone] - rest_place[parent]
            upright = max(0.0, float(unit(inherited @ shin) @ (0.0, -1.0, 0.0)))
            turns[bone] = blend(inherited, to_world @ yaw @ to_world.T, FOOT_LEVEL * upright**2)
        else:
            turns[bone] = inherited
    return turns


def relaxed_pose(degrees: float = 60.0, turn: float = 0.0) -> Pose:
    """Upright, arms straight and `degrees` below the horizon, turned by `turn` degrees to its left."""
    limbs = {}
    for side, azimuth in (("left", 90.0), ("right", -90.0)):
        for bone in ("UpperArm", "LowerArm"):
            limbs[side + bone] = direction(azimuth, -degrees)
    return Pose(limbs, hips=(turn, 0.0, 0.0))


def rest_relaxed(model: Model, degrees: float = 60.0, turn: float = 0.0) -> F64:
    """World matrices [n, 4, 4] of `relaxed_pose`: the pose of the four basic views."""
    return apply_pose(model, relaxed_pose(degrees, turn))
