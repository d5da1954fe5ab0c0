"""Hands turned at the wrist: a raised hand shows its palm to the front, a hanging one lies beside the thigh."""

from __future__ import annotations

import numpy as np

from bench.data.render.characters.mesh import smoothstep
from bench.data.render.model import F64, Model
from bench.data.render.pose import unit

MOST = 75.0  # degrees: further, the skin of the wrist collapses
RAISED = (-0.35, 0.25)  # sine of the forearm's elevation at which turning begins, and at which it is complete


def turn_hands(model: Model, world: F64) -> None:
    """Turn both hand bones of posed `world` [n, 4, 4] about their forearms, in place; joints stay where they are."""
    human = model.skeleton.human
    front = world[human["chest"], :3, 2]
    for side in ("left", "right"):
        hand = human[side + "Hand"]
        along = unit(world[hand, :3, 3] - world[human[side + "LowerArm"], :3, 3])
        raised = float(smoothstep(along[1], *RAISED))
        wanted = front - along * (front @ along)
        if raised == 0 or np.linalg.norm(wanted) < 0.2:  # a hand that points to the front may face either way
            continue
        palm = -world[hand, :3, 1]
        palm, wanted = unit(palm - along * (palm @ along)), unit(wanted)
        angle = np.degrees(np.arctan2(float(along @ np.cross(palm, wanted)), float(palm @ wanted)))
        angle = raised * float(np.clip(angle, -MOST, MOST))
        world[hand, :3, :3] = _about(along, angle) @ world[hand, :3, :3]


def _about(axis: F64, degrees: float) -> F64:
    """Rotation by an angle about a unit vector (Rodrigues)."""
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew)
