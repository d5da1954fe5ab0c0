"""What is worn on the head, and the tail."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.data.render.characters.head import Head
from bench.data.render.characters.mesh import MeshBuilder, ellipsoid, grid, hoop, tube
from bench.data.render.characters.neckwear import add_bow
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.traits import Traits

INNER_EAR = (250, 190, 190)
HORN = (90, 60, 70)
HALO = (255, 220, 110)
PISTIL = (250, 220, 90)


def add_accessories(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    """Headwear and tail, where the character has them."""
    if traits.headwear in HEADWEAR:
        HEADWEAR[traits.headwear](mesh, f, head, traits)
    if traits.tail:
        _add_tail(mesh, f, traits)


def _accent(mesh: MeshBuilder, traits: Traits) -> int:
    return mesh.material("headwear", traits.clothes.accent, double_sided=True)


def _ribbon(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    centre = head.at(150, 0.78, 1.08) + (0, 0.02 * f.scale, 0)
    add_bow(mesh, centre, 0.37 * f.head, _accent(mesh, traits), "head")


def _cat_ears(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    t = np.linspace(0, 1, 6)
    fur = mesh.material("cat ears", traits.hair.color, double_sided=True)
    inside = mesh.material("inner ears", INNER_EAR, double_sided=True, outline=0.0)
    path = head.at(48, 0.80, 1.0) + np.outer(t, (0.10 * f.head, 0.30 * f.head, 0.0))
    for material, size, forward in ((fur, 1.0, 0.0), (inside, 0.62, 0.024 * f.scale)):
        width = 0.15 * f.head * size * (1 - t) ** 0.8 + 0.001
        depth = 0.05 * f.head * (1 - t) + 0.001
        ear = grid(tube(path + (0, 0, forward), width, depth, 10, side=(1, 0, 0)), cap_last=True)
        for part in (ear, ear.mirrored()):
            mesh.add(part, "head", material)


def _beret(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    centre = head.centre + (0.03 * f.scale, 0.47 * f.head, -0.02 * f.scale)
    radii = (1.25 * head.width, 0.17 * f.head, 1.2 * head.depth)
    mesh.add(ellipsoid(centre, radii, 14), "head", _accent(mesh, traits))


def _witch_hat(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    t = np.linspace(0, 1, 14)
    path = head.centre + f.head * np.stack([0.1 * t * t, 0.36 + 0.95 * t, -0.25 * t * t], axis=1)
    radius = np.interp(t, [0, 0.07, 0.1, 1], [1.75, 1.70, 1.04, 0.04]) * head.width
    hat = grid(tube(path, radius, radius, 20, side=(1, 0, 0)), cap_last=True)
    mesh.add(hat, "head", _accent(mesh, traits))


def _headband(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    angle = np.linspace(0, np.pi, 22)
    outward = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    path = head.centre + outward * (1.13 * head.width, 0.565 * f.head, 0) - (0, 0, 0.02 * f.scale)
    band = grid(hoop(path, outward, (0, 0, 1), (0.0065 * f.scale, 0.013 * f.scale)))
    mesh.add(band, "head", _accent(mesh, traits))


def _headphones(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    _headband(mesh, f, head, traits)
    centre = head.centre + (1.12 * head.width, -0.02 * f.head, 0)
    cup = ellipsoid(centre, (0.16 * head.width, 0.17 * f.head, 0.32 * head.depth), 10)
    material = _accent(mesh, traits)
    for part in (cup, cup.mirrored()):
        mesh.add(part, "head", material)


def _halo(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    angle = np.linspace(0, 2 * np.pi, 24)
    outward = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1)
    path = head.centre + outward * 0.8 * head.width + (0, 0.72 * f.head, 0)
    ring = grid(hoop(path, outward, (0, 1, 0), (0.012 * f.scale, 0.012 * f.scale)))
    mesh.add(ring, "head", mesh.material("halo", HALO, shade=(1.0, 0.95, 0.8), double_sided=True))


def _horns(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    t = np.linspace(0, 1, 8)
    rise = f.head * np.stack([0.25 * t, 0.30 * t**1.3, -0.1 * t], axis=1)
    radius = f.head * (0.07 + (0.004 - 0.07) * t)
    horn = grid(tube(head.at(45, 0.75, 1.02) + rise, radius, radius, 10), cap_last=True)
    material = mesh.material("horns", HORN)
    for part in (horn, horn.mirrored()):
        mesh.add(part, "head", material)


def _flower(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    centre = head.at(62, 0.55, 1.15)
    petal = _accent(mesh, traits)
    for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
        offset = 0.042 * f.scale * np.array([0.5 * np.cos(angle), np.sin(angle), -0.8 * np.cos(angle)])
        radii = (0.026 * f.scale, 0.026 * f.scale, 0.020 * f.scale)
        mesh.add(ellipsoid(centre + offset, radii, 7), "head", petal)
    heart = ellipsoid(centre + (0.018, 0, 0.018), (0.018 * f.scale,) * 3, 7)
    mesh.add(heart, "head", mesh.material("pistil", PISTIL))


HEADWEAR: dict[str, Callable[[MeshBuilder, Figure, Head, Traits], None]] = {
    "ribbon": _ribbon,
    "cat ears": _cat_ears,
    "beret": _beret,
    "witch hat": _witch_hat,
    "headband": _headband,
    "headphones": _headphones,
    "halo": _halo,
    "horns": _horns,
    "flower": _flower,
}


def _add_tail(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    t = np.linspace(0, 1, 14)
    path = np.stack(
        [
            0.12 * np.sin(3 * t) * f.scale,
            f.hips - 0.02 + 0.22 * f.scale * np.sin(2.6 * t),
            -(0.07 + 0.22 * t) * f.scale,
        ],
        axis=1,
    )
    radius = np.interp(t, [0, 0.8, 1], [0.018, 0.022, 0.004]) * f.scale
    rings = tube(path, radius, radius, 10, side=(1, 0, 0))
    surface = grid(rings, cap_last=True)
    loose = np.concatenate([np.repeat(np.interp(t, [0, 0.3], [0, 1]), 11), [1.0]])
    material = mesh.material("tail", traits.hair.color, shade=(0.72, 0.66, 0.78))
    mesh.add(surface, [("hips", 1 - loose), ("tail", loose)], material)
