"""Where nose, eyes and ears of an avatar are: from its eye bones where it has them, and from the head's shape.

VRM names no nose and no ear. The nose is where a line from the front first meets the head just below the eyes,
where hair seldom hangs; ears are at the sides of the head at eye height.
"""

from __future__ import annotations

import numpy as np

from bench.data.avatars.mesh import Mesh
from bench.data.avatars.nodes import Tree
from bench.data.render.model import F64
from bench.errors import DataError

HEAD_WEIGHT = 0.6  # of a vertex that belongs to the head
# Without eye bones, as fractions of the head's height above its bone: drawn heads keep the eyes low.
EYE_HEIGHT, EYE_APART = 0.38, 0.17
# In units of an eye's distance from the middle of the face, as on the suite's own characters.
NOSE_BELOW_EYES, EYE_BEHIND_NOSE, EAR_BELOW_EYES = 0.75, 0.3, 0.35
EAR_NEAREST, EAR_FARTHEST = 1.9, 2.6


def face_anchors(mesh: Mesh, tree: Tree, human: dict[str, int], world: F64, rest: F64, facing: float) -> F64:
    """Nose, left eye, right eye, left ear, right ear [5, 3], offsets from the head bone along world axes.

    `world` are the bones' matrices at rest [n, 4, 4], `rest` the vertices' places [V, 3].
    Raises DataError when nothing of the mesh belongs to the head.
    """
    head = human["head"]
    origin = world[head, :3, 3]
    axes = np.diag([facing, 1.0, facing])  # rows: left, up and front in the world
    of_head = np.array([bone == head or head in tree.ancestors(bone) for bone in range(len(tree.names))])
    belongs = (mesh.weights * of_head[mesh.palette[mesh.joints]]).sum(1) > HEAD_WEIGHT
    if not belongs.any():
        raise DataError("no part of the mesh moves with the head bone; bind it and export the avatar again")
    points = (rest - origin) @ axes.T
    head_points = points[belongs]
    if "leftEye" in human and "rightEye" in human:
        left, right = ((world[human[side + "Eye"], :3, 3] - origin) @ axes.T for side in ("left", "right"))
        height, apart = float(left[1] + right[1]) / 2, float(left[0] - right[0]) / 2
    else:
        top = float(np.percentile(head_points[:, 1], 98))
        height, apart = EYE_HEIGHT * top, EYE_APART * top
    if not apart > 1e-3:
        raise DataError("the left eye is not to the left of the right eye; assign the bones again and export")
    triangles = points[mesh.faces[belongs[mesh.faces].all(1)]]
    nose_height = height - NOSE_BELOW_EYES * apart
    hits = _along(triangles, axis=2, at=(0.0, nose_height))
    front = float(hits.max()) if len(hits) else float(np.percentile(head_points[:, 2], 90))
    ear_height = height - EAR_BELOW_EYES * apart
    middle = front - EAR_NEAREST * apart  # of the head, from front to back
    hits = _along(triangles, axis=0, at=(ear_height, middle))
    skin = hits[(hits > EAR_NEAREST * apart) & (hits < EAR_FARTHEST * apart)]
    wide = float(skin.max()) if len(skin) else EAR_FARTHEST * apart
    eye = np.array([apart, height, front - EYE_BEHIND_NOSE * apart])
    ear = np.array([wide, ear_height, middle])
    mirror = np.array([-1.0, 1.0, 1.0])
    return np.stack([[0.0, nose_height, front], eye, eye * mirror, ear, ear * mirror]) @ axes


def _along(triangles: F64, axis: int, at: tuple[float, float]) -> F64:
    """Where a line along an axis meets triangles [n, 3, 3]: its coordinates on the axis, in no order.

    `at` are the line's coordinates on the other two axes, in ascending order of these.
    """
    other = [k for k in range(3) if k != axis]
    a, b, c = (triangles[:, corner, other] - at for corner in range(3))

    def doubled_area(p: F64, q: F64) -> F64:
        return np.asarray(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])

    weights = np.stack([doubled_area(b, c), doubled_area(c, a), doubled_area(a, b)], 1)
    whole = weights.sum(1)
    hit = (np.abs(whole) > 1e-12) & ((weights * np.sign(whole)[:, None]) >= 0).all(1)
    return np.asarray((weights[hit] * triangles[hit][:, :, axis]).sum(1) / whole[hit])
