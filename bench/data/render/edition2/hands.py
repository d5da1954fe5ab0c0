"""Hands with four fingers and a thumb, in a few shapes that share one topology.

A shape only moves vertices: a renderer swaps the arrays of a hand for those of another shape, and fingers need no
bones, which would make posing slower.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.render.characters.mesh import F64, MeshBuilder, Surface, grid, tube
from bench.data.render.characters.skeleton import Figure
from bench.data.render.model import F32

PALM, FINGER = 0.046, 0.056  # lengths at 1.6 m, metres; drawn hands are small
FINGER_LENGTH = (0.92, 1.0, 0.94, 0.76)  # index to little finger, of FINGER
KNUCKLE_Z = (0.0225, 0.0078, -0.0072, -0.0208)  # metres in front of the palm's middle at 1.6 m
KNUCKLE_BACK = (0.003, 0.0, 0.002, 0.006)  # metres nearer to the wrist
FINGER_RADIUS = 0.0086
PHALANGES = (0.44, 0.30, 0.26)  # of a finger
ROWS, COLUMNS = 9, 7


@dataclass(frozen=True)
class Shape:
    """Angles in degrees: how far each joint of a finger bends to the palm, and how the fingers fan out."""

    curl: tuple[float, float, float, float]  # at each joint of index, middle, ring and little finger
    spread: float  # between neighbours
    thumb_curl: float  # at each joint, towards the palm's side
    thumb_away: float  # from the fingers' direction
    thumb_down: float = 25.0  # below the palm's plane


SHAPES: dict[str, Shape] = {
    "relaxed": Shape((12, 16, 20, 24), 3.0, 12, 42),
    "open": Shape((2, 2, 2, 2), 13.0, 2, 62, 12),
    "fist": Shape((82, 84, 84, 84), 1.0, 40, 52, 48),
    "peace": Shape((3, 3, 82, 84), 15.0, 44, 50, 50),
    "point": Shape((2, 80, 84, 84), 3.0, 40, 50, 48),
}
RELAXED = "relaxed"


@dataclass(frozen=True)
class Hands:
    """Vertices of one shape: rest positions and normals [n, 3] of the left and of the right hand."""

    left: tuple[F32, F32]
    right: tuple[F32, F32]


@dataclass(frozen=True)
class HandSlots:
    """Where the hands are among a model's vertices."""

    left: slice
    right: slice


def add_hands(mesh: MeshBuilder, f: Figure, material: int, start: int) -> HandSlots:
    """Both hands in the relaxed shape; `start` is the number of vertices that the mesh has so far."""
    parts = hand_parts(f, SHAPES[RELAXED])
    count = sum(len(part.vertices) for part in parts)
    for part in parts:
        mesh.add(part, "leftHand", material)
    for part in parts:
        mesh.add(part.mirrored(), "rightHand", material)
    return HandSlots(slice(start, start + count), slice(start + count, start + 2 * count))


def all_hands(f: Figure) -> dict[str, Hands]:
    """The vertices of every shape, in the order of `add_hands`."""
    made = {}
    for name, shape in SHAPES.items():
        parts = hand_parts(f, shape)
        made[name] = Hands(_arrays(parts), _arrays([part.mirrored() for part in parts]))
    return made


def _arrays(parts: list[Surface]) -> tuple[F32, F32]:
    positions = np.concatenate([part.vertices for part in parts]).astype(np.float32)
    return positions, np.concatenate([part.normals() for part in parts]).astype(np.float32)


def hand_parts(f: Figure, shape: Shape) -> list[Surface]:
    """The left hand at rest: palm down, thumb to the front; palm, four fingers, thumb."""
    stout = (f.thick * f.scale) ** 0.5
    wrist = np.array([f.wrist_x, f.shoulder, 0.0])
    parts = [_palm(f, stout)]
    radius = FINGER_RADIUS * np.interp(np.linspace(0, 1, ROWS), [0, 0.3, 0.75, 0.93, 1], [1, 1, 0.9, 0.66, 0.12])
    for finger, curl in enumerate(shape.curl):
        base = (PALM - 0.006 - KNUCKLE_BACK[finger], -0.003, KNUCKLE_Z[finger])
        away = shape.spread * (1.5 - finger)
        bends = np.array([0.75 * curl, curl, 0.8 * curl])
        path = _chain(FINGER * FINGER_LENGTH[finger], PHALANGES, bends, ROWS)
        points = wrist + stout * (base + _fanned(path, away))
        slim = 0.9 if finger == 3 else 1.0
        side = np.array([-np.sin(np.radians(away)), 0.0, np.cos(np.radians(away))])
        parts.append(
            grid(tube(points, stout * slim * radius, stout * slim * radius, COLUMNS, side=side), cap_last=True)
        )
    parts.append(_thumb(wrist, stout, shape))
    return parts


def _palm(f: Figure, stout: float) -> Surface:
    t = np.linspace(0, 1, 8)
    path = np.stack([f.wrist_x + (PALM * 1.04 * t - 0.004) * stout, f.shoulder - 0.002 * t * stout, 0 * t], axis=1)
    breadth = np.interp(t, [0, 0.25, 0.6, 0.9, 1], [0.0215, 0.0245, 0.030, 0.031, 0.027]) * stout
    depth = np.interp(t, [0, 0.3, 0.9, 1], [0.0205, 0.016, 0.0115, 0.008]) * stout
    return grid(tube(path, breadth, depth, 12), cap_first=True, cap_last=True)


def _thumb(wrist: F64, stout: float, shape: Shape) -> Surface:
    """The thumb bends about the palm's normal, back to the fingers, and lies below the palm in a fist."""
    path = _chain(0.050, (0.42, 0.33, 0.25), np.array([0.0, shape.thumb_curl, 1.3 * shape.thumb_curl]), ROWS)
    flat = np.stack([path[:, 0], 0 * path[:, 0], path[:, 1]], axis=1)  # bends to −z
    placed = _fanned(flat, shape.thumb_away)
    placed[:, 1] -= np.hypot(placed[:, 0], placed[:, 2]) * np.sin(np.radians(shape.thumb_down))
    radius = (
        np.interp(np.linspace(0, 1, ROWS), [0, 0.35, 0.75, 0.93, 1], [0.0115, 0.0105, 0.0088, 0.006, 0.001]) * stout
    )
    points = wrist + stout * (np.array([0.006, -0.004, 0.014]) + placed)
    return grid(tube(points, radius, radius, COLUMNS, side=(0, 1, 0)), cap_last=True)


def _chain(length: float, parts: tuple[float, ...], bends: NDArray[np.float64], rows: int) -> F64:
    """A path [rows, 3] along +x whose segments each bend further down (−y), by `bends` degrees at their roots."""
    # joints are rounded: the angle grows over the fifth of the finger around each of them
    fine = np.linspace(0, 1, 61)
    angle = np.zeros_like(fine)
    for root, bend in zip(np.cumsum((0.0, *parts[:-1])), bends, strict=True):
        angle += bend * np.clip((fine - root) / 0.18 + 0.5, 0, 1)
    steps = np.stack([np.cos(np.radians(angle)), -np.sin(np.radians(angle)), 0 * angle], axis=1) * length / 60
    whole = np.concatenate([np.zeros((1, 3)), np.cumsum(steps[1:], axis=0)])
    return np.stack([np.interp(np.linspace(0, 1, rows), fine, whole[:, axis]) for axis in range(3)], axis=1)


def _fanned(path: F64, degrees: float) -> F64:
    """The path turned about the palm's normal, +x towards +z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y, z = path.T
    return np.stack([c * x - s * z, y, s * x + c * z], axis=1)
