"""Surfaces (grids, rings, tubes, ellipsoids) and the builder that joins them into one skinned model.

A surface is a grid of points whose rows run down (or along) the part and whose columns run round it so that
row direction × column direction points outwards; a texture's top row lies on the first row of points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from bench.data.render.characters.colors import RGB, luminance
from bench.data.render.model import Material, Model, Skeleton

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Weights = str | Sequence[tuple[str, F64]]  # one rigid bone, or up to four bones with a weight per vertex

OUTLINE = 0.0045  # metres
CLOTH_SHADE = (0.80, 0.72, 0.80)
SKIN_SHADE = (0.93, 0.78, 0.76)


def smoothstep(x: ArrayLike, low: float, high: float) -> F64:
    """0 below `low`, 1 above `high`, 3t²−2t³ between."""
    t = np.clip((np.asarray(x, np.float64) - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


@dataclass(frozen=True)
class Surface:
    """Triangles of one part before skinning: vertices [V, 3], faces [F, 3], uv [V, 2]."""

    vertices: F64
    faces: I64
    uv: F64

    def mirrored(self) -> Surface:
        """The part on the other side of the body (x → −x), still facing outwards."""
        return Surface(self.vertices * (-1.0, 1.0, 1.0), self.faces[:, ::-1], self.uv)

    def moved(self, offset: ArrayLike) -> Surface:
        return replace(self, vertices=self.vertices + np.asarray(offset, np.float64))

    def normals(self) -> F64:
        """Unit normals [V, 3], averaged over vertices at one place: the grid's own seam must not show."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        face_normals = np.cross(b - a, c - a)
        places = np.round(self.vertices * 2e4).astype(np.int64) + (1 << 19)
        _, place = np.unique(places @ np.array([1, 1 << 20, 1 << 40]), return_inverse=True)
        index = place.ravel()[self.faces].ravel()
        summed = np.stack(
            [np.bincount(index, np.repeat(face_normals[:, axis], 3), minlength=place.max() + 1) for axis in range(3)],
            axis=1,
        )
        normals = summed[place.ravel()]
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        # A collapsed tip has no direction of its own.
        return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), (0.0, 1.0, 0.0))


def grid(points: F64, *, closed: bool = True, cap_first: bool = False, cap_last: bool = False) -> Surface:
    """Surface over a grid of points [rows, columns, 3]; `closed` joins the last column to the first."""
    if closed:
        points = np.concatenate([points, points[:, :1]], axis=1)
    rows, columns = points.shape[:2]
    u, v = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    vertices = points.reshape(-1, 3)
    uv = np.stack([u, v], axis=-1).reshape(-1, 2)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + columns, corner + 1], axis=1),
            np.stack([corner + 1, corner + columns, corner + columns + 1], axis=1),
        ]
    )
    for wanted, row in ((cap_first, 0), (cap_last, rows - 1)):
        if not wanted:
            continue
        centre = np.full(columns - 1, len(vertices))
        vertices = np.concatenate([vertices, points[row, :-1].mean(0)[None]])
        uv = np.concatenate([uv, [[0.5, row / (rows - 1)]]])
        rim = row * columns + np.arange(columns - 1)
        fan = (rim, rim + 1, centre) if row == 0 else (rim + 1, rim, centre)
        faces = np.concatenate([faces, np.stack(fan, axis=1)])
    return Surface(vertices, faces.astype(np.int64), uv)


def turn(columns: int) -> F64:
    """Angles [columns] of a closed ring; column 0 is at the back, the middle one at the front."""
    return np.linspace(0.0, 2 * np.pi, columns, endpoint=False) - np.pi / 2


