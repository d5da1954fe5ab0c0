"""Hair: a shell on the skull, bangs, side locks and the styles at the back, all made of tapered locks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.data.render.characters.body import torso_rings
from bench.data.render.characters.bottoms import skirt_radius
from bench.data.render.characters.head import Head
from bench.data.render.characters.mesh import (
    F64,
    MeshBuilder,
    Surface,
    Weights,
    directions,
    ellipsoid,
    grid,
    smoothstep,
    tube,
)
from bench.data.render.characters.neckwear import add_bow
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import hair_strand
from bench.data.render.characters.tops import looseness
from bench.data.render.characters.traits import Traits
from bench.data.render.random import Draws

HAIR_SHADE = (0.72, 0.66, 0.78)
# Where the hairline runs: azimuth from the front in degrees -> lowest height on the head that bears hair.
HAIRLINE = ((0, 40, 62, 80, 100, 140, 180), (0.62, 0.52, 0.30, -0.05, -0.45, -0.75, -0.80))
# Bangs: (number of locks, how far above the eyes they end)
BANGS = {
    "straight": (9, 0.36),
    "swept": (7, 0.25),
    "parted": (8, 0.30),
    "spiky": (7, 0.22),
    "curtain": (6, 0.10),
}
# Fall below the skull in heads; "long" has its own.
FALL = {
    "short": 0.12,
    "bob": 0.30,
    "medium": 0.8,
    "twintails": 0.08,
    "ponytail": 0.08,
    "buns": 0.08,
    "braids": 0.10,
    "side tail": 0.10,
}


@dataclass(frozen=True)
class Hairdresser:
    """What every lock needs: where it grows, its materials and the random generator of its style."""

    mesh: MeshBuilder
    figure: Figure
    head: Head
    traits: Traits
    strand: int  # material along a lock
    plain: int  # material of buns and braids
    band: int  # material of hair bands

    def lock(
        self,
        path: F64,
        width: float,
        flatness: float = 0.38,
        *,
        blunt: bool = False,
        weights: tuple[str, F64] | None = None,
        side: ArrayLike | None = None,
    ) -> None:
        """A lock along `path`, `width` metres across its half; `weights`: a bone and its weight per row."""
        t = np.linspace(0, 1, len(path))
        if blunt:
            profile = np.interp(t, [0, 0.15, 0.55, 0.85, 1], [0.55, 0.85, 1, 0.95, 0.90])
        else:
            profile = np.interp(t, [0, 0.15, 0.55, 0.85, 1], [0.60, 0.90, 1, 0.55, 0.02])
        if side is None:
            outward = (path - self.head.centre) * (1.0, 0.25, 1.0)
            side = np.cross(outward, np.gradient(path, axis=0))
        rings = tube(path, width * profile, width * flatness * profile, 8, side=side)
        surface = grid(rings, cap_last=True)
        self.mesh.add(surface, _row_weights(surface, rings, weights), self.strand)


def _row_weights(surface: Surface, rings: F64, weights: tuple[str, F64] | None) -> Weights:
    """Weights per vertex of a capped grid from weights per row: the rest follows the head."""
    if weights is None:
        return "head"
    bone, per_row = weights
    per_vertex = np.concatenate([np.repeat(per_row, rings.shape[1] + 1), per_row[-1:]])
    return [("head", 1 - per_vertex), (bone, per_vertex)]


def add_hair(mesh: MeshBuilder, f: Figure, head: Head, traits: Traits) -> None:
    """All the hair of a character."""
    hair = traits.hair
    dresser = Hairdresser(
        mesh,
        f,
        head,
        traits,
        strand=mesh.material(
            "hair", texture=hair_strand(hair), shade=HAIR_SHADE, double_sided=True, toony=0.9, shift=0.05
        ),
        plain=mesh.material("plain hair", hair.color, shade=HAIR_SHADE, double_sided=True),
        band=mesh.material("hair band", traits.clothes.accent),
    )
    _add_shell(dresser)
    _add_bangs(dresser)
    if hair.side_locks > 0:
        _add_side_locks(dresser)
    if hair.ahoge:
        _add_ahoge(dresser)
    if hair.back == "spiky":
        _add_spikes(dresser)
    else:
        _add_back(dresser)
    if hair.back in ("twintails", "ponytail", "side tail"):
        _add_tails(dresser)
    elif hair.back in ("buns", "braids"):
        _add_buns_or_braids(dresser)


def _add_shell(d: Hairdresser) -> None:
    around = directions(22, 40, last=0.8 * np.pi)
    shell = grid(d.head.surface(around, 1.075))
    shell.uv[:, 1] *= 0.8
    along = np.concatenate([around, around[:, :1]], axis=1).reshape(-1, 3)
    azimuth = np.degrees(np.arctan2(np.abs(along[:, 0]), along[:, 2]))
    bears_hair = along[:, 1] > np.interp(azimuth, *HAIRLINE)
    d.mesh.add(Surface(shell.vertices, shell.faces[bears_hair[shell.faces].all(1)], shell.uv), "head", d.strand)


def _add_bangs(d: Hairdresser) -> None:
    style = d.traits.hair.bangs
    draws = Draws(d.traits.seed, "hair", "bang locks")
    count, above_eyes = BANGS[style]
    t = np.linspace(0, 1, 8)
    for i, azimuth in enumerate(np.linspace(-62, 62, count)):
        jitter = draws.uniform(-1, 1)
        side = np.sign(azimuth) if abs(azimuth) > 3 else 1.0
        end = (
            azimuth
            + {
                "straight": 0.0,
                "swept": 26.0,
                "parted": side * 16 * (1 - abs(azimuth) / 70),
                "spiky": 10 * jitter,
                "curtain": side * 22,
            }[style]
        )
        tip = d.traits.face.eye_y + above_eyes + 0.05 * jitter
        tip -= 0.28 * (azimuth / 62) ** 2 * (0.25 if style == "straight" else 1.0)
        y = 0.93 + (max(tip, -0.5) - 0.93) * t**0.9
        along = 0.8 * azimuth + (end - 0.8 * azimuth) * t**1.2
        # Neighbours lie at two depths: at one they would flicker through each other.
        path = d.head.at(along, y, 1.08 + 0.05 * np.sin(np.pi * t) + 0.012 * (i % 2))
        width = d.head.width * (0.21 if style == "straight" else 0.25) * (1 + 0.15 * jitter)
        d.lock(path, width, 0.30, blunt=style == "straight")


def _add_side_locks(d: Hairdresser) -> None:
    t = np.linspace(0, 1, 8)
    fall = d.figure.head * d.traits.hair.side_locks
    for side in (1.0, -1.0):
        on_skull = d.head.at(side * np.interp(t, [0, 0.5, 1], [50, 70, 66]), np.linspace(0.75, -0.55, 8), 1.10)
        hanging = on_skull[-1] + np.stack([side * 0.01 * t, -fall * t, 0.01 * t], axis=1)
        d.lock(np.concatenate([on_skull, hanging[1:]]), d.head.width * 0.20, 0.45)


def _add_ahoge(d: Hairdresser) -> None:
    t, h = np.linspace(0, 1, 9), d.figure.head
    rise = np.stack([0.12 * np.sin(3 * t), 0.52 + 0.28 * np.sin(2.2 * t), 0.05 + 0.22 * t * t], axis=1)
    d.lock(d.head.centre + h * rise, d.head.width * 0.06, 0.6, side=(1, 0, 0))


def _add_spikes(d: Hairdresser) -> None:
    draws = Draws(d.traits.seed, "hair", "spikes")
    for i in range(26):
        at_back = i < 16
        azimuth = draws.uniform(75, 285) if at_back else draws.uniform(-180, 180)
        y = draws.uniform(-0.5, 0.6) if at_back else draws.uniform(0.35, 0.95)
        root = d.head.at(azimuth, y, 1.02)
        outward = (root - d.head.centre) / np.linalg.norm(root - d.head.centre)
        way = 0.75 * outward + (0.0, 0.15 if y > 0.5 else -0.35, -0.25)
        length = d.figure.head * draws.uniform(0.7, 1.1)
        d.lock(root + np.linspace(-0.12, 0.42, 6)[:, None] * way * length, d.head.width * 0.26, 0.6)


def _add_back(d: Hairdresser) -> None:
    """Two layers of locks that run down the back of the skull and fall from its edge."""
    hair, h = d.traits.hair, d.figure.head
    draws = Draws(d.traits.seed, "hair", "back locks")
    fall = h * (hair.length if hair.back == "long" else FALL[hair.back])
    spread = {"bob": -0.05, "long": 0.05}.get(hair.back, 0.0) * h
    t = np.linspace(0, 1, 12)[1:]
    for layer in range(2):
        for azimuth in np.linspace(78, 282, 15 - 2 * layer):
            jitter, cut = draws.uniform(-1, 1), draws.uniform(0, 1)
            on_skull = d.head.at(azimuth, np.linspace(0.8, -0.62, 9), 1.10 - 0.03 * layer)
            side_share = abs(azimuth - 180) / 100 if hair.back in ("long", "medium") else 0.0
            length = fall * (1 - 0.18 * side_share) * (1 + 0.12 * jitter)
            outward = np.array([np.sin(np.radians(azimuth)), 0.0, np.cos(np.radians(azimuth))])
            hanging = on_skull[-1] + np.outer(t, outward * spread - (0, length, 0))
            hanging += np.outer(np.sin(7 * t + jitter) * hair.wave * 0.035 * h, (1, 0, 0.5))
            if length > 0.5 * h:
                hanging[:, 2] -= 0.04 * h * np.sin(np.pi * t)
            if length > 0.4 * h:
                behind = _behind_clothes(d, hanging[:, 1]) + 0.02 * d.figure.scale * layer
                hanging[:, 2] = np.minimum(hanging[:, 2], behind + 0.35 * np.abs(hanging[:, 0]))
            swings = np.concatenate([np.zeros(9), 0.95 * smoothstep(t * length, 0.05 * h, 0.7 * h)])
            blunt = hair.back in ("bob", "medium", "long") and cut < 0.6
            path = np.concatenate([on_skull, hanging])
            d.lock(path, d.head.width * 0.27, 0.35, blunt=blunt, weights=("hairBack", swings))


def _behind_clothes(d: Hairdresser, y: F64) -> F64:
    """z behind which hair at heights `y` lies outside the clothes."""
    f, clothes = d.figure, d.traits.clothes
    trunk = torso_rings(f, np.clip(y, f.crotch, f.neck_base), looseness(f, clothes.top))[:, :, 2].min(1)
    stands_out = skirt_radius(f, d.traits, y)
    if clothes.top == "coat":
        stands_out = np.maximum(stands_out, 0.075 * f.scale * smoothstep(-y, -f.hips, -0.62 * f.crotch))
    return np.asarray(trunk - 0.028 * f.scale - stands_out)


def _add_tails(d: Hairdresser) -> None:
    """Twintails, ponytail or side tail with their bands."""
    hair, h, f = d.traits.hair, d.figure.head, d.figure
    length, width = hair.tail_length * h, hair.tail_width * d.head.width
    if hair.back == "twintails":
        for side, bone in ((1.0, "hairL"), (-1.0, "hairR")):
            root = d.head.at(side * 105, hair.tail_height, 1.06)
            _add_tail(d, root, (0.9 * side, 0.25, -0.15), length, width, bone)
            band = root + (0.03 * f.scale * side, 0.005, 0)
            d.mesh.add(ellipsoid(band, (0.06 * h,) * 3, 8), "head", d.band)
    elif hair.back == "ponytail":
        root = d.head.at(180, 0.25 + 0.7 * hair.tail_height, 1.05)
        _add_tail(d, root, (0, 0.35, -0.9), length, 1.05 * width, "hairBack")
        d.mesh.add(ellipsoid(root, (0.075 * h,) * 3, 8), "head", d.band)
    else:
        root = d.head.at(100, 0.35, 1.05)
        _add_tail(d, root, (0.8, 0.2, 0.1), 0.8 * length, width, "hairL")
        add_bow(d.mesh, root + (0.02, 0, 0.01), 0.06 * f.scale, d.band, "head")


def _add_tail(
    d: Hairdresser, root: F64, way: tuple[float, float, float], length: float, width: float, bone: str
) -> None:
    """A tied tail that leaves the head along `way` and then hangs."""
    hair, h = d.traits.hair, d.figure.head
    t = np.linspace(0, 1, 18)
    path = root + np.outer(np.sin(np.clip(1.6 * t, 0, 1) * np.pi / 2) * 0.32 * h, way)
    path = path + np.outer(t**1.25, (0, -length, 0))
    sway = 1.0 if way[0] >= 0 else -1.0
    path = path + np.outer(np.sin(9 * t) * (0.02 + 0.04 * hair.wave) * h, (0.4 * sway, 0, 1))
    profile = np.interp(t, [0, 0.1, 0.4, 0.8, 1], [0.35, 0.75, 1, 0.7, 0.03])
    if hair.drill:
        profile = profile * (1 + 0.18 * np.sin(42 * t))
    rings = tube(path, width * profile, 0.85 * width * profile, 12, side=(0, 0, 1))
    surface = grid(rings, cap_last=True)
    swings = np.interp(t, [0, 0.12, 0.5, 1], [0, 0.1, 0.85, 1])
    d.mesh.add(surface, _row_weights(surface, rings, (bone, swings)), d.strand)


def _add_buns_or_braids(d: Hairdresser) -> None:
    h, f = d.figure.head, d.figure
    for side, bone in ((1.0, "hairL"), (-1.0, "hairR")):
        if d.traits.hair.back == "buns":
            bun = ellipsoid(d.head.at(112 * side, 0.62, 1.16), (0.17 * h,) * 3, 12)
            d.mesh.add(bun, "head", d.plain)
            continue
        root = d.head.at(115 * side, -0.35, 1.0)
        for i in range(9):
            knot = root + (0.02 * f.scale * side, -0.0975 * h * i, 0.02 * f.scale)
            thin = 0.075 * (1 - 0.03 * i)
            radii = (thin * h, 0.07 * h, thin * h)
            d.mesh.add(ellipsoid(knot, radii, 8), "head" if i < 2 else bone, d.band if i == 8 else d.plain)
