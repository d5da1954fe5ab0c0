"""Proportions of a figure in metres, and the bones that follow from them (T-pose, Y up, facing +Z)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.data.render.characters.traits import Body
from bench.data.render.model import Skeleton

EXTRA_BONES = ("hairBack", "hairL", "hairR", "tail")
SIDE_BONES = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
HUMAN_BONES = (
    "hips",
    "spine",
    "chest",
    "neck",
    "head",
    *(side + bone for side in ("left", "right") for bone in SIDE_BONES),
)
BASE_HEIGHT = 1.6  # the height that the tables of radii are written for


@dataclass(frozen=True)
class Figure:
    """Lengths in metres and heights above the ground."""

    height: float
    head: float  # height of the head
    scale: float  # height / 1.6 m
    thick: float  # scale of limb and torso radii
    male: bool
    bust: float
    jaw: float
    neck_base: float
    neck: float  # length
    crotch: float
    hips: float
    spine: float
    chest: float
    shoulder: float  # height of the shoulder joints
    shoulder_x: float
    hip_x: float
    upper_arm: float
    lower_arm: float

    @property
    def wrist_x(self) -> float:
        return self.shoulder_x + self.upper_arm + self.lower_arm

    @property
    def head_centre(self) -> tuple[float, float, float]:
        return (0.0, self.neck_base + self.neck + self.head * 0.5, self.head * 0.02)

    @property
    def head_width(self) -> float:
        """Half the width of the head."""
        return self.head * 0.43

    @property
    def head_depth(self) -> float:
        """Half the depth of the head."""
        return self.head * 0.45


def figure(body: Body) -> Figure:
    """Proportions of a build: the fewer heads tall, the thicker the limbs and the shorter legs and arms."""
    height, scale = body.height, body.height / BASE_HEIGHT
    head, neck = height / body.heads, 0.036 * height
    small, medium = body.heads <= 4.3, 4.3 < body.heads <= 5.0
    stoutness = 1.3 if small else 1.12 if medium else 1.0
    crotch = body.legs * height * (0.86 if small else 0.93 if medium else 1.0)
    neck_base = height - head - neck
    hips = crotch + 0.035 * height
    thick = scale * body.girth * stoutness
    arm = height * (0.88 if small else 1.0)
    return Figure(
        height=height,
        head=head,
        scale=scale,
        thick=thick,
        male=body.male,
        bust=body.bust,
        jaw=body.jaw,
        neck_base=neck_base,
        neck=neck,
        crotch=crotch,
        hips=hips,
        spine=hips + 0.28 * (neck_base - hips),
        chest=hips + 0.58 * (neck_base - hips),
        shoulder=neck_base - 0.035 * height,
        shoulder_x=0.108 * scale * body.shoulders * (0.95 if small else 1.0),
        hip_x=0.062 * thick,
        upper_arm=0.150 * arm,
        lower_arm=0.138 * arm,
    )


def skeleton(f: Figure) -> Skeleton:
    """VRM bones of the figure, and bones of its own for hair and tail."""
    elbow = f.shoulder_x + f.upper_arm
    head_base = f.neck_base + 0.9 * f.neck
    bones: list[tuple[str, str | None, tuple[float, float, float]]] = [
        ("hips", None, (0, f.hips, 0)),
        ("spine", "hips", (0, f.spine, 0)),
        ("chest", "spine", (0, f.chest, 0)),
        ("neck", "chest", (0, f.neck_base, -0.006)),
        ("head", "neck", (0, head_base, 0)),
    ]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        ankle_x = sign * f.hip_x * 1.04
        bones += [
            (side + "Shoulder", "chest", (sign * f.shoulder_x * 0.25, f.shoulder, 0)),
            (side + "UpperArm", side + "Shoulder", (sign * f.shoulder_x, f.shoulder, 0)),
            (side + "LowerArm", side + "UpperArm", (sign * elbow, f.shoulder, 0)),
            (side + "Hand", side + "LowerArm", (sign * f.wrist_x, f.shoulder, 0)),
            (side + "UpperLeg", "hips", (sign * f.hip_x, f.crotch + 0.012 * f.height, 0)),
            (side + "LowerLeg", side + "UpperLeg", (sign * f.hip_x * 1.02, f.crotch * 0.53, 0.004)),
            (side + "Foot", side + "LowerLeg", (ankle_x, 0.048 * f.height, -0.012)),
            (side + "Toes", side + "Foot", (ankle_x, 0.012 * f.height, 0.06 * f.scale)),
        ]
    crown = f.neck_base + f.neck
    bones += [
        ("hairBack", "head", (0, crown + f.head * 0.45, -f.head * 0.3)),
        ("hairL", "head", (f.head * 0.45, crown + f.head * 0.6, -f.head * 0.1)),
        ("hairR", "head", (-f.head * 0.45, crown + f.head * 0.6, -f.head * 0.1)),
        ("tail", "hips", (0, f.hips, -0.08 * f.scale)),
    ]
    names = tuple(name for name, _, _ in bones)
    parents = np.array([-1 if parent is None else names.index(parent) for _, parent, _ in bones], np.int32)
    places = np.array([place for _, _, place in bones], np.float64)
    above = np.where((parents >= 0)[:, None], places[np.maximum(parents, 0)], 0.0)
    return Skeleton(
        names=names,
        parents=parents,
        translations=places - above,
        rotations=np.tile(np.eye(3), (len(names), 1, 1)),
        human={name: names.index(name) for name in HUMAN_BONES + EXTRA_BONES},
    )
