"""A VRM 0.x or 1.0 file as the renderer's model of a character, with its authorship and licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.avatars.face import face_anchors
from bench.data.avatars.fields import Field
from bench.data.avatars.glb import MAX_OBJECTS, Glb, parse_glb, read_glb
from bench.data.avatars.humanoid import LIMBS, Meta, human_bones, read_meta, vrm_block
from bench.data.avatars.materials import read_surfaces, with_mixed_outline
from bench.data.avatars.mesh import Mesh, read_mesh
from bench.data.avatars.nodes import Tree, read_tree
from bench.data.avatars.textures import LARGEST_TEXTURE, Textures
from bench.data.render.model import F64, Model, Skeleton
from bench.errors import DataError

OWN_EXTRAS = "anime-pose-bench"  # of the asset: what VRM has no place for in the suite's own characters
SMALLEST, LARGEST = 0.1, 20.0  # metres from the lowest to the highest vertex
SHORTEST_LIMB = 1e-3  # metres
FLOAT32_ROUNDING = 1e-6  # of matrices that VRM stores in single precision


@dataclass(frozen=True)
class Avatar:
    """A character and what its file says of it."""

    model: Model
    meta: Meta


def read_vrm(path: Path, largest_texture: int = LARGEST_TEXTURE) -> Avatar:
    """Read an avatar; raises DataError, without the file's name, when it cannot be used."""
    return avatar_of(read_glb(path), largest_texture)


def parse_vrm(content: bytes) -> Avatar:
    """An avatar from the content of a file; raises DataError."""
    return avatar_of(parse_glb(content))


def avatar_of(glb: Glb, largest_texture: int = LARGEST_TEXTURE) -> Avatar:
    """The avatar in an open file: faces +Z in VRM 1.0, −Z in 0.x; textures in pixels a side. Raises DataError."""
    version, block = vrm_block(glb)
    tree = read_tree(glb)
    human = human_bones(glb, version, block, tree)
    meta = read_meta(version, block)
    textures = Textures(glb, largest_texture)
    surfaces = read_surfaces(glb, textures, block if version == "0.x" else None)
    mesh = read_mesh(glb, tree, surfaces, _first_person_only(version, block))
    facing = 1.0 if version == "1.0" else -1.0
    world = _skeleton(tree, human).globals()
    inverse_bind = _exact_inverse(world[mesh.palette], mesh.inverse_bind)
    rest = _rest_vertices(mesh, world, inverse_bind)
    _check_shape(rest, world, human, facing)

    materials = tuple(
        with_mixed_outline(surface, mesh.uv[mesh.faces[mesh.face_material == index].ravel()], textures.pictures)
        for index, surface in enumerate(surfaces)
    )
    own = glb.document.find("asset", "extras", OWN_EXTRAS)
    if own is None:
        anchors = face_anchors(mesh, tree, human, world, rest, facing)
    else:
        anchors = np.array(own.at("faceAnchors").numbers(15)).reshape(5, 3)
        nodes = len(tree.names)
        for name, node in own.at("bones").members().items():
            human.setdefault(name, tree.place_of[node.integer(0, nodes - 1)])
    model = Model(
        positions=mesh.positions,
        normals=mesh.normals,
        uv=mesh.uv,
        joints=mesh.joints,
        weights=mesh.weights,
        faces=mesh.faces,
        face_material=mesh.face_material,
        materials=materials,
        textures=tuple(textures.pictures),
        skeleton=_skeleton(tree, human),
        palette=mesh.palette,
        inverse_bind=inverse_bind,
        face_anchors=anchors,
        facing=facing,
    )
    return Avatar(model, meta)


