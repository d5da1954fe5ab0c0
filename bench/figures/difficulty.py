"""How hard an image is, by the paper's two reasons for failures (§5.9): self-occlusion and complex texture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating[Any]]

LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))  # COCO joints
SHOULDERS, HIPS = (5, 6), (11, 12)
LIMB_RADIUS, TORSO_RADIUS = 0.035, 0.07  # of the body's extent: limbs are about a fourteenth of a height thick
RASTER = 96  # pixels along the body's extent; the overlap is a ratio of areas and hardly depends on it


def self_occlusion(keypoints: Points) -> float:
    """Which share of the body's parts lies over others in a pose [17, 3], 0 to 1.

    Arms, legs and torso are drawn as capsules; the result is 1 - area of their union / sum of their areas. It is
    never quite 0, since parts meet at joints. A part with a missing end is left out; a pose without any gives 0.
    """
    points, present = np.asarray(keypoints[:, :2], np.float64), keypoints[:, 2] > 0
    segments = [(points[a], points[b], LIMB_RADIUS) for a, b in LIMBS if present[a] and present[b]]
    if present[[*SHOULDERS, *HIPS]].all():
        segments.append((points[list(SHOULDERS)].mean(0), points[list(HIPS)].mean(0), TORSO_RADIUS))
    if not segments:
        return 0.0
    ends = np.array([end for a, b, _ in segments for end in (a, b)])
    low, extent = ends.min(0), max(float(np.ptp(ends, axis=0).max()), 1e-6)
    across = (np.arange(-RASTER // 6, RASTER + RASTER // 6) + 0.5) / RASTER  # the margin holds the radii
    grid = np.stack(np.meshgrid(across, across), axis=-1)
    drawn = np.stack([_capsule((a - low) / extent, (b - low) / extent, radius, grid) for a, b, radius in segments])
    return 1 - float(drawn.any(0).sum()) / float(drawn.sum())


def _capsule(start: Points, end: Points, radius: float, grid: Points) -> NDArray[np.bool_]:
    """Which grid points [h, w, 2] lie within `radius` of a segment."""
    along = end - start
    foot = np.clip(((grid - start) @ along) / max(float(along @ along), 1e-12), 0, 1)
    inside: NDArray[np.bool_] = np.linalg.norm(grid - start - foot[..., None] * along, axis=-1) <= radius
    return inside


def texture_complexity(image: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbouring pixels inside the character, 0 to 1.

    `image` is [H, W, 3], `alpha` [H, W]; only pairs of pixels that are both inside count, so that the outline
    against the background does not. An image without a character gives 0.
    """
    colours, inside = image.astype(np.float64) / 255, alpha > 127
    down = np.abs(np.diff(colours, axis=0)).mean(-1)[inside[1:] & inside[:-1]]
    across = np.abs(np.diff(colours, axis=1)).mean(-1)[inside[:, 1:] & inside[:, :-1]]
    steps = np.concatenate([down, across])
    return float(steps.mean()) if len(steps) else 0.0
