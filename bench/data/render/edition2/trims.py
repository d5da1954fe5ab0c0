"""What covers the seams: collars and neckbands, armholes, ribbed and trimmed cuffs; and what is worn besides."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.body import arm_centres, arm_radius, arm_weights, torso_rings, torso_weights
from bench.data.render.characters.bottoms import skirt_radius
from bench.data.render.characters.colors import RGB, scaled
from bench.data.render.characters.head import Head
from bench.data.render.characters.mesh import F64, ellipsoid, grid, smoothstep, tube, turn
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.tops import SLEEVE_END, hemmed, looseness
from bench.data.render.edition2.tailor import Tailor

TRIM_OUTLINE = 0.0025  # metres: narrow bands would be all outline
CAPE_GAP = 0.02  # metres at 1.6 m between a skirt and the cape over it


def add_trims(mesh: Tailor, f: Figure, head: Head) -> None:
    """Cape, collar, armholes, cuffs, streak, pins and bag."""
    clothes, extras = mesh.traits.clothes, mesh.extras
    if clothes.cape:
        _add_cape(mesh, f)
    if extras.collar != "none":
        _add_collar(mesh, f)
    if clothes.sleeve == "none" and clothes.top != "camisole":
        _add_armholes(mesh, f)
    elif clothes.sleeve == "wide" or clothes.top in ("hoodie", "sweater"):
        _add_cuffs(mesh, f)
    if extras.streak is not None:
        _add_streak(mesh, head, extras.streak)
    if extras.hair_pins is not None:
        pins = mesh.material("hair pins", extras.hair_pins, outline=TRIM_OUTLINE)
        for y in (0.42, 0.56):
            pin = ellipsoid(head.at(44, y, 1.17), np.multiply((0.11, 0.028, 0.05), head.height * 0.9), 7)
            mesh.add(pin, "head", pins)
    if extras.bag:
        bag = mesh.material("bag", scaled(clothes.accent, 0.85))
        place = (0.155 * f.thick + looseness(f, clothes.top), f.hips + 0.005 * f.height, 0.02 * f.scale)
        mesh.add(ellipsoid(place, np.multiply((0.028, 0.048, 0.055), f.scale), 10), "hips", bag)


def _trim(mesh: Tailor, name: str, color: RGB) -> int:
    return mesh.material(name, color, double_sided=True, outline=TRIM_OUTLINE)


def _add_collar(mesh: Tailor, f: Figure) -> None:
    clothes, kind = mesh.traits.clothes, mesh.extras.collar
    color = mesh.extras.collar_color
    loose = looseness(f, clothes.top)
    if kind == "band":
        low = f.shoulder - 0.012 * f.height if clothes.top == "camisole" else f.neck_base + 0.12 * f.neck
        trim = _trim(mesh, "neckband", color if clothes.top != "kimono" else clothes.accent)
        y = low + np.array([0.007, 0.006, 0.0, -0.008, -0.011]) * f.height
        lift = np.array([0.0005, 0.004, 0.006, 0.006 + 0.5 * loose, 0.001 + 0.6 * loose])
        band = grid(torso_rings(f, y, lift))
        mesh.add(band, torso_weights(f, band.vertices[:, 1]), trim)
        return
    if kind in ("turtleneck", "stand"):
        trim = _trim(mesh, "neckband", scaled(clothes.top_color, 0.88) if kind == "turtleneck" else color)
        high = (0.62 if kind == "turtleneck" else 0.45) * f.neck
        y = np.linspace(f.neck_base + high, f.neck_base - 0.012 * f.height, 7)
        lift = np.array([0.004, 0.007, 0.008, 0.008, 0.008 + 0.3 * loose, 0.009 + 0.75 * loose, 0.4 * loose])
        band = grid(hemmed(torso_rings(f, y, lift)[::-1])[:, ::-1])
        mesh.add(band, torso_weights(f, band.vertices[:, 1]), trim)
        return
    trim = _trim(mesh, "collar", color)
    points = _folded(f, loose, pointed=kind == "folded")
    collar = grid(hemmed(points), closed=False)
    mesh.add(collar, torso_weights(f, collar.vertices[:, 1]), trim)
    y = np.linspace(f.neck_base + 0.30 * f.neck, f.neck_base - 0.010 * f.height, 5)
    inner = grid(torso_rings(f, y, 0.0045 + loose * np.array([0.0, 0.1, 0.25, 0.5, 0.7])))
    mesh.add(inner, torso_weights(f, inner.vertices[:, 1]), trim)


def _folded(f: Figure, loose: float, pointed: bool) -> F64:
    """A collar [6, 37, 3] that stands at the neck, folds over and lies on the top; open in front."""
    columns = 40
    angle, index = turn(columns), np.arange(columns)
    from_front = np.abs(angle - np.pi / 2)
    from_front = np.minimum(from_front, 2 * np.pi - from_front)
    down = np.linspace(0, 1, 6)[:, None]
    reach = 0.030 + (0.030 if pointed else 0.016) * np.exp(-((from_front / 0.55) ** 2))
    y = f.neck_base + 0.42 * f.neck * (1 - down) - reach * f.height * down
    lift = 0.007 + (0.004 + loose) * np.minimum(1, 2.2 * down)
    on_body = np.stack(
        [torso_rings(f, y[row], float(lift[row, 0]), columns)[index, index] for row in range(len(down))], axis=0
    )
    opening = columns // 2
    return np.roll(on_body, -(opening + 2), axis=1)[:, : columns - 3]


def _add_cape(mesh: Tailor, f: Figure) -> None:
    """A cape from the shoulders to below the knees, open in front, that lies over whatever skirt there is."""
    traits = mesh.traits
    rows = 14
    angle = np.linspace(-0.62 * np.pi, 0.62 * np.pi, 26)  # 0 at the back
    down = np.linspace(0, 1, rows)
    y = f.neck_base - down * (f.neck_base - 0.35 * f.crotch)
    skirt = skirt_radius(f, traits, y)
    # what hangs below a skirt's hem falls from its edge
    skirt = np.where(skirt > 0, skirt + np.abs(torso_rings(f, np.array([f.hips]))[..., 0]).max(), 0.0)
    over = np.maximum.accumulate(np.where(skirt > 0, skirt + CAPE_GAP * f.scale, 0.0))
    wide = np.maximum((0.07 + 0.19 * down**0.8) * f.scale, over)
    deep = np.maximum(0.7 * (0.07 + 0.19 * down**0.8) * f.scale, 0.95 * over - 0.03 * f.scale)
    points = np.empty((rows, 26, 3))
    points[..., 0] = wide[:, None] * np.sin(angle)
    points[..., 1] = y[:, None]
    points[..., 2] = -deep[:, None] * np.cos(angle) - 0.03 * f.scale
    cape = grid(points[:, ::-1], closed=False)
    hips = smoothstep(-cape.vertices[:, 1], -f.neck_base, -f.crotch)
    cloth = mesh.material("cape", traits.clothes.accent, double_sided=True)
    mesh.add(cape, [("chest", 1 - hips), ("hips", hips)], cloth)


def _add_armholes(mesh: Tailor, f: Figure) -> None:
    """A band where the arm leaves a top without sleeves."""
    trim = _trim(mesh, "armholes", mesh.extras.collar_color)
    x = f.shoulder_x + np.linspace(0.016, -0.016, 5) * f.scale
    radius = arm_radius(f, x) + np.array([0.002, 0.0045, 0.0055, 0.0065, 0.0065]) * f.scale
    rings = tube(arm_centres(f, x), radius, radius, 14, side=(0, 1, 0))
    band = grid(rings)
    mesh.add_pair(band, arm_weights(f, band.vertices[:, 0]), trim)


def _add_cuffs(mesh: Tailor, f: Figure) -> None:
    """Ribbed cuffs of hoodie and sweater, and an edge on wide sleeves."""
    clothes = mesh.traits.clothes
    kind = clothes.sleeve
    end = f.shoulder_x + SLEEVE_END[kind] * (f.upper_arm + f.lower_arm)
    if kind == "wide":
        x = end + np.array([-0.016, 0.0, 0.003]) * f.scale
        t = np.array([0.97, 1.0, 1.0])
        radius = arm_radius(f, np.minimum(x, end)) + looseness(f, clothes.top) + 0.005 * f.scale
        path = arm_centres(f, x)
        path[:, 1] -= 0.06 * f.scale * np.array([0.98, 1.0, 1.0])
        upright, deep = radius + 0.085 * f.scale, radius + 0.022 * f.scale * t
        color = clothes.accent
    else:
        x = end + np.array([-0.012, 0.004, 0.022]) * f.scale
        upright = deep = arm_radius(f, np.minimum(x, f.wrist_x)) + np.array([0.010, 0.007, 0.005]) * f.scale
        if kind in ("short", "puff"):
            return  # they have edition 1's cuffs
        path = arm_centres(f, x)
        color = scaled(clothes.top_color, 0.84)
    trim = _trim(mesh, "ribbed cuffs", color)
    cuff = grid(hemmed(tube(path, upright, deep, 14, side=(0, 1, 0))))
    mesh.add_pair(cuff, arm_weights(f, cuff.vertices[:, 0]), trim)


def _add_streak(mesh: Tailor, head: Head, color: RGB) -> None:
    """One lock of another colour, over the bangs on the character's right."""
    t = np.linspace(0, 1, 9)
    path = head.at(-22 - 22 * t, 0.92 - 0.95 * t**0.95, 1.13 + 0.05 * np.sin(np.pi * t))
    profile = np.interp(t, [0, 0.15, 0.55, 0.85, 1], [0.5, 0.9, 1, 0.6, 0.02])
    side = np.cross((path - head.centre) * (1.0, 0.25, 1.0), np.gradient(path, axis=0))
    width = 0.13 * head.width
    lock = grid(tube(path, width * profile, 0.35 * width * profile, 8, side=side), cap_last=True)
    mesh.add(lock, "head", mesh.material("hair streak", color, double_sided=True))
