"""The body of edition 2: that of edition 1 with hands that have fingers, gloves, leg warmers and a wristband."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.body import (
    STOCKING_TOP,
    arm_centres,
    arm_radius,
    arm_weights,
    leg_centres,
    leg_radius,
    leg_weights,
    torso_rings,
    torso_weights,
)
from bench.data.render.characters.mesh import SKIN_SHADE, grid, ring_stack, tube
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import stocking
from bench.data.render.characters.tops import hemmed
from bench.data.render.edition2.hands import HandSlots, add_hands
from bench.data.render.edition2.tailor import Tailor

HAND_OUTLINE = 0.0013  # metres; at a limb's width fingers would be all outline
GLOVE_END = {"short": 0.90, "long": 0.58}  # of the arm, where a glove begins


def add_body(mesh: Tailor, f: Figure) -> HandSlots:
    """Trunk, arms, hands and legs; returns where the hands are among the vertices."""
    traits, extras = mesh.traits, mesh.extras
    skin = mesh.material("skin", traits.body.skin, shade=SKIN_SHADE)
    y = np.linspace(f.neck_base + 0.98 * f.neck, f.crotch - 0.01 * f.height, 26)
    trunk = grid(torso_rings(f, y), cap_last=True)
    mesh.add(trunk, torso_weights(f, trunk.vertices[:, 1]), skin)

    x = np.linspace(f.shoulder_x * 0.35, f.wrist_x + 0.003 * f.scale, 24)
    radius = arm_radius(f, x)
    arm = grid(tube(arm_centres(f, x), radius, radius, 12, side=(0, 1, 0)))
    mesh.add_pair(arm, arm_weights(f, arm.vertices[:, 0]), skin)
    gloved = extras.gloves != "none"
    color = extras.glove_color if gloved else traits.body.skin
    hand = mesh.material("hands", color, shade=SKIN_SHADE, outline=HAND_OUTLINE)
    slots = add_hands(mesh, f, hand, mesh.vertex_count)
    if gloved:
        _add_arm_band(mesh, f, (GLOVE_END[extras.gloves], 1.02), 0.0035, "gloves", color, ("left", "right"))
    if extras.wristband != "none":
        _add_arm_band(mesh, f, (0.90, 0.99), 0.005, "wristband", traits.clothes.accent, (extras.wristband,))
    _add_legs(mesh, f, skin)
    return slots


def _add_arm_band(
    mesh: Tailor,
    f: Figure,
    ends: tuple[float, float],
    inflate: float,
    name: str,
    color: tuple[int, int, int],
    sides: tuple[str, ...],
) -> None:
    """A tube round the forearm between two places of the arm (0 shoulder, 1 wrist), `inflate` metres off the skin."""
    length = f.upper_arm + f.lower_arm
    x = f.shoulder_x + np.linspace(ends[1], ends[0], 8) * length
    radius = arm_radius(f, x) + inflate * f.scale
    rings = tube(arm_centres(f, x), radius, radius, 12, side=(0, 1, 0))
    band = grid(hemmed(rings))
    material = mesh.material(name, color, double_sided=True)
    weights = arm_weights(f, band.vertices[:, 0])
    for side in sides:
        if side == "left":
            mesh.add(band, weights, material)
        else:
            mesh.add(band.mirrored(), [(bone.replace("left", "right"), w) for bone, w in weights], material)


def _add_legs(mesh: Tailor, f: Figure, skin: int) -> None:
    traits = mesh.traits
    y = np.linspace(f.crotch + 0.05 * f.height, 0.03 * f.height, 30)
    radius = leg_radius(f, y)
    leg = grid(ring_stack(leg_centres(f, y), radius * 0.97, radius, 14), cap_last=True)
    material = skin
    covered = STOCKING_TOP[traits.clothes.legwear]
    if covered > 0:
        edge = float(np.clip((y[0] - covered * f.crotch) / (y[0] - y[-1]), 0, 1))
        material = mesh.material("legwear", texture=stocking(traits, edge), shade=(0.88, 0.76, 0.78))
    mesh.add_pair(leg, leg_weights(f, leg.vertices[:, 1]), material)
    if mesh.extras.leg_warmers:
        y = np.linspace(0.46 * f.crotch, 0.085 * f.crotch, 14)
        folds = 1 + 0.25 * np.sin(np.linspace(0, 9 * np.pi, 14))
        radius = leg_radius(f, y) + (0.008 + 0.012 * (1 - y / y[0])) * f.scale * folds
        warmer = grid(hemmed(ring_stack(leg_centres(f, y), radius, radius, 14)))
        wool = mesh.material("leg warmers", traits.clothes.accent, double_sided=True)
        mesh.add_pair(warmer, leg_weights(f, warmer.vertices[:, 1]), wool)
