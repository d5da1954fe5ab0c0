"""A skinned character as flat arrays: what the procedural generator makes and the rasterizer draws.

Space is right-handed, metres, Y up; the rest pose is a T-pose with the character facing `facing` along Z and
its left side at +X when facing +Z. Bone names are those of VRM 1.0 (`leftUpperArm`, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

OPAQUE, CUTOUT, BLEND = 0, 1, 2


@dataclass(frozen=True)
class Material:
    """A two-tone toon material; colours are display-referred (gamma) RGB in [0, 1]."""

    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)  # lit colour × texture, and alpha
    shade: tuple[float, float, float] = (0.85, 0.85, 0.85)  # shadow colour × shade texture
    texture: int = -1  # index into Model.textures, -1 for none
    shade_texture: int = -1
    mode: int = OPAQUE
    cutoff: float = 0.5  # alpha test of CUTOUT
    cull: bool = True  # skip back faces
    toony: float = 0.9  # 1: a hard edge between light and shadow
    shift: float = 0.0  # > 0: more light
    unlit: bool = False
    outline_width: float = 0.0  # metres; 0: no outline
    outline_color: tuple[float, float, float] = (0.0, 0.0, 0.0)
    render_queue: int = 0  # order among BLEND materials
    name: str = ""


@dataclass(frozen=True)
class Skeleton:
    """Bones in an order where parents come before children."""

    names: tuple[str, ...]
    parents: I32  # [n], -1 for a root
    translations: F64  # [n, 3], rest, relative to the parent
    rotations: F64  # [n, 3, 3], rest, relative to the parent
    human: Mapping[str, int]  # VRM bone name -> bone index
    scales: F64 | None = None  # [n, 3]; None: 1

    def globals(self, rotations: Mapping[int, F64] | None = None, hips_offset: F64 | None = None) -> F64:
        """World matrices `[n, 4, 4]` with some local rotations replaced and the whole body moved (metres)."""
        rotations = rotations or {}
        count = len(self.names)
        world = np.zeros((count, 4, 4))
        for bone in range(count):
            local = np.eye(4)
            rotation = rotations.get(bone, self.rotations[bone])
            local[:3, :3] = rotation if self.scales is None else rotation * self.scales[bone]
            local[:3, 3] = self.translations[bone]
            parent = self.parents[bone]
            world[bone] = local if parent < 0 else world[parent] @ local
        if hips_offset is not None:
            world[:, :3, 3] += hips_offset
        return world


@dataclass(frozen=True)
class Model:
    """One character. Vertex arrays are concatenated over all its parts."""

    positions: F32  # [V, 3], rest pose
    normals: F32  # [V, 3], unit
    uv: F32  # [V, 2], v = 0 at the top row of a texture
    joints: I32  # [V, 4], indices into `palette`
    weights: F32  # [V, 4], sum 1
    faces: I32  # [F, 3], counter-clockwise seen from outside
    face_material: I32  # [F]
    materials: tuple[Material, ...]
    textures: tuple[NDArray[np.uint8], ...]  # each [h, w, 4] RGBA
    skeleton: Skeleton
    palette: I32  # [P], bone of each skinning matrix
    inverse_bind: F64  # [P, 4, 4]
    face_anchors: F64  # [5, 3]: nose, left eye, right eye, left ear, right ear in the head bone's rest frame,
    # as offsets from the head bone's origin along world axes
    facing: float = 1.0  # +1 or -1: the way the rest pose faces along Z
    tags: Mapping[str, object] = field(default_factory=dict)  # hair, clothes, colours: for the metadata

    def skinning(self, world: F64) -> F32:
        """Skinning matrices `[P, 4, 4]` for bone world matrices."""
        return np.asarray(world[self.palette] @ self.inverse_bind, dtype=np.float32)
