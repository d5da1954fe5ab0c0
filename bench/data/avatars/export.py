"""Writing a character as VRM 1.0: any program that shows avatars can load the suite's own ones.

The file reads back to the same pixels: triangles keep their order, vertices and textures are stored as they are,
colours as the linear values that turn back into the same gamma ones.
"""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.avatars.glb import Array, glb_bytes
from bench.data.avatars.humanoid import Meta
from bench.data.avatars.materials import linear_from_srgb
from bench.data.avatars.vrm import OWN_EXTRAS
from bench.data.render.characters import character
from bench.data.render.edition2.actor import actor
from bench.data.render.model import BLEND, CUTOUT, OPAQUE, Material, Model
from bench.errors import UsageError
from bench.files import write_bytes

SIDED = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
VRM_BONES = ("hips", "spine", "chest", "upperChest", "neck", "head", "leftEye", "rightEye") + tuple(
    side + bone for side in ("left", "right") for bone in SIDED
)
UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5123, 5125, 5126
REPEAT, LINEAR, LINEAR_MIPMAP_LINEAR = 10497, 9729, 9987
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
OWN_AUTHOR = "anime-pose-bench"


def export_character(seed: int, path: Path, edition: int = 1) -> Meta:
    """Write the procedural character `seed` as VRM 1.0 and return what the file says of itself.

    Of edition 2 the neutral face and the relaxed hands are written.
    """
    model = character(seed) if edition == 1 else actor(seed).model
    meta = Meta("1.0", f"Procedural character {seed}", OWN_AUTHOR, "CC0", CC0, {})
    write_bytes(path, vrm_bytes(model, meta))
    return meta


