"""A glTF node tree as bones in an order where parents come first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.data.avatars.fields import Field
from bench.data.avatars.glb import Glb, is_rotation_length, matrix_of
from bench.data.render.model import F64
from bench.errors import DataError

MAX_NODES = 4096
FARTHEST = 1e4  # metres of a translation; centimetre files stay well below
LARGEST_SCALE = 1e3


@dataclass(frozen=True)
class Tree:
    """Nodes with parents before children. `place_of[i]` is where node i of the file stands here."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for a root
    translations: F64  # [n, 3], relative to the parent
    rotations: F64  # [n, 3, 3]
    scales: F64  # [n, 3]
    place_of: tuple[int, ...]

    def ancestors(self, node: int) -> list[int]:
        """Parent, its parent, … up to a root."""
        found = []
        while (node := self.parents[node]) >= 0:
            found.append(node)
        return found


def read_tree(glb: Glb) -> Tree:
    """The node tree; raises DataError when it is none (a loop, two parents) or a node's transform is broken."""
    nodes = glb.entries("nodes", MAX_NODES)
    if not nodes:
        raise DataError("nodes is missing; export the file again")
    parent = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for child in node.items("children", MAX_NODES):
            number = child.integer(0, len(nodes) - 1)
            if parent[number] >= 0:
                raise node.fault("the second parent of a node")
            parent[number] = index
    order = _parents_first(parent)
    if len(order) != len(nodes):
        raise DataError("nodes form a loop; export the file again")
    place_of = [0] * len(nodes)
    for place, index in enumerate(order):
        place_of[index] = place
    local = [_transform(nodes[index]) for index in order]
    return Tree(
        names=tuple(_name(nodes[index], index) for index in order),
        parents=tuple(-1 if parent[index] < 0 else place_of[parent[index]] for index in order),
        translations=np.stack([translation for translation, _, _ in local]),
        rotations=np.stack([rotation for _, rotation, _ in local]),
        scales=np.stack([scale for _, _, scale in local]),
        place_of=tuple(place_of),
    )


def _parents_first(parent: list[int]) -> list[int]:
    """Indices so that parents come before children: the file's own order where it is one."""
    if all(above < index for index, above in enumerate(parent)):
        return list(range(len(parent)))
    children: dict[int, list[int]] = {}
    for index, above in enumerate(parent):
        children.setdefault(above, []).append(index)
    order: list[int] = []
    waiting = children.get(-1, [])[::-1]
    while waiting:
        order.append(waiting.pop())
        waiting.extend(children.get(order[-1], [])[::-1])
    return order


def _name(node: Field, index: int) -> str:
    name = node.get("name")
    return str(index) if name is None else name.text()


def _transform(node: Field) -> tuple[F64, F64, F64]:
    """Translation [3], rotation [3, 3] and scale [3]."""
    matrix = node.get("matrix")
    if matrix is not None:
        whole = np.array(matrix.numbers(16, largest=FARTHEST)).reshape(4, 4).T
        scale = np.linalg.norm(whole[:3, :3], axis=0)
        if scale.min() < 1e-9:
            raise matrix.fault("a matrix that makes the model flat")
        if np.linalg.det(whole[:3, :3]) < 0:
            scale[0] = -scale[0]
        # the nearest rotation: a matrix of unequal scales below a turn is none by itself
        u, _, v = np.linalg.svd(whole[:3, :3] / scale)
        return whole[:3, 3], u @ v, scale
    translation, rotation, scaling = node.get("translation"), node.get("rotation"), node.get("scale")
    turn = np.eye(3)
    if rotation is not None:
        quaternion = rotation.numbers(4)
        if not is_rotation_length(quaternion):
            raise rotation.fault("a quaternion of length 0")
        if quaternion[:3] != [0.0, 0.0, 0.0]:
            turn = matrix_of(np.array(quaternion))
    return (
        np.zeros(3) if translation is None else np.array(translation.numbers(3, largest=FARTHEST)),
        turn,
        np.ones(3) if scaling is None else np.array(scaling.numbers(3, largest=LARGEST_SCALE)),
    )
