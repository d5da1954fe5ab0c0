"""A dance made up from a seed: key poses on the beat, smooth moves between them."""

from __future__ import annotations

import math

import numpy as np

from bench.data.render.model import F64
from bench.data.render.pose import Pose, direction, unit
from bench.data.render.random import Draws

Move = tuple[tuple[float, float], tuple[float, float]]
"""(azimuth, elevation) in degrees of the upper and of the lower limb, on the left side; the right mirrors."""

ARM_MOVES: dict[str, Move] = {
    "down": ((75, -72), (60, -60)),
    "side": ((85, 2), (85, 5)),
    "up": ((75, 66), (55, 84)),
    "up and out": ((80, 42), (75, 60)),
    "wave": ((85, -5), (60, 80)),
    "hand on hip": ((100, -50), (-35, -25)),
    "heart": ((40, 5), (-60, 12)),
    "front": ((15, 0), (5, 5)),
    "crossed": ((25, -20), (-70, -5)),
    "hand on head": ((95, 45), (-60, 60)),
    "flex": ((85, 8), (80, 88)),
    "low": ((40, -50), (20, -20)),
    "back": ((150, -45), (160, -40)),
    "point": ((60, 28), (55, 35)),
    "peace": ((60, -25), (20, 70)),
}
STAND: Move = ((10, -87), (10, -89))
WIDE: Move = ((60, -66), (75, -80))
BEND: Move = ((20, -58), (175, -72))
STEP: Move = ((8, -64), (170, -76))
STEP_BACK: Move = ((178, -68), (180, -58))
ONE_LEG_MOVES: dict[str, Move] = {
    "wide": WIDE,
    "knee up": ((5, -5), (10, -86)),
    "kick": ((4, -28), (4, -34)),
    "side kick": ((80, -38), (80, -44)),
    "bend": BEND,
    "step": STEP,
    "step back": STEP_BACK,
    "crossed": ((-30, -80), (-20, -86)),
    "flick": ((20, -80), (178, -12)),
}
TURNS = (45.0, 90.0, 180.0, 360.0)  # degrees
TURN_WEIGHTS = (0.45, 0.30, 0.15, 0.10)
MOVE_PART = 0.8  # of a beat is movement, the rest holds the key pose
SWING_TO_FRONT = 0.15  # beside unit vectors
BOUNCE = 0.012  # metres, up and down on every beat
JUMP = (0.08, 0.20)  # metres


def smoothstep(x: float) -> float:
    """0 below 0, 1 above 1, smooth between."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


class Dance:
    """A dance of at least `seconds`; any time outside it shows its first or last key pose."""

    def __init__(self, seed: int, seconds: float) -> None:
        draws = Draws(seed, "dance", "tempo")
        self.beat = 60 / draws.uniform(90, 150) * draws.choice((1, 2), p=(0.4, 0.6))  # seconds a key pose
        self._keys: list[Pose] = []
        self._jumps: list[float] = []  # height of the jump that leads to each key pose
        yaw = 0.0
        for i in range(max(math.ceil(seconds / self.beat), 1) + 1):
            draws = Draws(seed, "dance", "key", i)
            yaw = _turned(draws, yaw)
            self._keys.append(_key_pose(draws, yaw))
            self._jumps.append(draws.uniform(*JUMP) if draws.chance(0.12) else 0.0)

    def pose(self, time: float) -> Pose:
        """The pose at a time in seconds."""
        last = len(self._keys) - 1
        beats = min(max(time / self.beat, 0.0), float(last))
        i = min(int(beats), last - 1)
        part = min((beats - i) / MOVE_PART, 1.0)
        a, b, amount = self._keys[i], self._keys[i + 1], smoothstep(part)

        def between(start: tuple[float, float, float], end: tuple[float, float, float]) -> F64:
            return (1 - amount) * np.array(start) + amount * np.array(end)

        hips, chest, head, offset = (
            between(getattr(a, name), getattr(b, name)) for name in ("hips", "chest", "head", "offset")
        )
        offset[1] += BOUNCE * abs(math.sin(math.pi * beats)) + self._jumps[i + 1] * 4 * part * (1 - part)
        limbs = {name: _swing(a.limbs[name], b.limbs[name], amount) for name in a.limbs}
        return Pose(limbs, *(_triple(v) for v in (hips, chest, head, offset)))


def _triple(vector: F64) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z


def _swing(start: F64, end: F64, amount: float) -> F64:
    """The direction part of the way from one to another, at an even speed."""
    # half way is drawn to the front: opposite directions have no shortest way, and limbs pass before the body
    half_way = unit(start + end + (0.0, 0.0, SWING_TO_FRONT))
    if amount < 0.5:
        return _along_arc(start, half_way, 2 * amount)
    return _along_arc(half_way, end, 2 * amount - 1)


def _along_arc(start: F64, end: F64, amount: float) -> F64:
    """Spherical linear interpolation between unit vectors less than half a turn apart."""
    angle = math.acos(min(max(float(start @ end), -1.0), 1.0))
    if angle < 1e-6:
        return end
    weights = math.sin((1 - amount) * angle), math.sin(amount * angle)
    return np.asarray((weights[0] * start + weights[1] * end) / math.sin(angle))


def _turned(draws: Draws, yaw: float) -> float:
    """The next key pose's heading: on by a turn, back to about the front, or as it was."""
    if draws.chance(0.25):
        return yaw + draws.choice((-1.0, 1.0)) * draws.choice(TURNS, p=TURN_WEIGHTS)
    if draws.chance(0.5):
        return round(yaw / 360) * 360 + draws.normal(0, 18)
    return yaw


def _key_pose(draws: Draws, yaw: float) -> Pose:
    left_arm = draws.choice(list(ARM_MOVES.values()))
    right_arm = left_arm if draws.chance(0.35) else draws.choice(list(ARM_MOVES.values()))
    left_leg, right_leg = _leg_moves(draws)
    limbs = {}
    for limb, left, right, spread in (("Arm", left_arm, right_arm, 9.0), ("Leg", left_leg, right_leg, 5.0)):
        for side, sign, move in (("left", 1, left), ("right", -1, right)):
            for part, (azimuth, elevation) in zip(("Upper", "Lower"), move, strict=True):
                limbs[side + part + limb] = direction(
                    sign * (azimuth + draws.normal(0, spread)), elevation + draws.normal(0, spread)
                )
    return Pose(
        limbs,
        hips=(yaw, draws.normal(0, 7), draws.normal(0, 6)),
        chest=(draws.normal(0, 9), draws.normal(4, 8), draws.normal(0, 8)),
        head=(draws.normal(0, 16), draws.normal(-2, 9), draws.normal(0, 9)),
        offset=(draws.normal(0, 0.05), 0.0, draws.normal(0, 0.03)),
    )


def _leg_moves(draws: Draws) -> tuple[Move, Move]:
    """Left and right: one leg moves, both stand wide, a squat, a step, or both stand."""
    kind = draws.choice(("one", "wide", "squat", "step", "stand"), p=(0.30, 0.20, 0.12, 0.13, 0.25))
    if kind == "wide":
        return WIDE, WIDE
    if kind == "squat":
        return BEND, BEND
    leading, other = STAND, STAND
    if kind == "one":
        leading = draws.choice(list(ONE_LEG_MOVES.values()))
    elif kind == "step":
        leading, other = STEP, STEP_BACK
    return (leading, other) if draws.chance(0.5) else (other, leading)