def ring_stack(centres: F64, width: F64, depth: F64, columns: int = 20, power: float = 2.0) -> F64:
    """Horizontal superelliptic rings [rows, columns, 3] round `centres` [rows, 3], from the top down."""
    cosine, sine = np.cos(turn(columns)), np.sin(turn(columns))
    roundness = (np.abs(cosine) ** power + np.abs(sine) ** power) ** (-1 / power)
    points = np.empty((len(centres), columns, 3))
    points[..., 0] = centres[:, None, 0] - width[:, None] * (cosine * roundness)
    points[..., 1] = centres[:, None, 1]
    points[..., 2] = centres[:, None, 2] + depth[:, None] * (sine * roundness)
    return points


def tube(
    path: ArrayLike,
    side_radius: ArrayLike,
    normal_radius: ArrayLike,
    columns: int = 10,
    side: ArrayLike = (0.0, 0.0, 1.0),
) -> F64:
    """Rings [rows, columns, 3] along a path [rows, 3]; `side_radius` is measured along `side`."""
    path = np.asarray(path, np.float64)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    across = np.broadcast_to(np.asarray(side, np.float64), path.shape)
    across = across - tangent * (across * tangent).sum(1, keepdims=True)
    across = across / (np.linalg.norm(across, axis=1, keepdims=True) + 1e-12)
    normal = np.cross(tangent, across)
    angle = np.linspace(0.0, 2 * np.pi, columns, endpoint=False)
    radius_a = np.broadcast_to(np.asarray(side_radius, np.float64), len(path))[:, None, None]
    radius_b = np.broadcast_to(np.asarray(normal_radius, np.float64), len(path))[:, None, None]
    return np.asarray(
        path[:, None]
        + radius_a * np.cos(angle)[:, None] * across[:, None]
        - radius_b * np.sin(angle)[:, None] * normal[:, None]
    )


def directions(rows: int, columns: int, last: float = np.pi) -> F64:
    """Unit vectors [rows, columns, 3] from the crown down to polar angle `last`."""
    polar = np.linspace(0.01, last - 0.01, rows)[:, None]
    angle = turn(columns)
    return np.stack([-np.sin(polar) * np.cos(angle), np.cos(polar) + 0 * angle, np.sin(polar) * np.sin(angle)], axis=-1)


def ellipsoid(centre: ArrayLike, radii: ArrayLike, rows: int = 10) -> Surface:
    """A closed ellipsoid with radii along x, y, z."""
    points = directions(rows, rows + 4) * np.asarray(radii, np.float64) + np.asarray(centre, np.float64)
    return grid(points, cap_first=True, cap_last=True)


def hoop(path: F64, outward: F64, upward: ArrayLike, radii: tuple[float, float], columns: int = 8) -> F64:
    """Cross sections [rows, columns, 3] along a path [rows, 3] in the plane of `outward` and `upward`."""
    angle = np.linspace(0.0, 2 * np.pi, columns, endpoint=False)
    points = path[:, None] + radii[0] * np.cos(angle)[:, None] * outward[:, None]
    points = points + radii[1] * np.sin(angle)[:, None] * np.asarray(upward, np.float64)
    along = path[1] - path[0]
    inward = np.dot(np.cross(along, np.asarray(upward, np.float64)), outward[0]) < 0
    return np.asarray(points[:, ::-1] if inward else points)


