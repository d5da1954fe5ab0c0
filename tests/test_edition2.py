"""Edition 2 of the characters: fingers, faces, cloth and arms; and edition 1, which stays what it was to the pixel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.cli.data import _sized
from bench.data.avatars.export import export_character
from bench.data.avatars.vrm import read_vrm
from bench.data.layout import pixel_digest
from bench.data.recipe import Recipe, generator_version, render_character
from bench.data.render.camera import frame_camera
from bench.data.render.characters import character, sample_traits
from bench.data.render.characters.colors import OFF_WHITE
from bench.data.render.characters.skeleton import figure, skeleton
from bench.data.render.dance import ARM_MOVES, ONE_LEG_MOVES, STAND, Move
from bench.data.render.edition2.actor import Actor, Stage, actor
from bench.data.render.edition2.clearance import _outside
from bench.data.render.edition2.expressions import EXPRESSIONS, NEUTRAL
from bench.data.render.edition2.extras import sample_extras
from bench.data.render.edition2.hands import SHAPES, all_hands, hand_parts
from bench.data.render.edition2.looks import EXPRESSION_WEIGHTS, HAND_WEIGHTS, Look, look_of
from bench.data.render.edition2.tailor import Tailor
from bench.data.render.pose import Pose, apply_pose, direction, relaxed_pose
from bench.data.render.raster import Renderer
from bench.errors import UsageError
from bench.presets import PRESETS

SEEDS = (0, 3, 4, 7, 9, 2_000_009)  # a coat, a dress, a pleated skirt, a kimono, a shirt, a cape over a skirt
SKIRT = 4
SIZE = 96


@pytest.fixture(scope="module")
def actors() -> dict[int, Actor]:
    return {seed: actor(seed) for seed in SEEDS}


def danced(arm: Move, left_leg: Move = STAND, right_leg: Move = STAND) -> Pose:
    """Both arms in one move."""
    limbs = {}
    for side, sign, leg in (("left", 1, left_leg), ("right", -1, right_leg)):
        for limb, move in (("Arm", arm), ("Leg", leg)):
            for part, (azimuth, elevation) in zip(("Upper", "Lower"), move, strict=True):
                limbs[side + part + limb] = direction(sign * azimuth, elevation)
    return Pose(limbs)


# --- edition 1 stays --------------------------------------------------------------------------------------------


def test_edition_1_has_the_version_and_the_digests_that_it_had_before_there_was_another() -> None:
    assert generator_version() == generator_version(1) == "3d727d4b697832c3"
    assert Recipe.of(PRESETS["quick"].data).digest == "ef04385c6ef326be"
    assert Recipe.of(PRESETS["smoke"].data).digest == "735630c418a19810"
    assert "edition" not in Recipe.of(PRESETS["quick"].data).as_json()


@pytest.mark.parametrize(
    ("seed", "pixels"),
    [
        (7, "66ce2bed284b17ada920bd0d04c1bb7bd97dded206182aaceea082c5ff883e79"),
        (2_000_003, "c6237a5401bc74b89e699799106d635509b6bfc26ecaeb8b66af7dd94efa2b33"),
    ],
)
def test_edition_1_draws_the_pixels_that_it_drew_before_there_was_another(seed: int, pixels: str) -> None:
    assert pixel_digest(render_character(Recipe(64, 1, 1, 1, 8), seed).images) == pixels


def test_presets_with_results_keep_edition_1_and_the_others_have_2() -> None:
    assert {name: preset.data.edition for name, preset in PRESETS.items()} == {
        "smoke": 1, "quick": 1, "standard": 2, "paper": 2,
    }  # fmt: skip
    assert Recipe.of(PRESETS["paper"].data).generator_version == generator_version(2) != generator_version(1)
    assert _sized("quick", None).data == PRESETS["quick"].data
    assert Recipe.of(_sized("quick", 2).data).edition == 2
    assert Recipe.of(_sized("paper", 1).data).generator_version == generator_version(1)


def test_an_edition_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="edition"):
        Recipe(64, 1, 1, 1, 8, edition=3)


# --- the characters of edition 2 --------------------------------------------------------------------------------


def test_meshes_are_sound_and_tags_are_plain(actors: dict[int, Actor]) -> None:
    for made in actors.values():
        model = made.model
        assert np.isfinite(model.positions).all() and np.isfinite(model.normals).all()
        assert np.abs(model.weights.sum(1) - 1).max() < 1e-5
        assert np.abs(np.linalg.norm(model.normals, axis=1) - 1).max() < 1e-4
        assert model.faces.max() < len(model.positions) and 10_000 < len(model.faces) < 40_000
        assert json.loads(json.dumps(model.tags)) == model.tags
        assert model.tags["edition"] == 2


def test_the_people_are_those_of_edition_1(actors: dict[int, Actor]) -> None:
    for seed, made in actors.items():
        before = character(seed)
        assert {name: made.model.tags[name] for name in before.tags} == before.tags
        assert np.array_equal(made.model.face_anchors, before.face_anchors)
        assert made.model.skeleton.names == before.skeleton.names


def test_extras_vary() -> None:
    extras = [sample_extras(sample_traits(seed)) for seed in range(200)]
    for name, least in (("collar", 6), ("gloves", 3), ("eye_style", 4), ("face_mark", 5), ("top_ornament", 5)):
        assert len({getattr(e, name) for e in extras}) >= least, name
    for e, seed in zip(extras, range(200), strict=True):
        if e.gloves == "long":
            assert sample_traits(seed).clothes.sleeve not in ("long", "wide")


def test_a_character_is_a_pure_function_of_its_seed_and_its_edition() -> None:
    recipe = Recipe(48, 1, 1, 1, 8, edition=2)
    first, again = render_character(recipe, 5), render_character(recipe, 5)
    before = render_character(replace(recipe, edition=1, generator_version=""), 5)
    assert pixel_digest(first.images) == pixel_digest(again.images) != pixel_digest(before.images)
    assert [f.time for f in first.frames] == [f.time for f in before.frames]
    for one, other in zip(first.frames[:4], before.frames[:4], strict=True):  # relaxed arms need no mending
        assert np.abs(one.keypoints[:, :2] - other.keypoints[:, :2]).max() < 2


def test_an_exported_character_of_edition_2_has_the_neutral_face(actors: dict[int, Actor], tmp_path: Path) -> None:
    export_character(SKIRT, tmp_path / "c.vrm", edition=2)
    read, written = read_vrm(tmp_path / "c.vrm").model, actors[SKIRT].model
    assert any(np.array_equal(texture, actors[SKIRT].faces[NEUTRAL]) for texture in read.textures)
    assert np.array_equal(read.positions[read.faces], written.positions[written.faces])


# --- hands and faces --------------------------------------------------------------------------------------------


def test_hand_shapes_differ_in_places_only() -> None:
    shapes = all_hands(figure(sample_traits(0).body))
    assert set(shapes) == set(SHAPES) == set(HAND_WEIGHTS)
    sizes = {hands.left[0].shape for hands in shapes.values()} | {hands.right[1].shape for hands in shapes.values()}
    assert len(sizes) == 1
    for hands in shapes.values():
        assert np.allclose(hands.left[0] * (-1, 1, 1), hands.right[0], atol=1e-6)


def test_fingers_are_apart_in_an_open_hand_and_bent_in_a_fist() -> None:
    f = figure(sample_traits(0).body)

    def tips(shape: str) -> np.ndarray:
        return np.array([part.vertices[-1] for part in hand_parts(f, SHAPES[shape])[1:]])  # four fingers, thumb

    open_tips, fist, peace = tips("open"), tips("fist"), tips("peace")
    gaps = np.linalg.norm(np.diff(open_tips[:4], axis=0), axis=1)
    assert gaps.min() > 0.012 * f.scale, "fingers of an open hand stand apart"
    assert open_tips[4, 2] > open_tips[0, 2], "the thumb is in front"
    assert (fist[:4, 0] < open_tips[:4, 0] - 0.02 * f.scale).all(), "the fingers of a fist are bent back"
    straight = peace[:4, 0] > open_tips[:4, 0] - 0.01 * f.scale
    assert straight.tolist() == [True, True, False, False]


def test_every_expression_can_be_told_apart_and_lies_within_the_face(actors: dict[int, Actor]) -> None:
    for made in actors.values():
        assert set(made.faces) == set(EXPRESSIONS) == set(EXPRESSION_WEIGHTS)
        faces = [texture.astype(int) for texture in made.faces.values()]
        for i, face in enumerate(faces):
            assert all((np.abs(face - other).max(2) > 60).mean() > 0.002 for other in faces[:i])
            assert np.array_equal(face[:8], faces[0][:8]), "the ground of skin is the same"


def test_basic_views_are_neutral_and_dances_show_everything() -> None:
    assert {look_of(seed, None, frame) for seed in range(5) for frame in range(4)} == {Look()}
    looks = [look_of(3, clip, frame) for clip in ("A", "B") for frame in range(200)]
    assert {look.expression for look in looks} == set(EXPRESSIONS)
    assert {look.left_hand for look in looks} == {look.right_hand for look in looks} == set(SHAPES)
    assert looks[7] == look_of(3, "A", 7)


def test_a_look_changes_face_and_hands_and_can_be_taken_off(actors: dict[int, Actor]) -> None:
    made = actors[SKIRT]
    stage = Stage(made, SIZE)
    world = made.pose(relaxed_pose())
    camera = frame_camera([stage.vertices(world)], SIZE)
    plain = stage.render(world, camera).rgba
    stage.wear(Look("laughing", "open", "fist"))
    changed = np.abs(stage.render(world, camera).rgba.astype(int) - plain).max(2) > 0
    stage.wear(Look())
    assert np.array_equal(stage.render(world, camera).rgba, plain)
    rows, columns = np.nonzero(changed)
    bones = made.model.skeleton.human
    places = camera.project(world[[bones["head"], bones["leftHand"], bones["rightHand"]], :3, 3])[:, :2]
    near = np.hypot(columns[:, None] - places[:, 0], rows[:, None] - places[:, 1]).argmin(1)
    assert {0, 1, 2} == set(near.tolist())
    assert np.hypot(columns - places[near, 0], rows - places[near, 1]).max() < SIZE / 4
    with pytest.raises(KeyError):
        stage.wear(Look("bored"))


# --- cloth and arms ---------------------------------------------------------------------------------------------


def inside_of_thigh(made: Actor, world: np.ndarray, vertices: np.ndarray) -> int:
    """How many places of the skirt lie well inside the left thigh."""
    assert made.drape is not None
    bones = made.model.skeleton.human
    start, end = world[bones["leftUpperLeg"], :3, 3], world[bones["leftLowerLeg"], :3, 3]
    away = vertices[made.drape.vertex] - start
    along = away @ (end - start) / ((end - start) @ (end - start))
    apart = np.linalg.norm(away - along[:, None] * (end - start), axis=1)
    return int(((along > 0.25) & (along < 0.95) & (apart < 0.95 * made.drape.radii[0, 1])).sum())


def test_skirts_give_way_to_a_raised_knee(actors: dict[int, Actor]) -> None:
    before = after = 0
    for seed in (SKIRT, 7, 9):
        made = actors[seed]
        for leg in ("knee up", "kick", "crossed", "side kick"):
            world = apply_pose(made.model, danced(ARM_MOVES["up"], ONE_LEG_MOVES[leg]))
            before += inside_of_thigh(made, world, Renderer(made.model, 8).vertices(world))
            after += inside_of_thigh(made, world, Stage(made, 8).vertices(world))
    assert before > 20 and after < 0.15 * before


def test_a_skirt_hangs_as_it_was_made_where_no_leg_touches_it(actors: dict[int, Actor]) -> None:
    for seed in (3, SKIRT, 7, 9):
        made = actors[seed]
        world = made.pose(relaxed_pose())
        assert np.array_equal(Stage(made, 8).vertices(world), Renderer(made.model, 8).vertices(world))


def test_arms_keep_off_the_body_and_free_ones_stay_as_they_are(actors: dict[int, Actor]) -> None:
    held = 0
    for made in actors.values():
        for pose in (relaxed_pose(), danced(ARM_MOVES["up"])):
            assert np.array_equal(made.pose(pose)[:, :3, 3], apply_pose(made.model, pose)[:, :3, 3])
        deep = danced(((25, -50), (-100, -10)))  # forearms that would go through the belly
        hands = [made.model.skeleton.human[side + "Hand"] for side in ("left", "right")]
        inside = [
            sum(_outside(made.model, made.girth, world, world[hand, :3, 3]) is not None for hand in hands)
            for world in (apply_pose(made.model, deep), made.pose(deep))
        ]
        held += inside[0]
        assert inside[1] == 0
    assert held > 0


def test_raised_hands_show_their_palms_and_no_joint_moves(actors: dict[int, Actor]) -> None:
    made = actors[9]
    pose = danced(ARM_MOVES["flex"])
    world, plain = made.pose(pose), apply_pose(made.model, pose)
    assert np.array_equal(world[:, :3, 3], plain[:, :3, 3])
    for side in ("leftHand", "rightHand"):
        hand = made.model.skeleton.human[side]
        palm, before = -world[hand, :3, 1], -plain[hand, :3, 1]
        assert palm[2] > 0.8 > before[2]
        assert np.allclose(world[hand, :3, :3] @ world[hand, :3, :3].T, np.eye(3))


def test_light_cloth_has_darker_edges_and_other_cloth_is_left_alone() -> None:
    traits = sample_traits(0)
    f = figure(traits.body)
    mesh = Tailor(skeleton(f), f, traits, sample_extras(traits))
    for color in (OFF_WHITE, (60, 40, 120)):
        mesh.material("frill", color)
    model = mesh_model(mesh)
    white, dark = model.materials
    assert max(w / c for w, c in zip(white.shade, white.color, strict=False)) < 0.9
    assert white.outline_width > dark.outline_width
    assert max(white.outline_color) < 0.3


def mesh_model(mesh: Tailor):  # type: ignore[no-untyped-def]
    """The model of a mesh that needs some part to be one."""
    from bench.data.render.characters.mesh import ellipsoid

    mesh.add(ellipsoid((0, 1, 0), (0.1, 0.1, 0.1)), "hips", 0)
    return mesh.model(np.zeros((5, 3)), {})
