"""Shoes and boots."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.body import leg_centres, leg_radius, leg_weights
from bench.data.render.characters.colors import scaled
from bench.data.render.characters.mesh import F64, MeshBuilder, grid, ring_stack, smoothstep
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.traits import Traits

BOOT_TOP = {"boots": 0.20, "long boots": 0.50}  # of the leg


def add_shoes(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    """A shoe with a sole on each foot, and the shaft of a boot."""
    clothes = traits.clothes
    leather = mesh.material("shoes", clothes.shoe_color)
    sole_color = (226, 225, 222) if clothes.shoes == "sneakers" else scaled(clothes.shoe_color, 0.5)
    sole = mesh.material("soles", sole_color)
    upper = _foot(f)
    pressed = upper.copy()
    pressed[..., 1] = np.minimum(pressed[..., 1], 0.018 * f.scale)
    middle = f.hip_x * 1.04
    pressed[..., 0] = middle + (pressed[..., 0] - middle) * 1.08
    for points, material in ((upper, leather), (pressed, sole)):
        part = grid(points, cap_first=True, cap_last=True)
        toes = smoothstep(part.vertices[:, 2], 0.03 * f.scale, 0.08 * f.scale)
        mesh.add_pair(part, [("leftFoot", 1 - toes), ("leftToes", toes)], material)
    if clothes.shoes in BOOT_TOP:
        top = BOOT_TOP[clothes.shoes]
        y = np.linspace(top * f.crotch, 0.03 * f.height, 14)
        radius = leg_radius(f, y) * 1.10 + 0.006 * f.scale
        radius = radius + np.where(y > (top - 0.03) * f.crotch, 0.004, 0.0)
        rings = ring_stack(leg_centres(f, y), radius, radius * 1.03, 14)
        shaft = grid(rings)
        mesh.add_pair(shaft, leg_weights(f, shaft.vertices[:, 1]), leather)


def _foot(f: Figure) -> F64:
    """Cross sections [rows, columns, 3] of the left shoe from heel to toe, flat underneath."""
    t = np.linspace(0, 1, 14)
    z = np.linspace(-0.058, 0.115, 14) * (f.scale * f.thick) ** 0.5
    width = np.interp(t, [0, 0.12, 0.45, 0.75, 0.95, 1], [0.014, 0.031, 0.031, 0.040, 0.026, 0.008]) * f.thick
    height = np.interp(t, [0, 0.1, 0.35, 0.6, 0.85, 1], [0.05, 0.075, 0.075, 0.048, 0.034, 0.012]) * f.scale
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    points = np.empty((14, 14, 3))
    points[..., 0] = f.hip_x * 1.04 - width[:, None] * np.cos(angle)
    rise = height[:, None] * 0.5 + height[:, None] * 0.52 * np.sin(angle)
    points[..., 1] = np.maximum(0.004, rise)
    points[..., 2] = z[:, None]
    return points