class MeshBuilder:
    """Collects the parts, materials and textures of one character on its skeleton."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._bone = {name: index for index, name in enumerate(skeleton.names)}
        self._surfaces: list[Surface] = []
        self._joints: list[NDArray[np.int32]] = []
        self._weights: list[F64] = []
        self._face_material: list[NDArray[np.int32]] = []
        self._materials: list[Material] = []
        self._textures: list[NDArray[np.uint8]] = []

    def material(
        self,
        name: str,
        color: RGB | None = None,
        *,
        texture: Image.Image | None = None,
        shade: tuple[float, float, float] = CLOTH_SHADE,
        double_sided: bool = False,
        shift: float = 0.02,
        toony: float = 0.92,
        outline_base: RGB | None = None,
        outline: float = OUTLINE,
    ) -> int:
        """Index of a new opaque material with a plain colour or a texture (RGB image)."""
        if texture is None:
            base = color or (255, 255, 255)
            index = -1
        else:
            pixels = np.asarray(texture.convert("RGBA"))
            r, g, b = (round(float(x)) for x in pixels[..., :3].reshape(-1, 3).mean(0))
            base = (r, g, b)
            color = (255, 255, 255)
            self._textures.append(pixels)
            index = len(self._textures) - 1
        line = outline_base or base
        # Light cloth needs a darker line than dark cloth to stand off the white ground.
        darkness = 0.34 - 0.16 * luminance(line)
        lit = np.asarray(color if color is not None else base) / 255
        self._materials.append(
            Material(
                name=name,
                color=(float(lit[0]), float(lit[1]), float(lit[2]), 1.0),
                shade=(float(lit[0] * shade[0]), float(lit[1] * shade[1]), float(lit[2] * shade[2])),
                texture=index,
                shade_texture=index,
                cull=not double_sided,
                toony=toony,
                shift=shift,
                outline_width=outline,
                outline_color=(line[0] / 255 * darkness, line[1] / 255 * darkness, line[2] / 255 * darkness),
            )
        )
        return len(self._materials) - 1

    def add(self, surface: Surface, weights: Weights, material: int | NDArray[np.int32]) -> None:
        """Add a part; `material` is one index or one per face. Weights are normalised here."""
        count = len(surface.vertices)
        joints = np.zeros((count, 4), np.int32)
        values = np.zeros((count, 4))
        pairs = [(weights, np.ones(count))] if isinstance(weights, str) else list(weights)
        if len(pairs) > 4:
            raise ValueError(f"a vertex follows at most 4 bones, not {len(pairs)}")
        for slot, (bone, weight) in enumerate(pairs):
            joints[:, slot] = self._bone[bone]
            values[:, slot] = weight
        self._surfaces.append(surface)
        self._joints.append(joints)
        self._weights.append(values / values.sum(1, keepdims=True))
        self._face_material.append(np.broadcast_to(np.int32(material), len(surface.faces)).astype(np.int32))

    def add_pair(self, surface: Surface, weights: Weights, material: int) -> None:
        """Add a part of the left side and its mirror image, which follows the bones of the right side."""
        self.add(surface, weights, material)
        if isinstance(weights, str):
            self.add(surface.mirrored(), _other_side(weights), material)
        else:
            self.add(surface.mirrored(), [(_other_side(bone), w) for bone, w in weights], material)

    def model(self, face_anchors: F64, tags: Mapping[str, object]) -> Model:
        """Everything added so far as one model; the palette is the skeleton's own order."""
        offsets = np.cumsum([0] + [len(surface.vertices) for surface in self._surfaces])
        world = self.skeleton.globals()
        bones = len(self.skeleton.names)
        return Model(
            positions=_joined([surface.vertices for surface in self._surfaces]),
            normals=_joined([surface.normals() for surface in self._surfaces]),
            uv=_joined([surface.uv for surface in self._surfaces]),
            joints=np.concatenate(self._joints),
            weights=_joined(self._weights),
            faces=np.concatenate([s.faces + offset for s, offset in zip(self._surfaces, offsets, strict=False)]).astype(
                np.int32
            ),
            face_material=np.concatenate(self._face_material),
            materials=tuple(self._materials),
            textures=tuple(self._textures),
            skeleton=self.skeleton,
            palette=np.arange(bones, dtype=np.int32),
            inverse_bind=np.asarray(np.linalg.inv(world), np.float64),
            face_anchors=face_anchors,
            facing=1.0,
            tags=tags,
        )


def _joined(arrays: Sequence[F64]) -> NDArray[np.float32]:
    return np.concatenate(arrays).astype(np.float32)


def _other_side(bone: str) -> str:
    if bone.startswith("left"):
        return "right" + bone.removeprefix("left")
    return {"hairL": "hairR"}.get(bone, bone)
