"""Arms that keep off the body: a pose whose elbows, forearms or hands would be inside of trunk or skirt is mended."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bench.data.render.characters.body import torso_rings
from bench.data.render.characters.bottoms import skirt_radius
from bench.data.render.characters.mesh import smoothstep
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.tops import looseness
from bench.data.render.characters.traits import Traits
from bench.data.render.model import F64, Model
from bench.data.render.pose import Pose, apply_pose, unit

ARM = 0.030  # metres at 1.6 m: half of an arm in its sleeve
HAND = 0.075  # metres at 1.6 m from the wrist to the fingers' middle
TO_FRONT = 0.25  # of the depth: what is this little behind the middle goes to the front
ROUNDS = 2


@dataclass(frozen=True)
class Girth:
    """Half width and half depth of the dressed trunk at heights above the ground, at rest, metres."""

    heights: F64  # [n], rising
    width: F64
    depth: F64
    middle: F64  # z of the trunk's axis
    waist: float  # below it the hips carry it, above it the chest
    arm: float
    hand: float


def girth_of(f: Figure, traits: Traits) -> Girth:
    """How far a character and its clothes reach to the sides and to the front."""
    top = traits.clothes.top
    heights = np.linspace(0.45 * f.crotch, f.neck_base - 0.01 * f.height, 40)
    rings = torso_rings(f, np.maximum(heights, f.crotch + 0.02 * f.height), looseness(f, top))
    out = skirt_radius(f, traits, heights)
    if top == "coat":
        out = np.maximum(out, 0.075 * f.scale * smoothstep(-heights, -f.hips, -0.62 * f.crotch))
    front, back = rings[..., 2].max(1), rings[..., 2].min(1)
    return Girth(
        heights=heights,
        width=np.abs(rings[..., 0]).max(1) + out,
        depth=(front - back) / 2 + out,
        middle=(front + back) / 2,
        waist=f.spine,
        arm=ARM * f.scale,
        hand=HAND * f.scale,
    )


def cleared(model: Model, girth: Girth, pose: Pose) -> F64:
    """Bone world matrices [n, 4, 4] of the pose, or of the one nearest to it whose arms are outside of the trunk."""
    world = apply_pose(model, pose)
    for _ in range(ROUNDS):
        mended = _mended(model, girth, world, "left") | _mended(model, girth, world, "right")
        if not mended:
            break
        pose = replace(pose, limbs={**pose.limbs, **mended})
        world = apply_pose(model, pose)
    return world


def _mended(model: Model, girth: Girth, world: F64, side: str) -> dict[str, F64]:
    """New directions, in the body's frame, of those parts of an arm that have to move."""
    human = model.skeleton.human
    shoulder, elbow, wrist = (world[human[side + bone], :3, 3] for bone in ("UpperArm", "LowerArm", "Hand"))
    turn = world[human["chest"], :3, :3]
    changed: dict[str, F64] = {}
    pushed = _outside(model, girth, world, elbow)
    if pushed is not None:
        changed[side + "UpperArm"] = turn.T @ unit(pushed - shoulder)
        moved = shoulder + unit(pushed - shoulder) * np.linalg.norm(elbow - shoulder) - elbow
        elbow, wrist = elbow + moved, wrist + moved
    way = wrist - elbow
    length = float(np.linalg.norm(way))
    reach = (0.6 * length, length, length + girth.hand)
    now = way / length
    for part in reach:
        pushed = _outside(model, girth, world, elbow + part * now)
        if pushed is not None:
            now = unit(pushed - elbow)
            changed[side + "LowerArm"] = turn.T @ now
    return changed


def _outside(model: Model, girth: Girth, world: F64, point: F64) -> F64 | None:
    """The place outside of the trunk to which a point [3] inside of it is moved, or None for one outside."""
    for bone in ("chest", "hips"):
        index = model.skeleton.human[bone]
        placed = world[index] @ model.inverse_bind[index]
        x, y, z = placed[:3, :3].T @ (point - placed[:3, 3])
        if bone == "chest" and y < girth.waist:
            continue
        if not girth.heights[0] < y < girth.heights[-1]:
            return None
        width, depth, middle = (
            float(np.interp(y, girth.heights, of)) for of in (girth.width, girth.depth, girth.middle)
        )
        a, b, z = width + girth.arm, depth + girth.arm, z - middle
        inside = (x / a) ** 2 + (z / b) ** 2
        if inside >= 0.97:
            return None
        if -TO_FRONT * b < z < TO_FRONT * b and abs(x) < 0.8 * width:
            z = TO_FRONT * b
        grown = 1 / np.sqrt((x / a) ** 2 + (z / b) ** 2)
        return np.asarray(placed[:3, :3] @ np.array([x * grown, y, z * grown + middle]) + placed[:3, 3])
    return None