def _first_person_only(version: str, block: Field) -> Callable[[int, int], bool]:
    """Whether (node, mesh) is shown to the avatar's wearer alone, as hands seen from a head without a face."""
    listed = block.find("firstPerson")
    kind, what = ("type", "node") if version == "1.0" else ("firstPersonFlag", "mesh")
    hidden = set()
    for entry in listed.items("meshAnnotations", MAX_OBJECTS) if listed else []:
        said = entry.get(kind)
        if said is not None and said.text().lower() == "firstpersononly":
            hidden.add(entry.at(what).integer(0, MAX_OBJECTS))
    if version == "1.0":
        return lambda node, mesh: node in hidden
    return lambda node, mesh: mesh in hidden


def _skeleton(tree: Tree, human: dict[str, int]) -> Skeleton:
    """The nodes as bones; a foot hangs on its shin without helper nodes between, which may lie in the foot."""
    parents, translations, rotations, scales = (
        np.array(tree.parents, np.int32),
        tree.translations.copy(),
        tree.rotations.copy(),
        tree.scales.copy(),
    )
    for _, shin, foot in (limb for limb in LIMBS if limb[2].endswith("Foot")):
        bone, above = human[foot], human[shin]
        while parents[bone] != above:
            helper = parents[bone]
            translations[bone] = translations[helper] + rotations[helper] @ (scales[helper] * translations[bone])
            rotations[bone] = rotations[helper] @ rotations[bone]
            scales[bone] = scales[helper] * scales[bone]
            parents[bone] = parents[helper]
    unscaled = bool((scales == 1).all())
    return Skeleton(tree.names, parents, translations, rotations, human, None if unscaled else scales)


def _exact_inverse(world: F64, stored: F64) -> F64:
    """Inverse bind matrices [P, 4, 4] in double precision where they mean the rest pose to float32's rounding.

    So a character that was written in single precision is skinned to the bit as before.
    """
    regular = np.abs(np.linalg.det(world)) > 1e-12
    exact = np.linalg.inv(np.where(regular[:, None, None], world, np.eye(4)))
    size = 1 + np.abs(stored).max((1, 2))
    same = regular & (np.abs(exact - stored).max((1, 2)) < FLOAT32_ROUNDING * size)
    return np.where(same[:, None, None], exact, stored)


def _rest_vertices(mesh: Mesh, world: F64, inverse_bind: F64) -> F64:
    """World places of the vertices at rest [V, 3]."""
    matrices = (world[mesh.palette] @ inverse_bind)[:, :3]
    places = np.zeros((len(mesh.positions), 3))
    points = np.concatenate([mesh.positions, np.ones((len(mesh.positions), 1), np.float32)], 1).astype(np.float64)
    for influence in range(4):
        turned = np.einsum("nij,nj->ni", matrices[mesh.joints[:, influence]], points)
        places += mesh.weights[:, influence, None] * turned
    return places


def _check_shape(rest: F64, world: F64, human: dict[str, int], facing: float) -> None:
    """Raise DataError when the body is no body: infinite, of no human size, limbs without length, mirrored."""
    if not (np.isfinite(rest).all() and np.isfinite(world).all()):
        raise DataError("its bones blow the mesh up to infinity; export the avatar again")
    extent = rest.max(0) - rest.min(0)
    if not SMALLEST <= extent[1] <= LARGEST or extent.max() > LARGEST:
        sizes = " × ".join(f"{side:.3g}" for side in extent)
        raise DataError(f"{sizes} m large where {SMALLEST} to {LARGEST} m are expected; export it in metres")
    for upper, lower, end in LIMBS:
        for start, stop in ((upper, lower), (lower, end)):
            if np.linalg.norm(world[human[stop], :3, 3] - world[human[start], :3, 3]) < SHORTEST_LIMB:
                raise DataError(f"bones {start} and {stop} are at one place; assign the bones again and export")
    if np.abs(np.linalg.det(world[human["head"], :3, :3])) < 1e-9:
        raise DataError("the head bone is scaled to nothing; export the avatar again")
    if facing * (world[human["leftUpperLeg"], 0, 3] - world[human["rightUpperLeg"], 0, 3]) <= 0:
        raise DataError(f"its left leg is on the right when facing {'+' if facing > 0 else '-'}Z; turn it and export")
