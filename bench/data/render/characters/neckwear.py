"""What is worn at the neck and over the shoulders: ribbon, tie, scarf, hood, choker, sailor collar, cape."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.data.render.characters.body import torso_front, torso_rings, torso_weights
from bench.data.render.characters.mesh import MeshBuilder, ellipsoid, grid, hoop, smoothstep, tube, turn
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import sailor_collar_cloth
from bench.data.render.characters.tops import hemmed, looseness
from bench.data.render.characters.traits import Traits


def add_neckwear(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    """Everything between neck and shoulders."""
    clothes = traits.clothes
    accent = mesh.material("neckwear", clothes.accent, double_sided=True)
    loose = looseness(f, clothes.top)
    if clothes.top == "sailor":
        _add_sailor_collar(mesh, f, traits)
    if clothes.cape:
        _add_cape(mesh, f, accent)
    if clothes.neckwear == "ribbon":
        y = f.neck_base - 0.048 * f.height
        front = float(torso_front(f, np.array([y]), loose)[0]) + (0.022 if clothes.top == "sailor" else 0.016)
        add_bow(mesh, (0, y, front), 0.065 * f.scale, accent, "chest")
    elif clothes.neckwear == "tie":
        _add_tie(mesh, f, loose, accent)
    elif clothes.neckwear == "scarf":
        _add_neck_ring(mesh, f, (0.058, 0.026), (f.neck_base + 0.004, 0.0), "chest", accent)
        _add_scarf_end(mesh, f, loose, accent)
    elif clothes.neckwear == "hood":
        hood = mesh.material("hood", clothes.top_color, double_sided=True)
        _add_neck_ring(mesh, f, (0.082, 0.030), (f.neck_base - 0.006 * f.height, -0.016), "chest", hood)
        centre = (0, f.neck_base - 0.025 * f.height, -0.085 * f.scale)
        mesh.add(ellipsoid(centre, np.multiply((0.085, 0.060, 0.045), f.scale), 12), "chest", hood)
    elif clothes.neckwear == "choker":
        ring = (0.037 * f.thick / f.scale, 0.006)
        _add_neck_ring(mesh, f, ring, (f.neck_base + 0.45 * f.neck, -0.004), "neck", accent)


def add_bow(mesh: MeshBuilder, centre: ArrayLike, size: float, material: int, bone: str) -> None:
    """A bow tied at `centre`, each loop `size` metres long."""
    t = np.linspace(0, 1, 6)
    loop = np.stack([size * t, 0.06 * size * np.sin(3 * t), -0.1 * size * t], axis=1)
    tall = size * np.interp(t, [0, 0.25, 0.8, 1], [0.10, 0.24, 0.52, 0.40])
    deep = size * np.interp(t, [0, 0.6, 1], [0.10, 0.20, 0.08])
    left = grid(tube(loop, tall, deep, 8, side=(0, 1, 0)), cap_last=True)
    for part in (left, left.mirrored()):
        mesh.add(part.moved(centre), bone, material)
    mesh.add(ellipsoid(centre, (0.19 * size, 0.21 * size, 0.26 * size), 7), bone, material)


def _add_tie(mesh: MeshBuilder, f: Figure, loose: float, material: int) -> None:
    t = np.linspace(0, 1, 8)
    y = f.neck_base - (0.03 + 0.13 * t) * f.height
    path = np.stack([0 * t, y, torso_front(f, y, loose) + 0.008 * f.scale], axis=1)
    width = np.interp(t, [0, 0.1, 0.8, 1], [0.020, 0.012, 0.026, 0.002]) * f.scale
    tie = grid(tube(path, width, 0.006 * f.scale, 8, side=(1, 0, 0)), cap_first=True)
    mesh.add(tie, torso_weights(f, tie.vertices[:, 1]), material)


def _add_neck_ring(
    mesh: MeshBuilder,
    f: Figure,
    radii: tuple[float, float],
    place: tuple[float, float],
    bone: str,
    material: int,
) -> None:
    """A ring with (ring, section) radii at 1.6 m, at height `place[0]`, moved to the back by `−place[1]`."""
    ring, section = radii
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    path = np.stack(
        [
            np.cos(angle) * ring * f.scale,
            np.full_like(angle, place[0]),
            np.sin(angle) * 0.9 * ring * f.scale + place[1] * f.scale,
        ],
        axis=1,
    )
    outward = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
    points = hoop(path, outward, (0, 1, 0), (section * f.scale, section * f.scale))
    mesh.add(grid(np.concatenate([points, points[:1]])), bone, material)


def _add_scarf_end(mesh: MeshBuilder, f: Figure, loose: float, material: int) -> None:
    t = np.linspace(0, 1, 8)
    y = f.neck_base - 0.16 * t * f.height
    front = float(torso_front(f, np.array([f.neck_base - 0.055 * f.height]), loose)[0])
    x = 0.03 * f.scale + 0.02 * t
    z = front + (0.020 + 0.020 * np.sin(4 * t)) * f.scale
    end = grid(tube(np.stack([x, y, z], axis=1), 0.026 * f.scale, 0.010 * f.scale, 8, side=(1, 0, 0)), cap_last=True)
    mesh.add(end, torso_weights(f, end.vertices[:, 1]), material)


def _add_sailor_collar(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    """A collar open in front, with a flap on the back; it lies on the blouse and over the shoulders."""
    columns = 40
    index = np.arange(columns)
    angle = turn(columns)
    down = np.linspace(0, 1, 6)[:, None]
    drop = down * (0.040 + 0.035 * np.maximum(0, -np.sin(angle)))
    y = f.neck_base + (0.008 - drop) * f.height
    reach = (0.044 + 0.088 * down) * f.thick
    over_shoulders = np.stack([-1.05 * reach * np.cos(angle), y, 0.72 * reach * np.sin(angle)], axis=-1)
    inflate = looseness(f, traits.clothes.top) + 0.007 * f.scale
    on_blouse = torso_rings(f, y.ravel(), inflate, columns).reshape(6, columns, columns, 3)[:, index, index]
    inside = np.hypot(over_shoulders[..., 0], over_shoulders[..., 2]) < np.hypot(on_blouse[..., 0], on_blouse[..., 2])
    points = np.where(inside[..., None], on_blouse, over_shoulders)
    opening = columns // 2  # the column in front; its neighbours are left out
    points = np.roll(points, -(opening + 2), axis=1)[:, : columns - 3]
    material = mesh.material("sailor collar", texture=sailor_collar_cloth(traits), double_sided=True)
    mesh.add(grid(hemmed(points), closed=False), "chest", material)


def _add_cape(mesh: MeshBuilder, f: Figure, material: int) -> None:
    """A cape from the shoulders to below the knees, open in front."""
    angle = np.linspace(-0.62 * np.pi, 0.62 * np.pi, 24)  # 0 at the back
    down = np.linspace(0, 1, 12)[:, None]
    radius = (0.07 + (0.26 - 0.07) * down**0.8) * f.scale
    points = np.empty((12, 24, 3))
    points[..., 0] = radius * np.sin(angle)
    points[..., 1] = f.neck_base - down * (f.neck_base - 0.35 * f.crotch)
    points[..., 2] = -radius * np.cos(angle) * 0.7 - 0.03 * f.scale
    cape = grid(points[:, ::-1], closed=False)
    hips = smoothstep(-cape.vertices[:, 1], -f.neck_base, -f.crotch)
    mesh.add(cape, [("chest", 1 - hips), ("hips", hips)], material)
