"""The 17 COCO joints of a posed character, and which of them show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.render.camera import Camera
from bench.data.render.model import F32, F64, Model
from bench.data.render.pose import rest_rotations

BODY_BONES = tuple(
    side + bone
    for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
    for side in ("left", "right")
)
"""Bones whose origins are COCO joints 5 … 16: shoulders, elbows, wrists, hips, knees, ankles."""

ABSENT, OCCLUDED, VISIBLE = 0.0, 1.0, 2.0
# Metres behind the visible surface from which a joint is hidden; less is its own flesh and clothing.
OCCLUSION = np.array([0.06] * 5 + [0.10] * 2 + [0.07] * 2 + [0.06] * 2 + [0.14] * 2 + [0.09] * 2 + [0.08] * 2)

# Face joints as seen from the head: the way each looks (to the left, to the front), and the smallest cosine
# between that and the way to the camera at which it still shows. A nose shows to 100° from the front, an eye
# from 62° on the other side to 112° on its own, an ear until the head is turned 30° away from it.
FACE_LOOKS = np.array([[0.0, 1.0], [0.423, 0.906], [-0.423, 0.906], [1.0, 0.0], [-1.0, 0.0]])
FACE_SHOWS = np.array([-0.17, 0.05, 0.05, -0.5, -0.5])


def _head_turn(model: Model, world: F64) -> F64:
    """The head's rotation from rest [3, 3]."""
    head = model.skeleton.human["head"]
    turned = world[head, :3, :3] / np.linalg.norm(world[head, :3, :3], axis=0)  # without scale
    return np.asarray(turned @ rest_rotations(model.skeleton)[head].T)


def joints_3d(model: Model, world: F64) -> F64:
    """World places of the COCO-17 joints [17, 3], metres."""
    human = model.skeleton.human
    face = world[human["head"], :3, 3] + model.face_anchors @ _head_turn(model, world).T
    body = world[[human[bone] for bone in BODY_BONES], :3, 3]
    return np.concatenate([face, body])


def keypoints(model: Model, world: F64, camera: Camera, depth: F32) -> F32:
    """x, y in pixels and COCO visibility [17, 3] of a frame with this depth [size, size].

    2 is visible, 1 hidden behind something, 0 absent (all three are 0 then): a joint outside the picture or
    a face joint on the far side of the head. Hidden body joints stay, as a detector regresses them.
    """
    places = joints_3d(model, world)
    x, y, distance = camera.project(places).T
    inside = (x >= 0) & (x < camera.size) & (y >= 0) & (y < camera.size) & (distance > 0)
    present = inside.copy()
    present[:5] &= _face_shows(model, world, camera, places)

    column, row = (np.clip(v, 0, camera.size - 1).astype(np.int64) for v in (x, y))
    hidden = distance > depth[row, column] + OCCLUSION
    visibility = np.where(hidden, OCCLUDED, VISIBLE)
    return np.where(present[:, None], np.stack([x, y, visibility], 1), ABSENT).astype(np.float32)


def _face_shows(model: Model, world: F64, camera: Camera, places: F64) -> NDArray[np.bool_]:
    """Which of nose, eyes and ears are on the near side of the head [5]."""
    axes = _head_turn(model, world) @ np.diag([model.facing, 1.0, model.facing])  # columns: left, up, front
    to_camera = camera.eye - places[:5].mean(0)
    to_camera /= np.linalg.norm(to_camera)
    return np.asarray(FACE_LOOKS @ (axes[:, [0, 2]].T @ to_camera) > FACE_SHOWS)
