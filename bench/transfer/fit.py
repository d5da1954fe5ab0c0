"""Poses of one body brought to another: limb lengths of the source, standing where the source stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

HIPS, SHOULDERS, FACE = (11, 12), (5, 6), (0, 1, 2, 3, 4)
ANKLES = (15, 16)
# (parent, joint) from the trunk outwards; both sides of a limb share one length
LIMBS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((5, 7), (6, 8)),
    ((7, 9), (8, 10)),
    ((11, 13), (12, 14)),
    ((13, 15), (14, 16)),
)
LENGTH_SHARE = 95  # percentile over the frames: a limb that points at the camera looks short, so most are
RATIOS = 0.5, 2.0  # beyond these a limb of the source was hidden or misplaced rather than long
MARGIN = 1 / 32  # of the side, that joints keep from the border


def fit(poses: F32, source: F32, size: int) -> F32:
    """Poses [N, 17, 3] with the proportions of `source` [17, 3], placed in its `size` × `size` picture.

    The source stands upright and faces the camera, so its drawn limbs are as long as they get; each limb of the
    motion is scaled by one factor, its length there against the longest it gets in the motion. Feet reach the
    source's ground line and the hips' mean is where its hips are; a motion that is wider than the picture is made
    smaller until all of its joints are inside.
    """
    moved = poses.astype(np.float64).copy()
    moved[..., :2] *= _height(source[None]) / max(_height(poses), 1e-6)
    _match_lengths(moved, source.astype(np.float64))
    _place(moved, source.astype(np.float64), size)
    moved[moved[..., 2] <= 0] = 0
    return moved.astype(np.float32)


def _present(poses: F64 | F32, joints: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray((poses[..., joints, 2] > 0).all(-1))


def _middle(poses: F64 | F32, joints: tuple[int, ...]) -> F64:
    return np.asarray(poses[..., joints, :2].mean(-2), np.float64)


def _height(poses: F64 | F32) -> float:
    """The largest vertical extent of the joints that are there, over frames [N, 17, 3]."""
    y = np.where(poses[..., 2] > 0, poses[..., 1], np.nan)
    return float(np.nanmax(np.nanmax(y, 1) - np.nanmin(y, 1)))


def _ratio(here: F64, there: F64) -> float:
    """Length of a limb in the source against that in the motion; 1 where either is not to be seen."""
    if not len(here) or not len(there):
        return 1.0
    wanted, longest = float(here.max()), float(np.percentile(there, LENGTH_SHARE))
    return float(np.clip(wanted / longest, *RATIOS)) if longest > 1e-6 and wanted > 1e-6 else 1.0


def _lengths(poses: F64, pairs: tuple[tuple[int, int], ...]) -> F64:
    """Lengths of these limbs over all frames where both ends are there, [n]."""
    found = [
        np.linalg.norm(poses[:, joint, :2] - poses[:, parent, :2], axis=-1)[_present(poses, (parent, joint))]
        for parent, joint in pairs
    ]
    return np.concatenate(found)


def _match_lengths(poses: F64, source: F64) -> None:
    """Scale trunk, head and limbs of `poses`, in place, from the hips outwards."""
    one = source[None]
    before = poses.copy()
    hips, shoulders = _middle(before, HIPS), _middle(before, SHOULDERS)
    trunk_there = np.linalg.norm(shoulders - hips, axis=-1)[_present(before, (*HIPS, *SHOULDERS))]
    trunk_here = np.linalg.norm(_middle(one, SHOULDERS) - _middle(one, HIPS), axis=-1)
    trunk = _ratio(trunk_here[_present(one, (*HIPS, *SHOULDERS))], trunk_there)
    new_shoulders = hips + trunk * (shoulders - hips)
    for joints, old, new in ((HIPS, hips, hips), (SHOULDERS, shoulders, new_shoulders)):
        width = _ratio(_lengths(one, (joints,)), _lengths(before, (joints,)))
        for joint in joints:
            poses[:, joint, :2] = new + width * (before[:, joint, :2] - old)
    _match_face(poses, before, one, shoulders, new_shoulders)
    for pairs in LIMBS:
        factor = _ratio(_lengths(one, pairs), _lengths(before, pairs))
        for parent, joint in pairs:
            poses[:, joint, :2] = poses[:, parent, :2] + factor * (before[:, joint, :2] - before[:, parent, :2])


def _match_face(poses: F64, before: F64, one: F64, shoulders: F64, new_shoulders: F64) -> None:
    """The neck's length by the way from the shoulders to the face, the head's size by the spread of the face."""

    def centre(frames: F64) -> tuple[F64, F64]:
        weight = (frames[:, FACE, 2] > 0).astype(np.float64)
        count = weight.sum(1)
        places = (frames[:, FACE, :2] * weight[..., None]).sum(1) / np.maximum(count, 1)[:, None]
        spread = np.linalg.norm((frames[:, FACE, :2] - places[:, None]) * weight[..., None], axis=-1).max(1)
        return places, np.where(count > 1, spread, 0.0)

    places, spread = centre(before)
    place, wide = centre(one)
    neck = _ratio(np.linalg.norm(place - _middle(one, SHOULDERS), axis=-1), np.linalg.norm(places - shoulders, axis=-1))
    size = _ratio(wide[wide > 0], spread[spread > 0])
    new = new_shoulders + neck * (places - shoulders)
    for joint in FACE:
        poses[:, joint, :2] = new + size * (before[:, joint, :2] - places)


def _place(poses: F64, source: F64, size: int) -> None:
    """Move `poses` to the source's hips and ground, in place, and shrink what would leave the picture."""
    there = poses[..., 2] > 0
    low, high = MARGIN * size, (1 - MARGIN) * size
    ground = source[list(ANKLES), 1].max() if _present(source, ANKLES) else source[source[:, 2] > 0, 1].max()
    hips = _middle(source, HIPS)[0] if _present(source, HIPS) else source[source[:, 2] > 0, 0].mean()
    flat = poses[..., :2][there]
    middle = _middle(poses, HIPS)[:, 0].mean()
    feet = np.percentile(np.where(there, poses[..., 1], -np.inf).max(1), 50)
    anchor = np.array([middle, feet])
    target = np.array([np.clip(hips, low, high), np.clip(ground, low, high)])
    away = flat - anchor
    # the largest scale up to 1 at which every joint stays between the margins
    limits = [1.0]
    for axis in (0, 1):
        up, down = away[:, axis].max(), away[:, axis].min()
        limits += [(high - target[axis]) / up] if up > 1e-9 and axis == 0 else []
        limits += [(target[axis] - low) / -down] if down < -1e-9 else []
    scale = max(min(limits), 0.05)
    poses[..., :2] = target + scale * (poses[..., :2] - anchor)
    beyond = poses[..., 1][there].max() - (size - 1)
    if beyond > 0:  # a deep landing below the ground line
        poses[..., 1] -= beyond
