"""The triangles of an avatar: primitives of skinned and of rigid meshes as one set of vertex arrays.

Primitives that share their vertex arrays share them here too, and of each array only the vertices that a
triangle uses are kept: some exporters give every material the vertices of the whole body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.data.avatars.fields import Field
from bench.data.avatars.glb import MAX_OBJECTS, Array, Glb
from bench.data.avatars.materials import Surface
from bench.data.avatars.nodes import Tree
from bench.data.render.model import F32, F64, I32
from bench.errors import DataError

MAX_VERTICES = 2_000_000
MAX_TRIANGLES = 2_000_000
TRIANGLES = 4  # glTF's mode of a primitive
LARGEST_UV = 1e4  # turns of a repeated texture
ROUNDING = 1e-5  # of weights in float32; sums further off are normalised

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """Vertex arrays as in `render.model.Model`; `palette` counts bones of the tree."""

    positions: F32
    normals: F32
    uv: F32
    joints: I32
    weights: F32
    faces: I32
    face_material: I32
    palette: I32
    inverse_bind: F64


@dataclass
class _Palette:
    """Skinning matrices collected so far: (bone, inverse bind matrix)."""

    bones: list[int] = field(default_factory=list)
    inverse_bind: list[F64] = field(default_factory=list)
    first_of_skin: dict[int, tuple[int, int]] = field(default_factory=dict)  # skin -> (first entry, how many)
    of_node: dict[int, int] = field(default_factory=dict)  # node of a rigid mesh -> entry


@dataclass
class _Part:
    """One vertex array and the triangles on it; `order` says where each triangle stands in the file."""

    vertices: tuple[F32, F32 | None, F32, I64, F64]  # positions, normals if given, uv, joints, weights
    faces: list[I64] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # of each entry of `faces`
    materials: list[int] = field(default_factory=list)


def read_mesh(glb: Glb, tree: Tree, surfaces: Sequence[Surface], hidden: Callable[[int, int], bool]) -> Mesh:
    """All triangles, in the order of the file. The last of `surfaces` is for primitives that name none.

    `hidden(node, mesh)` tells, by their numbers in the file, what only the avatar's wearer sees.
    Raises DataError when arrays do not fit each other or there is no triangle.
    """
    palette = _Palette()
    parts: dict[tuple[object, ...], _Part] = {}
    count = vertices = triangles = 0
    for number, node in enumerate(glb.entries("nodes")):
        reference = node.get("mesh")
        if reference is None:
            continue
        mesh = glb.refer(reference, "meshes")
        if hidden(number, reference.integer(0, MAX_OBJECTS)):
            continue
        for primitive in mesh.items("primitives", 4096):
            mode = primitive.get("mode")
            if mode is not None and mode.integer(0, 6) != TRIANGLES:
                continue  # points and lines are no surface
            material = _material(primitive, len(surfaces))
            key = _key(primitive, number, node, surfaces[material])
            if key not in parts:
                parts[key] = _part(glb, tree, primitive, number, node, surfaces[material], palette)
                vertices += len(parts[key].vertices[0])
                if vertices > MAX_VERTICES:
                    raise DataError(f"more than {MAX_VERTICES} vertices; export a simpler avatar")
            faces = _faces(glb, primitive, len(parts[key].vertices[0]))
            triangles += len(faces)
            if triangles > MAX_TRIANGLES:
                raise DataError(f"more than {MAX_TRIANGLES} triangles; export a simpler avatar")
            parts[key].faces.append(faces)
            parts[key].order.append(count)
            parts[key].materials.append(material)
            count += 1
    if not triangles:
        raise DataError("no triangle in it; export the avatar with its meshes")
    return _joined(list(parts.values()), palette)


def _material(primitive: Field, surfaces: int) -> int:
    reference = primitive.get("material")
    return surfaces - 1 if reference is None else reference.integer(0, max(surfaces - 2, 0))


def _key(primitive: Field, number: int, node: Field, surface: Surface) -> tuple[object, ...]:
    """What two primitives must have in common to share their vertices."""
    attributes = primitive.at("attributes").members()
    skin = node.get("skin")
    where: object = number if skin is None else ("skin", skin.integer(0, MAX_OBJECTS))
    arrays = tuple(sorted((name, field.integer(0, MAX_OBJECTS)) for name, field in attributes.items()))
    return (where, arrays, surface.turn.tobytes(), surface.shift.tobytes())


def _part(
    glb: Glb, tree: Tree, primitive: Field, number: int, node: Field, surface: Surface, palette: _Palette
) -> _Part:
    attributes = primitive.at("attributes")
    positions = glb.array(attributes.at("POSITION"), "VEC3").astype(np.float32)
    count = len(positions)
    normals, coordinates = attributes.get("NORMAL"), attributes.get("TEXCOORD_0")
    uv = glb.array(coordinates, "VEC2", count=count) if coordinates else np.zeros((count, 2), np.float32)
    moved = uv.astype(np.float32)
    if not (np.array_equal(surface.turn, np.eye(2)) and not surface.shift.any()):
        moved = (uv @ surface.turn.T + surface.shift).astype(np.float32)
    if np.abs(moved).max() > LARGEST_UV:
        raise primitive.fault("given texture coordinates that are far out of any texture")
    skin = node.get("skin")
    if skin is not None and attributes.get("JOINTS_0") is not None:
        joints, weights = _influences(glb, attributes, count)
        first, bones = _skin(glb, tree, skin, palette)
        used = weights > 0
        if (joints[used] >= bones).any():
            raise primitive.fault(f"bound to joint {int(joints[used].max())} of a skin of {bones}")
        joints = np.where(used, joints, 0) + first
    else:
        joints = np.full((count, 4), _rigid(tree, number, palette), np.int64)
        weights = np.tile(np.array([1.0, 0.0, 0.0, 0.0]), (count, 1))
    given = glb.array(normals, "VEC3", count=count).astype(np.float32) if normals else None
    return _Part((positions, given, moved, joints, weights))


def _influences(glb: Glb, attributes: Field, count: int) -> tuple[I64, F64]:
    """The four strongest joints [n, 4] of each vertex and their weights [n, 4], of sum 1."""
    joints: list[Array] = []
    weights: list[Array] = []
    for number in range(4):
        bound = attributes.get(f"JOINTS_{number}")
        if bound is None:
            break
        joints.append(glb.array(bound, "VEC4", count=count).astype(np.int64))
        weights.append(glb.array(attributes.at(f"WEIGHTS_{number}"), "VEC4", count=count).astype(np.float64))
    joint, weight = np.concatenate(joints, 1), np.maximum(np.concatenate(weights, 1), 0.0)
    if joint.min() < 0:
        raise attributes.fault("bound to a joint of negative number")
    if joint.shape[1] > 4:
        strongest = np.argsort(-weight, 1, kind="stable")[:, :4]
        joint, weight = np.take_along_axis(joint, strongest, 1), np.take_along_axis(weight, strongest, 1)
    total = weight.sum(1, keepdims=True)
    weight = np.where(total > 0, weight, (1.0, 0.0, 0.0, 0.0))  # a vertex without weights goes with its first joint
    total = np.where(total > 0, total, 1.0)
    return joint, np.where(np.abs(total - 1) > ROUNDING, weight / total, weight)


def _skin(glb: Glb, tree: Tree, reference: Field, palette: _Palette) -> tuple[int, int]:
    """First palette entry of a skin and how many it has."""
    skin = glb.refer(reference, "skins")
    number = reference.integer(0, MAX_OBJECTS)
    if number not in palette.first_of_skin:
        nodes = [joint.integer(0, len(tree.names) - 1) for joint in skin.items("joints", 4096)]
        if not nodes:
            raise skin.fault("a skin without joints")
        matrices = skin.get("inverseBindMatrices")
        inverse = np.tile(np.eye(4), (len(nodes), 1, 1))
        if matrices is not None:
            stored = glb.array(matrices, "MAT4")
            if len(stored) < len(nodes):
                raise matrices.fault(f"{len(stored)} matrices for {len(nodes)} joints")
            inverse = stored[: len(nodes)].astype(np.float64).reshape(-1, 4, 4).transpose(0, 2, 1)
        palette.first_of_skin[number] = len(palette.bones), len(nodes)
        palette.bones += [tree.place_of[node] for node in nodes]
        palette.inverse_bind += list(inverse)
    return palette.first_of_skin[number]


def _rigid(tree: Tree, number: int, palette: _Palette) -> int:
    """Palette entry of a mesh that moves with its node."""
    if number not in palette.of_node:
        palette.of_node[number] = len(palette.bones)
        palette.bones.append(tree.place_of[number])
        palette.inverse_bind.append(np.eye(4))
    return palette.of_node[number]


def _faces(glb: Glb, primitive: Field, vertices: int) -> I64:
    """Triangles [n, 3]."""
    indices = primitive.get("indices")
    listed = np.arange(vertices) if indices is None else glb.array(indices, "SCALAR")[:, 0].astype(np.int64)
    if len(listed) % 3:
        raise primitive.fault(f"of {len(listed)} corners, which is no number of triangles")
    if listed.size and not 0 <= listed.min() <= listed.max() < vertices:
        raise primitive.fault(f"with a corner outside its {vertices} vertices")
    return listed.reshape(-1, 3)


def _joined(parts: list[_Part], palette: _Palette) -> Mesh:
    """All parts in one, triangles in the order of the file."""
    columns: list[list[Array]] = [[], [], [], [], []]
    runs: list[tuple[int, I64, int]] = []
    offset = 0
    for part in parts:
        faces = np.concatenate(part.faces)
        used = np.unique(faces)
        place = np.zeros(len(part.vertices[0]), np.int64)
        place[used] = np.arange(len(used)) + offset
        positions, normals, uv, joints, weights = part.vertices
        arrays: list[Array] = [positions, _normals(positions, faces) if normals is None else normals]
        for column, array in zip(columns, [*arrays, uv, joints, weights], strict=True):
            column.append(array[used])
        runs += [(o, place[f], m) for o, f, m in zip(part.order, part.faces, part.materials, strict=True)]
        offset += len(used)
    runs.sort(key=lambda run: run[0])
    joined = [np.concatenate(column) for column in columns]
    return Mesh(
        positions=joined[0],
        normals=joined[1],
        uv=joined[2],
        joints=joined[3].astype(np.int32),
        weights=joined[4].astype(np.float32),
        faces=np.concatenate([faces for _, faces, _ in runs]).astype(np.int32),
        face_material=np.concatenate([np.full(len(faces), material, np.int32) for _, faces, material in runs]),
        palette=np.array(palette.bones, np.int32),
        inverse_bind=np.stack(palette.inverse_bind),
    )


def _normals(positions: F32, faces: I64) -> F32:
    """Unit vertex normals [n, 3] from the triangles."""
    a, b, c = (positions[faces[:, corner]].astype(np.float64) for corner in range(3))
    of_face = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    total = np.stack([np.bincount(faces.ravel(), of_face[:, axis], len(positions)) for axis in range(3)], 1)
    length = np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
    return np.asarray(total / length, np.float32)
