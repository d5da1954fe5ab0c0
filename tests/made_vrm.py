"""Avatars and clips made in code: a body of boxes as VRM 0.x or 1.0, and the same skeleton moving as BVH or VRMA."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.avatars.glb import glb_bytes

Document = dict[str, Any]
Array = NDArray[Any]

# bone, parent, place in metres: left is +X when facing +Z
BONES: list[tuple[str, str, tuple[float, float, float]]] = [
    ("hips", "", (0, 0.9, 0)),
    ("spine", "hips", (0, 1.0, 0)),
    ("neck", "spine", (0, 1.35, 0)),
    ("head", "neck", (0, 1.42, 0)),
]
for _side, _sign in (("left", 1.0), ("right", -1.0)):
    BONES += [
        (_side + "UpperArm", "spine", (_sign * 0.16, 1.3, 0)),
        (_side + "LowerArm", _side + "UpperArm", (_sign * 0.38, 1.3, 0)),
        (_side + "Hand", _side + "LowerArm", (_sign * 0.58, 1.3, 0)),
        (_side + "UpperLeg", "hips", (_sign * 0.08, 0.85, 0)),
        (_side + "LowerLeg", _side + "UpperLeg", (_sign * 0.08, 0.48, 0.01)),
        (_side + "Foot", _side + "LowerLeg", (_sign * 0.08, 0.08, 0)),
    ]
NAMES = [name for name, _, _ in BONES]
PARENTS = [NAMES.index(parent) if parent else -1 for _, parent, _ in BONES]
PLACES = np.array([place for _, _, place in BONES])
BOX = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
BOX_FACES = np.array(
    [
        (0, 1, 3),
        (0, 3, 2),
        (4, 6, 7),
        (4, 7, 5),
        (0, 4, 5),
        (0, 5, 1),
        (2, 3, 7),
        (2, 7, 6),
        (0, 2, 6),
        (0, 6, 4),
        (1, 5, 7),
        (1, 7, 3),
    ]
)


class Buffer:
    """Collects the binary part of a document."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.views: list[Document] = []
        self.accessors: list[Document] = []

    def view(self, content: bytes, **more: Any) -> int:
        self.binary.extend(b"\0" * (-len(self.binary) % 4))
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content), **more})
        self.binary.extend(content)
        return len(self.views) - 1

    def array(self, values: Array, kind: str, component: int, dtype: str) -> int:
        stored = np.ascontiguousarray(np.asarray(values).astype(dtype))
        self.accessors.append(
            {"bufferView": self.view(stored.tobytes()), "componentType": component, "count": len(stored), "type": kind}
        )
        return len(self.accessors) - 1

    def document(self, **more: Any) -> Document:
        return {
            "asset": {"version": "2.0"},
            "accessors": self.accessors,
            "bufferViews": self.views,
            "buffers": [{"byteLength": len(self.binary)}],
            **more,
        }


def png(color: tuple[int, int, int], size: int = 4) -> bytes:
    encoded = io.BytesIO()
    Image.new("RGBA", (size, size), (*color, 255)).save(encoded, "PNG")
    return encoded.getvalue()


def nodes(facing: float) -> list[Document]:
    """The bones as glTF nodes."""
    turned = PLACES * (facing, 1, facing)
    made: list[Document] = []
    for bone, name in enumerate(NAMES):
        above = turned[PARENTS[bone]] if PARENTS[bone] >= 0 else np.zeros(3)
        made.append({"name": name, "translation": (turned[bone] - above).tolist()})
        children = [child for child, parent in enumerate(PARENTS) if parent == bone]
        if children:
            made[-1]["children"] = children
    return made


