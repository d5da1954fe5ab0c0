"""The body under the clothes: torso, legs with their stockings, arms, hands, and the bones each follows."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.mesh import (
    F64,
    SKIN_SHADE,
    MeshBuilder,
    grid,
    ring_stack,
    smoothstep,
    tube,
)
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import stocking
from bench.data.render.characters.traits import Traits

# Radii at 1.6 m. Torso heights: 0 at the crotch, 1 at the base of the neck.
TORSO_HEIGHTS = (-0.12, 0, 0.12, 0.42, 0.62, 0.80, 0.93, 1.0, 1.08)
TORSO_WIDTH = (0.075, 0.113, 0.116, 0.076, 0.092, 0.100, 0.092, 0.044, 0.030)
TORSO_WIDTH_MALE = (0.075, 0.110, 0.110, 0.090, 0.104, 0.118, 0.104, 0.048, 0.033)
TORSO_DEPTH = (0.050, 0.078, 0.080, 0.058, 0.070, 0.070, 0.054, 0.036, 0.029)
# Leg heights: 0 at the sole, 1 at the crotch; arm: 0 at the shoulder, 1 at the wrist.
LEG_HEIGHTS = (0, 0.10, 0.17, 0.33, 0.50, 0.56, 0.80, 0.92, 1.0, 1.1)
LEG_RADIUS = (0.030, 0.029, 0.032, 0.047, 0.042, 0.044, 0.059, 0.063, 0.058, 0.036)
ARM_PLACES = (-0.15, 0, 0.15, 0.50, 0.56, 0.70, 1.0)
ARM_RADIUS = (0.025, 0.037, 0.036, 0.031, 0.031, 0.030, 0.021)

STOCKING_TOP = {"bare": 0.0, "ankle": 0.20, "knee": 0.50, "thigh": 0.74, "tights": 1.2}  # of the leg

BoneWeights = list[tuple[str, F64]]


def torso_weights(f: Figure, y: F64) -> BoneWeights:
    """Bones of the trunk by height."""
    spine = smoothstep(y, f.hips + 0.2 * (f.spine - f.hips), f.hips + 1.2 * (f.spine - f.hips))
    chest = smoothstep(y, f.spine + 0.3 * (f.chest - f.spine), f.chest + 0.01)
    neck = smoothstep(y, f.neck_base - 0.005, f.neck_base + 0.6 * f.neck)
    return [
        ("hips", 1 - spine),
        ("spine", spine * (1 - chest)),
        ("chest", spine * chest * (1 - neck)),
        ("neck", spine * chest * neck),
    ]


def leg_weights(f: Figure, y: F64) -> BoneWeights:
    """Bones of the left leg by height."""
    knee, h = f.crotch * 0.53, f.height
    upper = 1 - smoothstep(y, f.crotch - 0.02 * h, f.crotch + 0.05 * h)
    lower = 1 - smoothstep(y, knee - 0.035 * h, knee + 0.035 * h)
    foot = 1 - smoothstep(y, 0.03 * h, 0.065 * h)
    return [
        ("hips", 1 - upper),
        ("leftUpperLeg", upper * (1 - lower)),
        ("leftLowerLeg", upper * lower * (1 - foot)),
        ("leftFoot", upper * lower * foot),
    ]


def arm_weights(f: Figure, x: F64) -> BoneWeights:
    """Bones of the left arm by distance from the middle."""
    elbow = f.shoulder_x + f.upper_arm
    upper = smoothstep(x, f.shoulder_x - 0.035 * f.scale, f.shoulder_x + 0.03 * f.scale)
    lower = smoothstep(x, elbow - 0.03 * f.scale, elbow + 0.03 * f.scale)
    hand = smoothstep(x, f.wrist_x - 0.015 * f.scale, f.wrist_x + 0.015 * f.scale)
    return [
        ("chest", 1 - upper),
        ("leftUpperArm", upper * (1 - lower)),
        ("leftLowerArm", upper * lower * (1 - hand)),
        ("leftHand", upper * lower * hand),
    ]


def skirt_weights(f: Figure, vertices: F64, top: float, bottom: float) -> BoneWeights:
    """A skirt from height `top` to `bottom` follows each thigh on its own side, more the lower it hangs.

    It takes over most of the thigh's turn near its top: a thigh that is raised would else pierce it.
    """
    taken_over = max(top + 0.65 * (bottom - top), top - 0.14 * f.height)
    thighs = smoothstep(-vertices[:, 1], -top, -taken_over) * 0.92
    left = np.clip(0.5 + vertices[:, 0] / (0.16 * f.scale), 0, 1)
    return [("hips", 1 - thighs), ("leftUpperLeg", thighs * left), ("rightUpperLeg", thighs * (1 - left))]


def torso_rings(f: Figure, y: F64, inflate: float | F64 = 0.0, columns: int = 24) -> F64:
    """Rings [rows, columns, 3] of the trunk at heights `y`, grown outwards by `inflate` metres."""
    place = (y - f.crotch) / (f.neck_base - f.crotch)
    width = np.interp(place, TORSO_HEIGHTS, TORSO_WIDTH_MALE if f.male else TORSO_WIDTH) * f.thick + inflate
    depth = np.interp(place, TORSO_HEIGHTS, TORSO_DEPTH) * f.thick + inflate
    lean = np.interp(place, [0, 0.42, 0.7, 1], [-0.004, 0.006, 0.004, -0.006]) * f.scale
    rings = ring_stack(np.stack([0 * y, y, lean], axis=1), width, depth, columns, 2.3)
    across = rings[..., 0] / width[:, None]
    front = np.maximum(0, (rings[..., 2] - lean[:, None]) / depth[:, None])
    swell = np.exp(-(((place[:, None] - 0.68) / 0.10) ** 2)) * front
    swell = swell * np.exp(-(((np.abs(across) - 0.45) / 0.42) ** 2))
    rings[..., 2] += swell * 0.045 * f.scale * f.bust
    return rings


def torso_front(f: Figure, y: F64, inflate: float) -> F64:
    """z of the chest's foremost point at heights `y`."""
    return np.asarray(torso_rings(f, y, inflate)[:, :, 2].max(1))


