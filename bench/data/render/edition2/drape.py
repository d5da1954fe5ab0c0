"""Cloth that gives way to legs: after posing, vertices of skirts and coats are pushed out of thighs and shins.

Each vertex moves along its own outward direction, so that cloth lies in front of a leg that comes forward and never
folds round it; what one vertex moves, its neighbours follow in part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.data.render.characters.body import leg_radius
from bench.data.render.characters.bottoms import SKIRTS
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.traits import Traits
from bench.data.render.model import F32, F64, Model

SKIRT_GAP, COAT_GAP, TROUSERS = 0.012, 0.020, 0.024  # metres at 1.6 m that cloth keeps from the skin
FARTHEST = 0.22  # metres at 1.6 m that a vertex moves at most
FOLLOWING = 0.82  # of the mean of its neighbours' way that a vertex goes at least
PASSES = 5
LEGS = tuple(
    (side + start, side + end)
    for side in ("left", "right")
    for start, end in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
)


@dataclass(frozen=True)
class Drape:
    """The hanging cloth of a character: each place once, though a grid's seam has two vertices there."""

    vertex: NDArray[np.int64]  # [n] a vertex of each place
    place: NDArray[np.int64]  # [m] the place of each of `members`
    members: NDArray[np.int64]  # [m] all vertices of the cloth
    outward: F32  # [n, 3] unit, horizontal, at rest
    gap: F32  # [n] metres
    loose: F32  # [n] 0 where the cloth is fixed, 1 where it hangs
    first: NDArray[np.int64]  # [n + 1] where each place's neighbours begin
    neighbours: NDArray[np.int64]
    bones: NDArray[np.int64]  # [4, 2] upper and lower end of each part of the legs
    radii: F64  # [4, 2] metres at both ends
    farthest: float


def drape_of(model: Model, f: Figure, traits: Traits) -> Drape | None:
    """The cloth that hangs over the legs, or None where nothing does."""
    clothes = traits.clothes
    gaps: dict[str, float] = {}
    if clothes.bottom in SKIRTS:
        gaps |= dict.fromkeys(("bottom", "frill"), SKIRT_GAP)
    if clothes.top == "coat":
        gaps["top"] = COAT_GAP + (0.0 if clothes.bottom in SKIRTS else TROUSERS)
    names = [material.name for material in model.materials]
    of_face = np.array([gaps.get(name, -1.0) for name in names])[model.face_material]
    faces = model.faces[of_face >= 0].astype(np.int64)
    if not len(faces):
        return None
    gap_of = np.zeros(len(model.positions))
    gap_of[faces] = of_face[of_face >= 0][:, None]
    members = np.unique(faces)
    keys = np.round(model.positions[members].astype(np.float64) * 2e4).astype(np.int64)
    _, chosen, place = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    place = place.reshape(-1)
    vertex = members[chosen]
    numbered = np.zeros(len(model.positions), np.int64)
    numbered[members] = place
    first, neighbours = _neighbours(numbered[faces], len(vertex))

    away = model.positions[vertex].astype(np.float64) * (1.0, 0.0, 1.0)
    outward = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    legs = [model.skeleton.human[side + "UpperLeg"] for side in ("left", "right")]
    hanging = (model.weights[vertex] * np.isin(model.palette[model.joints[vertex]], legs)).sum(1)
    human = model.skeleton.human
    ends = leg_radius(f, np.array([0.92, 0.53, 0.14]) * f.crotch)
    return Drape(
        vertex=vertex,
        place=place,
        members=members,
        outward=outward.astype(np.float32),
        gap=(gap_of[vertex] * f.scale).astype(np.float32),
        loose=np.minimum(1.0, 3.5 * hanging).astype(np.float32),
        first=first,
        neighbours=neighbours,
        bones=np.array([[human[start], human[end]] for start, end in LEGS], np.int64),
        radii=np.array([ends[:2], ends[1:]] * 2),
        farthest=FARTHEST * f.scale,
    )