class _Writer:
    """The binary part and the accessors that point into it."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes) -> int:
        self.binary.extend(b"\0" * (-len(self.binary) % 4))
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)})
        self.binary.extend(content)
        return len(self.views) - 1

    def array(self, values: Array, kind: str, component: int, dtype: str, extent: bool = False) -> int:
        """Index of a new accessor; `extent` adds the smallest and largest values, which positions must have."""
        stored = np.ascontiguousarray(values.astype(dtype))
        accessor: dict[str, Any] = {
            "bufferView": self.view(stored.tobytes()),
            "componentType": component,
            "count": len(stored),
            "type": kind,
        }
        if extent:
            accessor |= {"min": stored.min(0).tolist(), "max": stored.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def vrm_bytes(model: Model, meta: Meta) -> bytes:
    """A VRM 1.0 file of a model that faces +Z; raises UsageError for one that faces −Z."""
    if model.facing < 0:
        raise UsageError("VRM 1.0 faces +Z and this model −Z; turn it by 180° first")
    out = _Writer()
    images = [{"bufferView": out.view(_png(texture)), "mimeType": "image/png"} for texture in model.textures]
    primitives = _primitives(model, out)
    inverse = model.inverse_bind.transpose(0, 2, 1).reshape(-1, 16)
    skin = {
        "joints": model.palette.tolist(),
        "inverseBindMatrices": out.array(inverse, "MAT4", FLOAT, "<f4"),
    }
    roots = np.flatnonzero(model.skeleton.parents < 0).tolist()
    nodes = [*_nodes(model), {"name": "body", "mesh": 0, "skin": 0}]
    human = model.skeleton.human
    document = {
        "asset": {
            "version": "2.0",
            "generator": "anime-pose-bench",
            "extras": {
                OWN_EXTRAS: {
                    "faceAnchors": model.face_anchors.ravel().tolist(),
                    "bones": {name: int(bone) for name, bone in human.items() if name not in VRM_BONES},
                }
            },
        },
        "extensionsUsed": ["VRMC_vrm", "VRMC_materials_mtoon"],
        "scene": 0,
        "scenes": [{"nodes": [*roots, len(nodes) - 1]}],
        "nodes": nodes,
        "meshes": [{"name": "body", "primitives": primitives}],
        "skins": [skin],
        "materials": [_material(material) for material in model.materials],
        "samplers": [{"wrapS": REPEAT, "wrapT": REPEAT, "magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR}],
        "images": images,
        "textures": [{"sampler": 0, "source": index} for index in range(len(images))],
        "accessors": out.accessors,
        "bufferViews": out.views,
        "buffers": [{"byteLength": len(out.binary)}],
        "extensions": {
            "VRMC_vrm": {
                "specVersion": "1.0",
                "meta": _meta(meta),
                "humanoid": {"humanBones": {name: {"node": int(human[name])} for name in VRM_BONES if name in human}},
            }
        },
    }
    return glb_bytes(document, bytes(out.binary))


def _png(texture: Array) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(texture, "RGBA").save(encoded, "PNG")
    return encoded.getvalue()


def _primitives(model: Model, out: _Writer) -> list[dict[str, Any]]:
    """One primitive for each run of triangles of one material, all on the same vertices.

    A primitive for each material would reorder triangles, and of two at the same depth the first is drawn.
    """
    attributes = {
        "POSITION": out.array(model.positions, "VEC3", FLOAT, "<f4", extent=True),
        "NORMAL": out.array(model.normals, "VEC3", FLOAT, "<f4"),
        "TEXCOORD_0": out.array(model.uv, "VEC2", FLOAT, "<f4"),
        "JOINTS_0": out.array(model.joints, "VEC4", UNSIGNED_SHORT, "<u2"),
        "WEIGHTS_0": out.array(model.weights, "VEC4", FLOAT, "<f4"),
    }
    changes = np.flatnonzero(np.diff(model.face_material)) + 1
    return [
        {
            "attributes": attributes,
            "indices": out.array(model.faces[start:end].reshape(-1, 1), "SCALAR", UNSIGNED_INT, "<u4"),
            "material": int(model.face_material[start]),
        }
        for start, end in pairwise([0, *changes.tolist(), len(model.faces)])
    ]


def _nodes(model: Model) -> list[dict[str, Any]]:
    """The bones; numbers are written so that they read back to the bit."""
    skeleton = model.skeleton
    nodes: list[dict[str, Any]] = []
    for bone, name in enumerate(skeleton.names):
        node: dict[str, Any] = {"name": name, "translation": skeleton.translations[bone].tolist()}
        children = np.flatnonzero(skeleton.parents == bone).tolist()
        if children:
            node["children"] = children
        if not np.array_equal(skeleton.rotations[bone], np.eye(3)):
            node["rotation"] = _quaternion(skeleton.rotations[bone])
        if skeleton.scales is not None:
            node["scale"] = skeleton.scales[bone].tolist()
        nodes.append(node)
    return nodes


def _quaternion(rotation: Array) -> list[float]:
    """x, y, z, w of a rotation matrix [3, 3]."""
    from scipy.spatial.transform import Rotation

    return [float(value) for value in Rotation.from_matrix(rotation).as_quat()]


def _material(material: Material) -> dict[str, Any]:
    """glTF with MToon 1.0."""
    base: dict[str, Any] = {
        "baseColorFactor": [*linear_from_srgb(material.color[:3]).tolist(), material.color[3]],
        "metallicFactor": 0.0,
        "roughnessFactor": 1.0,
    }
    mtoon: dict[str, Any] = {
        "specVersion": "1.0",
        "shadeColorFactor": linear_from_srgb(material.shade).tolist(),
        "shadingToonyFactor": material.toony,
        "shadingShiftFactor": material.shift,
        "renderQueueOffsetNumber": min(max(material.render_queue, -9), 9),
    }
    if material.texture >= 0:
        base["baseColorTexture"] = {"index": material.texture}
    if material.shade_texture >= 0:
        mtoon["shadeMultiplyTexture"] = {"index": material.shade_texture}
    if material.outline_width > 0:
        mtoon |= {
            "outlineWidthMode": "worldCoordinates",
            "outlineWidthFactor": material.outline_width,
            "outlineColorFactor": linear_from_srgb(material.outline_color).tolist(),
            "outlineLightingMixFactor": 0.0,
        }
    written: dict[str, Any] = {
        "name": material.name,
        "pbrMetallicRoughness": base,
        "alphaMode": {OPAQUE: "OPAQUE", CUTOUT: "MASK", BLEND: "BLEND"}[material.mode],
        "doubleSided": not material.cull,
        "extensions": {"KHR_materials_unlit": {}} if material.unlit else {"VRMC_materials_mtoon": mtoon},
    }
    if material.mode == CUTOUT:
        written["alphaCutoff"] = material.cutoff
    return written


def _meta(meta: Meta) -> dict[str, Any]:
    """The meta block of a file that anybody may use for anything."""
    return {
        "name": meta.title,
        "authors": [meta.author],
        "licenseUrl": "https://vrm.dev/licenses/1.0/",
        "otherLicenseUrl": meta.licence_url,
        "avatarPermission": "everyone",
        "commercialUsage": "corporation",
        "creditNotation": "unnecessary",
        "allowRedistribution": True,
        "modification": "allowModificationRedistribution",
        **meta.permissions,
    }