def leg_radius(f: Figure, y: F64) -> F64:
    return np.asarray(np.interp(y / f.crotch, LEG_HEIGHTS, LEG_RADIUS)) * f.thick


def leg_centres(f: Figure, y: F64) -> F64:
    """Axis [rows, 3] of the left leg at heights `y`."""
    part = y / f.crotch
    x = f.hip_x * (1 + 0.04 * (1 - part)) * (1 - 0.1 * smoothstep(part, 0.95, 1.1))
    z = np.interp(part, [0, 0.12, 0.33, 0.53, 1], [-0.014, -0.012, -0.008, 0.004, 0]) * f.scale
    return np.stack([x, y, z], axis=1)


def arm_radius(f: Figure, x: F64) -> F64:
    place = (x - f.shoulder_x) / (f.upper_arm + f.lower_arm)
    return np.asarray(np.interp(place, ARM_PLACES, ARM_RADIUS)) * f.thick * (1.12 if f.male else 1.0)


def arm_centres(f: Figure, x: F64) -> F64:
    """Axis [rows, 3] of the left arm at distances `x` from the middle."""
    return np.stack([x, np.full_like(x, f.shoulder), 0 * x], axis=1)


def add_body(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    """Trunk, arms, hands and legs."""
    skin = mesh.material("skin", traits.body.skin, shade=SKIN_SHADE)
    y = np.linspace(f.neck_base + 0.98 * f.neck, f.crotch - 0.01 * f.height, 26)
    trunk = grid(torso_rings(f, y), cap_last=True)
    mesh.add(trunk, torso_weights(f, trunk.vertices[:, 1]), skin)

    x = np.linspace(f.shoulder_x * 0.35, f.wrist_x + 0.01 * f.scale, 24)
    radius = arm_radius(f, x)
    arm = grid(tube(arm_centres(f, x), radius, radius, 12, side=(0, 1, 0)))
    mesh.add_pair(arm, arm_weights(f, arm.vertices[:, 0]), skin)
    _add_hand(mesh, f, skin)

    y = np.linspace(f.crotch + 0.05 * f.height, 0.03 * f.height, 30)
    radius = leg_radius(f, y)
    leg = grid(ring_stack(leg_centres(f, y), radius * 0.97, radius, 14), cap_last=True)
    material = skin
    covered = STOCKING_TOP[traits.clothes.legwear]
    if covered > 0:
        edge = float(np.clip((y[0] - covered * f.crotch) / (y[0] - y[-1]), 0, 1))
        material = mesh.material("legwear", texture=stocking(traits, edge), shade=(0.88, 0.76, 0.78))
    mesh.add_pair(leg, leg_weights(f, leg.vertices[:, 1]), material)


def _add_hand(mesh: MeshBuilder, f: Figure, skin: int) -> None:
    """A palm that tapers into four joined fingers, and a thumb."""
    stout = (f.thick * f.scale) ** 0.5
    length = 0.086 * stout
    t = np.linspace(0, 1, 11)
    path = np.stack([f.wrist_x + length * t, f.shoulder - 0.008 * t * t * f.scale, 0 * t], axis=1)
    breadth = np.interp(t, [0, 0.3, 0.5, 0.8, 0.94, 1], [0.020, 0.030, 0.031, 0.025, 0.015, 0.003]) * f.thick
    depth = np.interp(t, [0, 0.3, 0.6, 0.9, 1], [0.018, 0.016, 0.012, 0.009, 0.003]) * f.thick
    mesh.add_pair(grid(tube(path, breadth, depth, 10), cap_last=True), "leftHand", skin)

    t = np.linspace(0, 1, 6)
    along = f.wrist_x + (0.014 + 0.042 * t) * stout
    forward = (0.014 + 0.034 * t - 0.006 * t * t) * stout
    path = np.stack([along, f.shoulder - 0.004 - 0.008 * t, forward], axis=1)
    radius = np.interp(t, [0, 0.7, 0.93, 1], [0.013, 0.010, 0.006, 0.001]) * f.thick
    mesh.add_pair(grid(tube(path, radius, radius, 8, side=(0, 1, 0)), cap_last=True), "leftHand", skin)
