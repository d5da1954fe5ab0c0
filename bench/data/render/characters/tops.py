"""Upper garments: the part round the trunk, sleeves with cuffs, and straps."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.body import (
    BoneWeights,
    arm_centres,
    arm_radius,
    arm_weights,
    skirt_weights,
    torso_rings,
    torso_weights,
)
from bench.data.render.characters.mesh import F64, MeshBuilder, grid, smoothstep, tube
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import DRESS_BODICE, sleeve_cloth, top_cloth
from bench.data.render.characters.traits import Traits

LOOSENESS = {"hoodie": 0.020, "coat": 0.018, "blazer": 0.013, "sweater": 0.014, "kimono": 0.014}
SLEEVE_END = {"short": 0.29, "puff": 0.27, "long": 0.96, "wide": 0.97}  # of the arm


def looseness(f: Figure, top: str) -> float:
    """Distance in metres of the cloth from the body."""
    return LOOSENESS.get(top, 0.008) * f.scale


def hemmed(points: F64) -> F64:
    """The rows of a garment with its last edge turned in: an open hem gets thickness and an outline."""
    centre = points[-1].mean(0)
    turned = centre + (points[-1] - centre) * (0.95, 1.0, 0.95)
    along = points[-1] - points[-2]
    length = np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    return np.concatenate([points, turned[None], (turned - along / length * 0.012)[None]])


def with_hem(v: F64, rows: int) -> F64:
    """Texture heights of a garment whose `rows` rows were `hemmed` (two more), patterns kept in place."""
    return np.minimum(v * (rows + 1) / (rows - 1), 1.0)


def add_top(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    """The top with its sleeves."""
    top = traits.clothes.top
    cloth = mesh.material("top", texture=top_cloth(traits), double_sided=True)
    lowest = {
        "dress": f.hips + 0.02 * f.height,
        "hoodie": f.crotch + 0.010 * f.height,
        "coat": f.crotch * 0.62,
        "camisole": f.spine,
        "sweater": f.crotch + 0.020 * f.height,
        "blazer": f.crotch + 0.015 * f.height,
    }.get(top, f.hips - 0.01 * f.height)
    neckline = f.shoulder - 0.012 * f.height if top == "camisole" else f.neck_base + 0.12 * f.neck
    y = np.linspace(neckline, lowest, 24)
    # The cloth closes on the skin at the neckline; an open edge would show the inside of the garment.
    close = smoothstep(-y, -neckline, -(neckline - 0.03 * f.height))
    points = torso_rings(f, np.maximum(y, f.crotch + 0.02 * f.height), 0.0015 + looseness(f, top) * close)
    points[..., 1] = y[:, None]
    if top == "coat":
        centre = points.mean(1, keepdims=True)
        outward = (points - centre) * (1.0, 0.0, 1.0)
        outward /= np.linalg.norm(outward, axis=2, keepdims=True)
        flare = smoothstep(-y, -(f.hips + 0.04 * f.height), -lowest) * 0.075 * f.scale
        points = points + outward * flare[:, None, None]
    part = grid(hemmed(points))
    part.uv[:, 1] = with_hem(part.uv[:, 1], len(y)) * (DRESS_BODICE if top == "dress" else 1.0)
    mesh.add(part, _top_weights(f, part.vertices, top, lowest), cloth)
    if top == "camisole":
        _add_straps(mesh, f, cloth)
    if traits.clothes.sleeve != "none":
        _add_sleeves(mesh, f, traits)


def _top_weights(f: Figure, vertices: F64, top: str, lowest: float) -> BoneWeights:
    if top != "coat":
        return torso_weights(f, vertices[:, 1])
    # Below the hips a coat hangs as a skirt does. Four bones are the limit, so its spine is left out: the
    # hips and the chest share the waist.
    hips, spine, chest, neck = (weight for _, weight in torso_weights(f, vertices[:, 1]))
    (_, hang), (_, left), (_, right) = skirt_weights(f, vertices, f.hips, lowest)
    return [
        ("hips", hang * (hips + 0.5 * spine)),
        ("chest", 0.5 * spine + chest + neck),
        ("leftUpperLeg", left * hips),
        ("rightUpperLeg", right * hips),
    ]


def _add_straps(mesh: MeshBuilder, f: Figure, cloth: int) -> None:
    """Two narrow bands over the shoulders."""
    t = np.linspace(0, np.pi, 12)
    x = 0.052 * f.thick
    path = np.stack(
        [
            np.full_like(t, x),
            f.shoulder - 0.016 * f.height + 0.034 * f.height * np.sin(t),
            0.056 * f.thick * np.cos(t),
        ],
        axis=1,
    )
    strap = grid(tube(path, 0.008 * f.scale, 0.004 * f.scale, 6, side=(1, 0, 0)))
    mesh.add_pair(strap, "chest", cloth)


def _add_sleeves(mesh: MeshBuilder, f: Figure, traits: Traits) -> None:
    kind, top = traits.clothes.sleeve, traits.clothes.top
    end = f.shoulder_x + SLEEVE_END[kind] * (f.upper_arm + f.lower_arm)
    x = np.linspace(f.shoulder_x * 0.40, end, 20)
    t = np.linspace(0, 1, 20)
    radius = arm_radius(f, x) + looseness(f, top) + 0.003 * f.scale * smoothstep(t, 0.1, 0.3)
    upright, deep = radius.copy(), radius.copy()
    path = arm_centres(f, x)
    if kind == "puff":
        upright = deep = radius + 0.034 * f.scale * np.sin(np.pi * np.clip(1.25 * t - 0.22, 0, 1))
    elif kind == "short":
        upright = deep = radius + 0.014 * f.scale * t
    elif kind == "wide":
        opening = smoothstep(t, 0.45, 1.0)
        upright = radius + 0.085 * f.scale * opening
        deep = radius + 0.020 * f.scale * t
        path[:, 1] -= 0.06 * f.scale * opening
    elif top in ("hoodie", "sweater", "coat"):
        upright = deep = radius + 0.012 * f.scale * np.exp(-(((t - 0.85) / 0.12) ** 2))
    cloth = mesh.material("sleeves", texture=sleeve_cloth(traits), double_sided=True)
    sleeve = grid(hemmed(tube(path, upright, deep, 14, side=(0, 1, 0))))
    mesh.add_pair(sleeve, arm_weights(f, sleeve.vertices[:, 0]), cloth)
    if kind != "wide" and top != "hoodie":
        cuff_x = np.linspace(end - 0.014 * f.scale, end + 0.004 * f.scale, 3)
        cuff_radius = upright[-1] + 0.004 * f.scale
        cuff = grid(hemmed(tube(arm_centres(f, cuff_x), cuff_radius, cuff_radius, 14, side=(0, 1, 0))))
        trim = mesh.material("cuffs", traits.clothes.accent, double_sided=True)
        mesh.add_pair(cuff, arm_weights(f, cuff.vertices[:, 0]), trim)