def vrm_parts(version: str = "1.0", color: tuple[int, int, int] = (200, 80, 40)) -> tuple[Document, bytes]:
    """The document and the binary part of an avatar."""
    facing = 1.0 if version == "1.0" else -1.0
    places = PLACES * (facing, 1, facing)
    sizes = np.array([(0.09, 0.1, 0.07) if name == "head" else (0.06, 0.06, 0.05) for name in NAMES])
    lift = np.array([(0, 0.1, 0) if name == "head" else (0, 0, 0) for name in NAMES])
    vertices = (places[:, None] + lift[:, None] + BOX * sizes[:, None]).reshape(-1, 3)
    faces = (BOX_FACES + 8 * np.arange(len(NAMES))[:, None, None]).reshape(-1, 1)
    joints = np.zeros((len(vertices), 4))
    joints[:, 0] = np.repeat(np.arange(len(NAMES)), 8)
    weights = np.tile([1.0, 0, 0, 0], (len(vertices), 1))
    inverse = np.tile(np.eye(4), (len(NAMES), 1, 1))
    inverse[:, :3, 3] = -places
    out = Buffer()
    image = out.view(png(color))
    attributes = {
        "POSITION": out.array(vertices, "VEC3", 5126, "<f4"),
        "NORMAL": out.array(np.tile(BOX / np.sqrt(3), (len(NAMES), 1)), "VEC3", 5126, "<f4"),
        "TEXCOORD_0": out.array(np.tile(BOX[:, :2] / 2 + 0.5, (len(NAMES), 1)), "VEC2", 5126, "<f4"),
        "JOINTS_0": out.array(joints, "VEC4", 5121, "<u1"),
        "WEIGHTS_0": out.array(weights, "VEC4", 5126, "<f4"),
    }
    primitive = {"attributes": attributes, "indices": out.array(faces, "SCALAR", 5123, "<u2"), "material": 0}
    skin = {
        "joints": list(range(len(NAMES))),
        "inverseBindMatrices": out.array(inverse.transpose(0, 2, 1).reshape(-1, 16), "MAT4", 5126, "<f4"),
    }
    if version == "1.0":
        meta: Document = {"name": "Boxes", "authors": ["A test"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
        human: Any = {name: {"node": bone} for bone, name in enumerate(NAMES)}
        extensions: Document = {"VRMC_vrm": {"specVersion": "1.0", "meta": meta, "humanoid": {"humanBones": human}}}
    else:
        meta = {"title": "Boxes", "author": "A test", "licenseName": "CC0", "commercialUssageName": "Allow"}
        human = [{"bone": name, "node": bone} for bone, name in enumerate(NAMES)]
        extensions = {"VRM": {"meta": meta, "humanoid": {"humanBones": human}, "materialProperties": []}}
    document = out.document(
        nodes=[*nodes(facing), {"name": "body", "mesh": 0, "skin": 0}],
        meshes=[{"primitives": [primitive]}],
        skins=[skin],
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        images=[{"bufferView": image, "mimeType": "image/png"}],
        textures=[{"source": 0}],
        extensions=extensions,
    )
    return document, bytes(out.binary)


def vrm(
    version: str = "1.0",
    color: tuple[int, int, int] = (200, 80, 40),
    change: Callable[[Document], object] = lambda document: None,
) -> bytes:
    """An avatar's file, its document changed by `change`."""
    document, binary = vrm_parts(version, color)
    document = copy.deepcopy(document)
    change(document)
    return glb_bytes(document, binary)


def vrma_parts(frames: int = 5) -> tuple[Document, bytes]:
    """A VRM animation: the left arm turns by 90° from the T-pose to straight up, in a second."""
    out = Buffer()
    half = np.linspace(0, np.pi / 4, frames)
    quaternions = np.stack([0 * half, 0 * half, np.sin(half), np.cos(half)], 1)
    times = out.array(np.linspace(0, 1, frames)[:, None], "SCALAR", 5126, "<f4")
    sampler = {"input": times, "output": out.array(quaternions, "VEC4", 5126, "<f4"), "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": NAMES.index("leftUpperArm"), "path": "rotation"}}
    human = {name: {"node": bone} for bone, name in enumerate(NAMES)}
    document = out.document(
        nodes=nodes(1.0),
        animations=[{"samplers": [sampler], "channels": [channel]}],
        extensions={"VRMC_vrm_animation": {"specVersion": "1.0", "humanoid": {"humanBones": human}}},
    )
    return document, bytes(out.binary)


def vrma(change: Callable[[Document], object] = lambda document: None) -> bytes:
    document, binary = vrma_parts()
    change(document)
    return glb_bytes(document, binary)


MOCAP_NAMES = {
    **{"hips": "Hips", "spine": "Spine", "neck": "Neck", "head": "Head"},
    **{
        side + bone: side.title() + name
        for side in ("left", "right")
        for bone, name in (
            *(("UpperArm", "Arm"), ("LowerArm", "ForeArm"), ("Hand", "Hand")),
            *(("UpperLeg", "UpLeg"), ("LowerLeg", "Leg"), ("Foot", "Foot")),
        )
    },
}


def bvh(offsets: Array, degrees: Array, root: Array, names: Sequence[str] | None = None) -> str:
    """A BVH file of the skeleton with joint offsets [n, 3], ZXY angles [frames, n, 3] and hip places [frames, 3]."""
    shown = names or [MOCAP_NAMES[name] for name in NAMES]

    def joint(bone: int, depth: int) -> str:
        pad, children = "  " * depth, [child for child, parent in enumerate(PARENTS) if parent == bone]
        position = "6 Xposition Yposition Zposition" if bone == 0 else "3"
        x, y, z = (repr(float(value)) for value in offsets[bone])
        inner = "".join(joint(child, depth + 1) for child in children)
        inner = inner or f"{pad}  End Site\n{pad}  {{\n{pad}    OFFSET 0 0 0\n{pad}  }}\n"
        return (
            f"{pad}{'ROOT' if bone == 0 else 'JOINT'} {shown[bone]}\n{pad}{{\n{pad}  OFFSET {x} {y} {z}\n"
            f"{pad}  CHANNELS {position} Zrotation Xrotation Yrotation\n{inner}{pad}}}\n"
        )

    order = depth_first()
    lines = [" ".join(map(repr, (*map(float, root[f]), *degrees[f][order].ravel().tolist()))) for f in range(len(root))]
    return f"HIERARCHY\n{joint(0, 0)}MOTION\nFrames: {len(root)}\nFrame Time: 0.1\n" + "\n".join(lines) + "\n"


def depth_first() -> list[int]:
    """Bones in the order in which BVH lists them."""
    order: list[int] = []
    waiting = [0]
    while waiting:
        order.append(waiting.pop())
        waiting += [child for child, parent in enumerate(PARENTS) if parent == order[-1]][::-1]
    return order
