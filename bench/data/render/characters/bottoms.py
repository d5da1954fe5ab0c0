"""Lower garments: skirts with their frills, trousers, shorts, belt and sash."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.body import (
    leg_centres,
    leg_radius,
    leg_weights,
    skirt_weights,
    torso_rings,
    torso_weights,
)
from bench.data.render.characters.colors import OFF_WHITE
from bench.data.render.characters.mesh import F64, MeshBuilder, grid, ring_stack, turn
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import DRESS_BODICE, bottom_cloth
from bench.data.render.characters.tops import hemmed, looseness, with_hem
from bench.data.render.characters.traits import Traits

LEATHER = (60, 40, 30)
ROWS = 14

# Kind: (waist above the hips / height, hem / hip height at length 0 and 1, flare and pleat depth in metres,
# number of folds)
SKIRTS: dict[str, tuple[float, tuple[float, float], float, float, int]] = {
    "pleated skirt": (0.030, (0.74, 0.64), 0.085, 0.010, 14),
    "flared skirt": (0.030, (0.70, 0.58), 0.130, 0.014, 7),
    "long skirt": (0.030, (0.46, 0.27), 0.120, 0.004, 6),
    "kimono skirt": (0.030, (0.11, 0.11), 0.030, 0.004, 6),
    "dress": (0.035, (0.66, 0.38), 0.130, 0.012, 12),
}


def add_bottom(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    """Skirt or trousers, with belt or sash."""
    clothes = traits.clothes
    cloth = mesh.material("bottom", texture=bottom_cloth(traits), double_sided=True)
    if clothes.bottom in SKIRTS:
        _add_skirt(mesh, f, traits, cloth)
    else:
        _add_trousers(mesh, f, clothes.bottom, cloth)
    loose = looseness(f, clothes.top)
    if clothes.top == "kimono":
        sash = mesh.material("sash", clothes.bottom_color)
        _add_girdle(mesh, f, (f.spine + 0.045 * f.height, f.hips + 0.02 * f.height), loose + 0.012 * f.scale, sash)
    elif clothes.belt:
        belt = mesh.material("belt", LEATHER)
        ends = (f.hips + 0.045 * f.height, f.hips + 0.022 * f.height)
        _add_girdle(mesh, f, ends, loose + 0.010 * f.scale, belt)


def skirt_radius(f: Figure, traits: Traits, y: F64) -> F64:
    """How far a skirt stands out behind the hips at heights `y`, in metres; 0 above it and without one."""
    if traits.clothes.bottom not in SKIRTS:
        return np.zeros_like(y)
    top, bottom = _skirt_ends(f, traits)
    down = np.clip((top - y) / (top - bottom), 0, 1)
    return np.asarray(0.03 * f.scale * np.minimum(1, 3 * down) + _flare(f, traits) * down**0.8)


def _skirt_ends(f: Figure, traits: Traits) -> tuple[float, float]:
    waist, (short, long), _, _, _ = SKIRTS[traits.clothes.bottom]
    return f.hips + waist * f.height, f.hips * (short + (long - short) * traits.clothes.skirt_length)


def _flare(f: Figure, traits: Traits) -> float:
    return SKIRTS[traits.clothes.bottom][2] * f.scale * traits.clothes.skirt_flare


def _add_skirt(mesh: MeshBuilder, f: Figure, traits: Traits, cloth: int) -> None:
    clothes = traits.clothes
    _, _, _, pleat, folds = SKIRTS[clothes.bottom]
    top, bottom = _skirt_ends(f, traits)
    # A dress hangs under its own bodice, a skirt closes over a tucked-in top.
    loose = looseness(f, clothes.top) + (0.0 if clothes.bottom == "dress" else 0.004 * f.scale)
    waist = torso_rings(f, np.array([top]), loose)[0]
    width, depth = np.abs(waist[:, 0]).max(), np.abs(waist[:, 2]).max()
    angle = turn(64)
    down = np.linspace(0, 1, ROWS)[:, None]
    over_hips = np.sin(0.5 * np.pi * np.clip(1.2 * down, 0, 1)) * 0.030 * f.scale
    wave = np.sin(angle * folds)
    fold = pleat * f.scale * down * np.sign(wave) * np.abs(wave) ** 0.6
    flare = _flare(f, traits) * down**0.8
    points = np.empty((ROWS, 64, 3))
    points[..., 0] = -(width + over_hips + flare + fold) * np.cos(angle)
    points[..., 1] = top + (bottom - top) * down
    points[..., 2] = (depth + over_hips + 0.9 * flare + fold) * np.sin(angle) + 0.004
    skirt = grid(hemmed(points))
    skirt.uv[:, 1] = with_hem(skirt.uv[:, 1], ROWS)
    if clothes.bottom == "dress":  # one cloth with the bodice
        skirt.uv[:, 1] = DRESS_BODICE + (1 - DRESS_BODICE) * skirt.uv[:, 1]
    fixed = top - 0.02 * f.height
    mesh.add(skirt, skirt_weights(f, skirt.vertices, fixed, bottom), cloth)
    if clothes.frill and clothes.bottom in ("dress", "flared skirt"):
        edge = points[-3:] - (0, 0.012 * f.scale, 0)
        middle = edge.mean(1, keepdims=True)
        frill = grid(hemmed(middle + (edge - middle) * (1.04, 1.0, 1.04)))
        trim = clothes.accent if min(clothes.bottom_color) > 215 else OFF_WHITE
        material = mesh.material("frill", trim, double_sided=True)
        mesh.add(frill, skirt_weights(f, frill.vertices, fixed, bottom), material)


def _add_trousers(mesh: MeshBuilder, f: Figure, kind: str, cloth: int) -> None:
    waist = f.hips + 0.03 * f.height
    y = np.linspace(waist, f.crotch - 0.03 * f.height, 12)
    seat = grid(torso_rings(f, y, 0.010 * f.scale), cap_last=True)
    hem = f.crotch * 0.70 if kind == "shorts" else 0.055 * f.height
    y = np.linspace(f.crotch + 0.045 * f.height, hem, 22)
    widening = {"shorts": 0.030, "trousers": 0.018, "wide trousers": 0.055}[kind]
    radius = leg_radius(f, y) + (0.011 + widening * np.maximum(0, 1 - y / f.crotch)) * f.scale
    leg = grid(hemmed(ring_stack(leg_centres(f, y), radius, radius * 1.04, 16)))
    for part in (seat, leg):  # one cloth from waist to hem
        part.uv[:, 1] = np.clip((waist - part.vertices[:, 1]) / (waist - hem), 0, 1)
    mesh.add(seat, torso_weights(f, seat.vertices[:, 1]), cloth)
    mesh.add_pair(leg, leg_weights(f, leg.vertices[:, 1]), cloth)


def _add_girdle(mesh: MeshBuilder, f: Figure, ends: tuple[float, float], inflate: float, material: int) -> None:
    """A band round the waist; its edges lie on the cloth."""
    y = np.linspace(*ends, 6)
    lifted = inflate * np.array([0.6, 1, 1, 1, 1, 0.6])
    band = grid(torso_rings(f, y, lifted))
    mesh.add(band, torso_weights(f, band.vertices[:, 1]), material)
