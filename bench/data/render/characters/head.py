"""The head: its shape, the places on it, ears, and the anchors of the face's keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.data.render.characters.colors import scaled
from bench.data.render.characters.face import SPAN_X, SPAN_Y, face_picture
from bench.data.render.characters.mesh import (
    F64,
    SKIN_SHADE,
    MeshBuilder,
    Surface,
    directions,
    ellipsoid,
    grid,
)
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.traits import Face, Traits


@dataclass(frozen=True)
class Head:
    """A sphere deformed into a head with a flat face and a narrow chin."""

    centre: F64  # [3]
    width: float  # half
    height: float  # whole
    depth: float  # half
    jaw: float

    def surface(self, direction: F64, inflate: float | F64 = 1.0) -> F64:
        """Points [..., 3] of the head along unit vectors [..., 3], grown by the factor `inflate`."""
        x, y, z = direction[..., 0], direction[..., 1], direction[..., 2]
        below = np.clip(-y, 0, 1)
        narrow = x * (1 - self.jaw * below**1.7)
        deep = np.where(z > 0, z * (1 - 0.14 * below**1.5), z * (1 - 0.45 * below**1.4))
        deep = np.where((z > 0) & (y < 0.2), np.minimum(deep, 0.90), deep)
        tall = y * np.where(y < 0, 1.04, 0.98)
        size = (self.width, self.height * 0.5, self.depth)
        grown = np.asarray(inflate)[..., None]
        return np.asarray(self.centre + np.stack([narrow, tall, deep], axis=-1) * size * grown)

    def at(self, azimuth: ArrayLike, y: ArrayLike, inflate: float | F64 = 1.0) -> F64:
        """Points [..., 3] at azimuths in degrees (0 front, + left) and heights in [-1, 1] (1 the crown)."""
        angle, y = np.broadcast_arrays(np.radians(azimuth), np.asarray(y, np.float64))
        level = np.sqrt(np.maximum(0, 1 - y * y))
        return self.surface(np.stack([level * np.sin(angle), y, level * np.cos(angle)], axis=-1), inflate)

    def on_face(self, x: float, y: float) -> F64:
        """Point [3] of the surface where the painted face has coordinates (x, y)."""
        u, v = (plane.ravel() for plane in np.meshgrid(np.linspace(-0.95, 0.95, 77), np.linspace(-0.98, 0.4, 77)))
        inside = u * u + v * v < 0.999
        u, v = u[inside], v[inside]
        points = self.surface(np.stack([u, v, np.sqrt(1 - u * u - v * v)], axis=1))
        dx = points[:, 0] - x * self.width * SPAN_X
        dy = points[:, 1] - self.centre[1] - y * self.height * 0.5 * SPAN_Y
        return np.asarray(points[np.argmin(dx * dx + dy * dy)])

    @property
    def ear(self) -> F64:
        """Centre of the left ear."""
        return self.centre + (self.width * 0.97, -self.height * 0.06, -self.depth * 0.05)


def head_of(f: Figure) -> Head:
    return Head(np.array(f.head_centre), f.head_width, f.head, f.head_depth, f.jaw)


def add_head(mesh: MeshBuilder, head: Head, traits: Traits) -> None:
    """Skull, painted face and ears."""
    skull = grid(head.surface(directions(26, 36)), cap_first=True, cap_last=True)
    offset = skull.vertices - head.centre
    uv = np.stack([0.5 + offset[:, 0] / (2 * head.width * SPAN_X), 0.5 - offset[:, 1] / (head.height * SPAN_Y)], axis=1)
    skin = mesh.material("head", traits.body.skin, shade=SKIN_SHADE, shift=0.25)
    painted = mesh.material(
        "face",
        texture=face_picture(traits),
        shade=SKIN_SHADE,
        shift=0.25,
        outline_base=scaled(traits.body.skin, 1.0),
    )
    # Only the front carries the painting: it is projected straight back through the head.
    in_front = skull.vertices[skull.faces].mean(1)[:, 2] > head.centre[2] + 0.12 * head.depth
    material = np.where(in_front, painted, skin).astype(np.int32)
    mesh.add(Surface(skull.vertices, skull.faces, uv), "head", material)
    ear = ellipsoid(head.ear, (head.width * 0.09, head.height * 0.085, head.depth * 0.13), 8)
    for side in (ear, ear.mirrored()):
        mesh.add(side, "head", skin)


def face_anchors(head: Head, face: Face, head_bone: ArrayLike) -> F64:
    """Nose, left eye, right eye, left ear, right ear [5, 3] as offsets from the head bone."""
    ear = head.ear + (0.06 * head.width, 0, 0)
    eye = head.on_face(face.eye_x, face.eye_y)
    mirror = np.array([-1.0, 1.0, 1.0])
    nose = head.on_face(0.0, face.nose_y) * (0.0, 1.0, 1.0)
    return np.stack([nose, eye, eye * mirror, ear, ear * mirror]) - np.asarray(head_bone, np.float64)