def _neighbours(faces: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which places an edge joins, as (where each place's begin [count + 1], places)."""
    edges = np.concatenate([faces[:, pair] for pair in ((0, 1), (1, 2), (2, 0))])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    return np.searchsorted(edges[:, 0], np.arange(count + 1)), np.ascontiguousarray(edges[:, 1])


def push_out(drape: Drape, model: Model, world: F64, matrices: F32, positions: F32) -> None:
    """Move the cloth among skinned `positions` [V, 3] out of the legs of a pose, in place."""
    ends = np.ascontiguousarray(world[drape.bones, :3, 3])
    way = np.zeros(len(drape.vertex))
    outward = np.zeros((len(drape.vertex), 3))
    _ways(
        *(drape.vertex, drape.outward, drape.gap, drape.loose, ends, drape.radii, drape.farthest),
        *(model.joints, model.weights, matrices, positions, way, outward),
    )
    if way.any():
        _spread(drape.first, drape.neighbours, drape.loose, way)
        _move(drape.members, drape.place, way, outward, positions)


@njit(cache=True, nogil=True)
def _ways(vertex, rest, gap, loose, ends, radii, farthest, joints, weights, matrices, positions, way, outward):  # type: ignore[no-untyped-def]
    """How far each place has to go along its outward direction to leave all legs."""
    for i in range(vertex.shape[0]):
        if loose[i] == 0:
            continue
        v = vertex[i]
        for row in range(3):
            total = 0.0
            for k in range(4):
                weight = weights[v, k]
                if weight != 0:
                    m = matrices[joints[v, k], row]
                    total += weight * (m[0] * rest[i, 0] + m[1] * rest[i, 1] + m[2] * rest[i, 2])
            outward[i, row] = total
        o = outward[i]
        length = np.sqrt(o[0] * o[0] + o[1] * o[1] + o[2] * o[2] + 1e-12)
        for row in range(3):
            o[row] /= length
        for leg in range(ends.shape[0]):
            ax, ay, az = ends[leg, 0, 0], ends[leg, 0, 1], ends[leg, 0, 2]
            ux, uy, uz = ends[leg, 1, 0] - ax, ends[leg, 1, 1] - ay, ends[leg, 1, 2] - az
            bone = np.sqrt(ux * ux + uy * uy + uz * uz)
            ux, uy, uz = ux / bone, uy / bone, uz / bone
            dx, dy, dz = positions[v, 0] - ax, positions[v, 1] - ay, positions[v, 2] - az
            along = dx * ux + dy * uy + dz * uz
            part = along / bone
            if part < -0.1 or part > 1.05:
                continue
            dx, dy, dz = dx - along * ux, dy - along * uy, dz - along * uz
            skew = o[0] * ux + o[1] * uy + o[2] * uz
            ox, oy, oz = o[0] - skew * ux, o[1] - skew * uy, o[2] - skew * uz
            across = np.sqrt(ox * ox + oy * oy + oz * oz)
            if across < 0.3:  # cloth that faces along the leg is not to be pushed past its end
                continue
            ahead = (dx * ox + dy * oy + dz * oz) / across
            beside = dx * dx + dy * dy + dz * dz - ahead * ahead
            near_hip = min(1.0, 0.75 + 2.0 * part) if leg % 2 == 0 else 1.0  # the thigh runs into the hips
            part = min(max(part, 0.0), 1.0)
            radius = (radii[leg, 0] * (1 - part) + radii[leg, 1] * part) * near_hip + gap[i]
            if beside >= radius * radius:
                continue
            needed = (np.sqrt(radius * radius - beside) - ahead) / across
            if needed > way[i] and needed < farthest:
                way[i] = needed
        way[i] *= loose[i]


@njit(cache=True, nogil=True)
def _spread(first, neighbours, loose, way):  # type: ignore[no-untyped-def]
    """Let neighbours follow."""
    before = way.copy()
    for _ in range(PASSES):
        for i in range(way.shape[0]):
            count = first[i + 1] - first[i]
            if count > 0:
                total = 0.0
                for j in range(first[i], first[i + 1]):
                    total += before[neighbours[j]]
                way[i] = max(before[i], FOLLOWING * loose[i] * total / count)
        before[:] = way


@njit(cache=True, nogil=True)
def _move(members, place, way, outward, positions):  # type: ignore[no-untyped-def]
    for j in range(members.shape[0]):
        i = place[j]
        for row in range(3):
            positions[members[j], row] += way[i] * outward[i, row]
