"""The pinhole camera, and the one fixed camera that holds every frame of a character."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.data.render.model import F32, F64

FIELD_OF_VIEW = 18.0  # degrees; a long lens, as little perspective as drawn characters have


@dataclass(frozen=True)
class Camera:
    """A square picture seen from `eye`."""

    rotation: F64  # [3, 3], rows: right, up and forward of the camera in world axes
    eye: F64  # [3], metres
    focal: float  # focal length in pixels
    size: int  # of the image, pixels

    def project(self, points: F64) -> F64:
        """World points [n, 3] -> x, y in pixels (the centre of the first is 0.5, 0.5) and depth, [n, 3]."""
        view = (points - self.eye) @ self.rotation.T
        x = self.size / 2 + self.focal * view[:, 0] / view[:, 2]
        y = self.size / 2 - self.focal * view[:, 1] / view[:, 2]
        return np.stack([x, y, view[:, 2]], 1)


def view_axes(azimuth_degrees: float, facing: float = 1.0) -> F64:
    """Camera axes (rows right, up, forward) around a character: 0° sees its front, 90° its left side."""
    angle = np.radians(azimuth_degrees)
    to_eye = np.array([facing * np.sin(angle), 0.0, facing * np.cos(angle)])
    up = np.array([0.0, 1.0, 0.0])
    return np.stack([np.cross(up, to_eye), up, -to_eye])


def frame_camera(
    clouds: Iterable[F32 | F64],
    size: int,
    azimuth_degrees: float = 0.0,
    facing: float = 1.0,
    margin: float = 0.04,
) -> Camera:
    """The nearest camera at this azimuth whose picture holds every point of every cloud [n, 3].

    `clouds` are a character's vertices, one array a frame; `margin` is the empty border, a fraction of the
    picture. Raises ValueError if there is no point.
    """
    axes = view_axes(azimuth_degrees, facing)
    slope = (1 - 2 * margin) * np.tan(np.radians(FIELD_OF_VIEW / 2))
    # A camera at distance d before the origin, shifted to (x, y), holds a point with view coordinates p iff
    # |p_xy - shift| <= slope (p_z + d): the extremes of p_xy ± slope p_z are all that matters.
    highest, lowest = np.full(2, -np.inf), np.full(2, np.inf)
    for cloud in clouds:
        view = np.asarray(cloud, np.float64) @ axes.T
        reach = slope * view[:, 2:]
        highest = np.maximum(highest, (view[:, :2] - reach).max(0, initial=-np.inf))
        lowest = np.minimum(lowest, (view[:, :2] + reach).min(0, initial=np.inf))
    if not np.isfinite(highest).all():
        raise ValueError("a camera needs points to look at")
    distance = float(((highest - lowest) / (2 * slope)).max())
    centre = (highest + lowest) / 2
    eye = centre[0] * axes[0] + centre[1] * axes[1] - distance * axes[2]
    return Camera(axes, eye, size / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2)), size)
