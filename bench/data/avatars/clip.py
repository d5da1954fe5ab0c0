"""A motion clip: a skeleton of some rig that moves, of which certain joints are known as human bones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.data.render.model import F64

NEEDED = (
    "hips",
    "head",
    *(s + b for s in ("left", "right") for b in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")),
)
"""Bones that every clip must move."""


@dataclass(frozen=True)
class Clip:
    """A motion as its file has it: any rig, any unit of length, any up axis."""

    seconds: float
    human: Mapping[str, int]  # VRM bone name -> joint
    sample: Callable[[F64], tuple[F64, F64]]
    """Times [T] in seconds -> world rotations [T, n, 3, 3] and world places [T, n, 3] of the joints."""
    rest_rotations: F64 | None = None  # [n, 3, 3] of a T-pose that faces +Z with Y up; None: rest is any pose
