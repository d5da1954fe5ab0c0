"""Procedural characters: sound meshes, bodies with two like sides, identities that differ and stay."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bench.data.render.characters import build, character, sample_traits, tags
from bench.data.render.characters.body import add_body
from bench.data.render.characters.colors import OFF_WHITE, distance
from bench.data.render.characters.mesh import MeshBuilder, ellipsoid, grid, ring_stack, tube
from bench.data.render.characters.skeleton import EXTRA_BONES, HUMAN_BONES, figure, skeleton
from bench.data.render.model import Model

SEEDS = range(12)


@pytest.fixture(scope="module")
def characters() -> list[Model]:
    return [character(seed) for seed in SEEDS]


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_every_mesh_is_sound(characters: list[Model]) -> None:
    for model in characters:
        count = len(model.positions)
        for array in (model.positions, model.normals, model.uv, model.weights, model.face_anchors):
            assert np.isfinite(array).all()
        assert model.faces.min() >= 0 and model.faces.max() < count
        assert model.joints.min() >= 0 and model.joints.max() < len(model.palette)
        assert model.face_material.min() >= 0 and model.face_material.max() < len(model.materials)
        assert np.abs(model.weights.sum(1) - 1).max() < 1e-5 and model.weights.min() >= 0
        assert np.abs(np.linalg.norm(model.normals, axis=1) - 1).max() < 1e-4
        assert 10_000 < len(model.faces) < 40_000
        for material in model.materials:
            assert -1 <= material.texture < len(model.textures)
            assert max(material.color) <= 1 and min(material.outline_color) >= 0


def test_textures_are_rgba(characters: list[Model]) -> None:
    for texture in characters[0].textures:
        assert texture.dtype == np.uint8 and texture.ndim == 3 and texture.shape[2] == 4


def test_every_bone_of_the_skeleton_is_there_and_bound_at_rest(characters: list[Model]) -> None:
    for model in characters:
        bones = model.skeleton
        assert set(HUMAN_BONES + EXTRA_BONES) == set(bones.human)
        assert all(bones.names[index] == name for name, index in bones.human.items())
        assert all(parent < child for child, parent in enumerate(bones.parents))
        identity = model.skinning(bones.globals())
        assert np.abs(identity - np.eye(4)).max() < 1e-6


def test_a_character_stands_on_the_ground_at_its_height(characters: list[Model]) -> None:
    for seed, model in zip(SEEDS, characters, strict=True):
        skin = model.materials[int(model.face_material[0])]
        assert skin.name == "skin"
        assert abs(float(model.positions[:, 1].min())) < 0.02
        face = next(i for i, material in enumerate(model.materials) if material.name == "face")
        crown = model.positions[model.faces[model.face_material == face]][..., 1].max()
        assert abs(float(crown) - sample_traits(seed).body.height) < 0.03


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = character(3), character(3)
    for field in dataclasses.fields(Model):
        mine, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.tobytes() == other.tobytes()
    assert first.materials == second.materials
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first.textures, second.textures, strict=True))
    assert first.tags == second.tags


def test_seeds_give_different_people() -> None:
    described = [json.dumps({**tags(sample_traits(seed)), "seed": 0}) for seed in range(60)]
    assert len(set(described)) == 60
    for name, least in (("hair", 7), ("bangs", 5), ("top", 7), ("bottom", 6), ("sleeve", 4), ("legwear", 5)):
        assert len({tags(sample_traits(seed))[name] for seed in range(120)}) >= least, name


def test_hair_top_and_bottom_can_be_told_apart() -> None:
    clear = 0
    for seed in range(100):
        traits = sample_traits(seed)
        clothes, hair = traits.clothes, traits.hair.color
        gaps = [distance(clothes.top_color, hair), distance(clothes.top_color, traits.body.skin)]
        if clothes.bottom != "dress":
            gaps.append(distance(clothes.top_color, clothes.bottom_color))
        clear += min(gaps) > 90
    assert clear >= 97


def test_no_cloth_is_as_white_as_the_ground() -> None:
    for seed in range(200):
        clothes = sample_traits(seed).clothes
        for color in (clothes.top_color, clothes.bottom_color, clothes.accent, clothes.legwear_color):
            assert all(channel <= most for channel, most in zip(color, OFF_WHITE, strict=True))


def test_the_two_sides_of_a_body_are_alike() -> None:
    for seed in SEEDS:
        traits = sample_traits(seed)
        f = figure(traits.body)
        bones = skeleton(f)
        places = bones.globals()[:, :3, 3]
        for name, index in bones.human.items():
            if name.startswith("left"):
                other = places[bones.human["right" + name.removeprefix("left")]]
                assert np.array_equal(places[index] * (-1, 1, 1), other)
        mesh = MeshBuilder(bones)
        add_body(mesh, f, traits)
        points = mesh.model(np.zeros((5, 3)), {}).positions
        mirrored = points * np.float32([-1, 1, 1])
        order, other_order = (np.lexsort(np.round(p.T, 4) + 0.0) for p in (points, mirrored))
        assert np.abs(points[order] - mirrored[other_order]).max() < 1e-3


def test_face_anchors_lie_on_the_face(characters: list[Model]) -> None:
    for model in characters:
        nose, left_eye, right_eye, left_ear, right_ear = model.face_anchors
        assert nose[0] == 0 and nose[2] > 0
        assert left_eye[0] > 0 and left_ear[0] > left_eye[0]
        assert np.array_equal(left_eye * (-1, 1, 1), right_eye)
        assert np.array_equal(left_ear * (-1, 1, 1), right_ear)
        assert left_eye[1] > nose[1] > 0 and left_eye[2] > left_ear[2]


def test_tags_survive_json(characters: list[Model]) -> None:
    for model in characters:
        assert json.loads(json.dumps(model.tags)) == model.tags


@pytest.mark.parametrize(
    "surface",
    [
        ellipsoid((0.3, 1.0, -0.2), (0.1, 0.2, 0.3)),
        ellipsoid((0.3, 1.0, -0.2), (0.1, 0.2, 0.3)).mirrored(),
        grid(tube([(0, 0, 0), (1, 0, 0), (2, 0.5, 0)], 0.1, 0.2), cap_first=True, cap_last=True),
        grid(tube([(0, 2, 0), (0, 1, 0), (0, 0, 0)], 0.1, 0.2), cap_first=True, cap_last=True),
        grid(
            ring_stack(np.array([(0, 1.0, 0), (0, 0.0, 0)]), np.ones(2), np.ones(2)),
            cap_first=True,
            cap_last=True,
        ),
    ],
)
def test_closed_surfaces_face_outwards(surface) -> None:
    assert volume(surface.vertices, surface.faces) > 0
    centre = surface.vertices.mean(0)
    outward = np.einsum("ij,ij->i", surface.vertices - centre, surface.normals())
    assert np.median(outward) > 0


def test_normals_do_not_break_at_the_seam_of_a_ring() -> None:
    surface = grid(ring_stack(np.array([(0, 1.0, 0), (0, 0.5, 0), (0, 0.0, 0)]), np.ones(3), np.ones(3)))
    normals = surface.normals().reshape(3, 21, 3)
    assert np.abs(normals[:, 0] - normals[:, -1]).max() < 1e-9


@pytest.mark.parametrize("headwear", ["beret", "witch hat", "halo", "horns", "flower", "headphones"])
def test_headwear_moves_with_the_head(headwear: str) -> None:
    plain = dataclasses.replace(sample_traits(1), headwear="none", tail=False)
    worn = build(dataclasses.replace(plain, headwear=headwear))
    added = np.arange(len(worn.positions)) >= len(build(plain).positions)
    assert added.any()
    assert (worn.joints[added, 0] == worn.skeleton.human["head"]).all()
    assert (worn.weights[added, 0] == 1).all()


@pytest.mark.slow
def test_two_hundred_seeds_build() -> None:
    for seed in range(200):
        model = character(seed)
        assert np.isfinite(model.positions).all() and np.isfinite(model.normals).all()
