"""Renderer, camera, poses, dance and joints, on a humanoid of tubes built here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.data.render.camera import Camera, frame_camera, view_axes
from bench.data.render.dance import Dance
from bench.data.render.joints import BODY_BONES, joints_3d, keypoints
from bench.data.render.model import BLEND, CUTOUT, Material, Model, Skeleton
from bench.data.render.pose import Pose, align, apply_pose, blend, direction, rest_relaxed, rotation
from bench.data.render.random import Draws
from bench.data.render.raster import Frame, Renderer

SIZE = 96
SIDES = (("left", 1.0), ("right", -1.0))
SOLE = 0.04  # how far below the foot joints the ground is
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
LEFT_WRIST, RIGHT_WRIST = 9, 10


def bones(facing: float) -> list[tuple[str, str | None, tuple[float, float, float]]]:
    spine = [
        ("hips", None, (0, 0.85, 0)),
        ("spine", "hips", (0, 0.95, 0)),
        ("chest", "spine", (0, 1.10, 0)),
        ("neck", "chest", (0, 1.30, 0)),
        ("head", "neck", (0, 1.36, 0)),
        ("hairBack", "head", (0, 1.50, -0.09)),
        ("hairL", "head", (0.10, 1.50, 0)),
        ("hairR", "head", (-0.10, 1.50, 0)),
        ("tail", "hips", (0, 0.85, -0.10)),
    ]
    limbs = [
        (side + bone, parent if parent in ("chest", "hips") else side + parent, (sign * x, y, z))
        for side, sign in SIDES
        for bone, parent, (x, y, z) in (
            ("Shoulder", "chest", (0.04, 1.25, 0.0)),
            ("UpperArm", "Shoulder", (0.15, 1.25, 0.0)),
            ("LowerArm", "UpperArm", (0.38, 1.25, 0.0)),
            ("Hand", "LowerArm", (0.60, 1.25, 0.0)),
            ("UpperLeg", "hips", (0.09, 0.80, 0.0)),
            ("LowerLeg", "UpperLeg", (0.09, 0.44, 0.005)),
            ("Foot", "LowerLeg", (0.09, 0.08, 0.0)),
            ("Toes", "Foot", (0.09, SOLE, 0.10)),
        )
    ]
    return [(name, parent, (facing * x, y, facing * z)) for name, parent, (x, y, z) in spine + limbs]


def box(start: np.ndarray, end: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square bar between two points: vertices, normals, faces."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(along, across), along])
    half = np.array([radius, radius, np.linalg.norm(end - start) / 2 + radius / 2])
    vertices, normals, faces = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = axes[(axis + 1) % 3] * half[(axis + 1) % 3], axes[(axis + 2) % 3] * half[(axis + 2) % 3]
            centre, n = (start + end) / 2 + sign * half[axis] * axes[axis], len(vertices)
            vertices += [centre - u - v, centre + u - v, centre + u + v, centre - u + v]
            normals += [sign * axes[axis]] * 4
            quad = [(n, n + 1, n + 2), (n, n + 2, n + 3)]
            faces += quad if sign > 0 else [face[::-1] for face in quad]
    return np.array(vertices), np.array(normals), np.array(faces)


def humanoid(facing: float = 1.0, **material: object) -> Model:
    """A T-posed figure of bars, 1.6 m tall, whose soles stand on the ground."""
    table = bones(facing)
    names = tuple(name for name, _, _ in table)
    places = {name: np.array(place, np.float64) for name, _, place in table}
    parents = np.array([-1 if parent is None else names.index(parent) for _, parent, _ in table], np.int32)
    skeleton = Skeleton(
        names,
        parents,
        np.array([places[n] - (places[p] if p else 0) for n, p, _ in table]),
        np.tile(np.eye(3), (len(names), 1, 1)),
        {name: i for i, name in enumerate(names)},
    )
    child = {parent: name for name, parent, _ in reversed(table) if parent}
    ends = {"head": (0, 0.2, 0), "hairBack": (0, -0.3, 0), "tail": (0, -0.2, -0.2 * facing)}
    ends |= {"hairL": (0, -0.2, 0), "hairR": (0, -0.2, 0)}
    ends |= {side + "Hand": (sign * facing * 0.08, 0, 0) for side, sign in SIDES}
    ends |= {side + "Toes": (0, 0, 0.02 * facing) for side, _ in SIDES}
    wide = {"hips": 0.11, "spine": 0.10, "chest": 0.10, "head": 0.09}
    parts = []
    for name in names:
        end = places[name] + ends[name] if name in ends else places[child[name]]
        parts.append(box(places[name], end, wide.get(name, 0.04)))
    offsets = np.cumsum([0] + [len(vertices) for vertices, _, _ in parts[:-1]])
    bone = np.repeat(np.arange(len(names)), [len(vertices) for vertices, _, _ in parts])
    count = len(bone)
    inverse = np.tile(np.eye(4), (len(names), 1, 1))
    inverse[:, :3, 3] = -np.array([places[name] for name in names])
    faces = np.concatenate([f + o for (_, _, f), o in zip(parts, offsets, strict=True)])
    face = np.array([(0, 0.08, 0.1), (0.04, 0.1, 0.1), (-0.04, 0.1, 0.1), (0.1, 0.1, 0), (-0.1, 0.1, 0)])
    look = {"color": (0.9, 0.3, 0.3, 1.0), "shade": (0.5, 0.1, 0.1), "outline_width": 0.004} | material
    return Model(
        positions=np.concatenate([vertices for vertices, _, _ in parts]).astype(np.float32),
        normals=np.concatenate([normals for _, normals, _ in parts]).astype(np.float32),
        uv=np.tile(np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32), (count // 4, 1)),
        joints=np.repeat(bone[:, None], 4, 1).astype(np.int32),
        weights=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        faces=faces.astype(np.int32),
        face_material=np.zeros(len(faces), np.int32),
        materials=(Material(**look),),  # type: ignore[arg-type]
        textures=(),
        skeleton=skeleton,
        palette=np.arange(len(names), dtype=np.int32),
        inverse_bind=inverse,
        face_anchors=face * (facing, 1.0, facing),
        facing=facing,
    )


@pytest.fixture(scope="module")
def model() -> Model:
    return humanoid()


def shot(model: Model, world: np.ndarray, azimuth: float = 0.0) -> tuple[Frame, Camera, np.ndarray]:
    renderer = Renderer(model, SIZE)
    camera = frame_camera([renderer.vertices(world)], SIZE, azimuth, model.facing)
    frame = renderer.render(world, camera)
    return frame, camera, keypoints(model, world, camera, frame.depth)


def test_draws_depend_on_their_whole_path_and_never_change() -> None:
    assert [Draws(7, "hair", 3).integers(1000) for _ in range(2)] == [623, 623]
    assert Draws(7, "hair", "3").uniform() != Draws(7, "hair", 3).uniform() != Draws(8, "hair", 3).uniform()


def test_draws_have_the_distributions_they_name() -> None:
    draws = Draws(0)
    normal = [draws.normal(2, 3) for _ in range(4000)]
    assert abs(np.mean(normal) - 2) < 0.2 and abs(np.std(normal) - 3) < 0.2
    picks = [draws.choice("abc", p=(1, 3, 0)) for _ in range(4000)]
    assert picks.count("c") == 0 and abs(picks.count("a") / 4000 - 0.25) < 0.03
    assert abs(np.mean([draws.uniform(-1, 3) for _ in range(4000)]) - 1) < 0.1


def test_a_picture_is_the_same_to_the_byte(model: Model) -> None:
    first, camera, _ = shot(model, rest_relaxed(model))
    used = Renderer(model, SIZE)
    used.render(rest_relaxed(model, turn=90), camera)  # what was drawn before leaves nothing behind
    again = used.render(rest_relaxed(model), camera)
    assert first.rgba.tobytes() == again.rgba.tobytes()
    assert first.depth.tobytes() == again.depth.tobytes()


def test_background_is_transparent_and_has_no_depth(model: Model) -> None:
    frame, _, _ = shot(model, rest_relaxed(model))
    assert (frame.rgba[0, 0] == 0).all() and np.isinf(frame.depth[0, 0])
    covered = frame.rgba[..., 3] > 0
    assert 0.05 < covered.mean() < 0.6
    assert not frame.rgba[~covered].any() and np.isfinite(frame.depth[covered]).all()


def test_edges_keep_the_colour_of_the_surface() -> None:
    plain = humanoid(unlit=True, outline_width=0.0)  # one flat colour
    frame, _, _ = shot(plain, rest_relaxed(plain))
    edge = (frame.rgba[..., 3] > 0) & (frame.rgba[..., 3] < 255)
    assert edge.any()
    assert (np.abs(frame.rgba[edge][:, :3].astype(int) - (230, 77, 77)) <= 1).all()  # straight, not darkened


def test_outlines_are_seen_at_any_size_and_never_fill_the_figure() -> None:
    lined, plain = (humanoid(outline_width=width, unlit=True) for width in (0.004, 0.0))
    world = rest_relaxed(lined)
    for size in (32, 256):
        camera = frame_camera([Renderer(lined, size).vertices(world)], size)
        with_line, without = (Renderer(m, size, 3).render(world, camera).rgba for m in (lined, plain))
        dark = ((with_line[..., :3].max(-1) < 150) & (with_line[..., 3] > 0)).sum()
        assert 0 < dark < 0.5 * (without[..., 3] > 0).sum()


def test_the_nearer_surface_hides_the_farther_whatever_the_order_of_triangles(model: Model) -> None:
    backwards = replace(model, faces=model.faces[::-1].copy())
    world = rest_relaxed(model, turn=90)
    a, b = shot(model, world)[0], shot(backwards, world)[0]
    assert np.abs(a.rgba.astype(int) - b.rgba).max() <= 1
    np.testing.assert_allclose(a.depth, b.depth, rtol=1e-6)


def test_cutout_leaves_holes_and_blend_leaves_glass(model: Model) -> None:
    checker = np.zeros((8, 8, 4), np.uint8)
    checker[..., 3] = np.kron(np.indices((2, 2)).sum(0) % 2, np.ones((4, 4))) * 255
    solid = shot(model, rest_relaxed(model))[0].rgba[..., 3]
    holes = replace(model, materials=(Material(texture=0, mode=CUTOUT, outline_width=0.0),), textures=(checker,))
    glass = replace(model, materials=(Material(color=(1, 1, 1, 0.5), mode=BLEND),))
    assert (shot(holes, rest_relaxed(model))[0].rgba[..., 3] > 0).sum() < 0.9 * (solid > 0).sum()
    alpha = shot(glass, rest_relaxed(model))[0].rgba[..., 3]
    assert 100 < np.median(alpha[alpha > 0]) < 240 < solid.max()


def test_a_camera_of_another_size_is_refused(model: Model) -> None:
    world = rest_relaxed(model)
    camera = frame_camera([Renderer(model, SIZE).vertices(world)], SIZE // 2)
    with pytest.raises(ValueError, match="camera"):
        Renderer(model, SIZE).render(world, camera)


@pytest.mark.parametrize("facing", [1.0, -1.0])
@pytest.mark.parametrize("turn", [0.0, 90.0, 180.0, -90.0])
def test_joints_project_onto_the_figure(facing: float, turn: float) -> None:
    figure = humanoid(facing)
    frame, _, points = shot(figure, rest_relaxed(figure, turn=turn))
    assert (points[5:, 2] > 0).all()  # body joints are never absent
    for x, y, visibility in points:
        if visibility > 0:
            assert frame.rgba[int(y), int(x), 3] > 0


@pytest.mark.parametrize("facing", [1.0, -1.0])
def test_seen_from_the_front_the_left_hand_is_on_the_right_of_the_picture(facing: float) -> None:
    figure = humanoid(facing)
    points = shot(figure, rest_relaxed(figure))[2]
    assert points[LEFT_WRIST, 0] > SIZE / 2 > points[RIGHT_WRIST, 0]
    assert (points[:5, 2] == 2).all()


@pytest.mark.parametrize("facing", [1.0, -1.0])
def test_which_of_the_face_shows_from_behind_and_in_profile(facing: float) -> None:
    figure = humanoid(facing)
    world = rest_relaxed(figure)
    shown = {azimuth: set(np.flatnonzero(shot(figure, world, azimuth)[2][:5, 2])) for azimuth in (90, 180, 270)}
    assert shown[180] == {LEFT_EAR, RIGHT_EAR}
    assert shown[90] == {NOSE, LEFT_EYE, LEFT_EAR}
    assert shown[270] == {NOSE, RIGHT_EYE, RIGHT_EAR}


def test_turning_the_figure_is_walking_round_it_the_other_way(model: Model) -> None:
    turned = shot(model, rest_relaxed(model, turn=-90))[2]
    walked = shot(model, rest_relaxed(model), azimuth=90)[2]
    np.testing.assert_allclose(turned, walked, atol=1e-3)


def test_an_arm_behind_the_body_is_occluded_and_outside_the_picture_absent(model: Model) -> None:
    profile = shot(model, rest_relaxed(model, degrees=88), azimuth=90)[2]
    assert profile[LEFT_WRIST, 2] == 2 and profile[RIGHT_WRIST, 2] == 1
    world = rest_relaxed(model)
    camera = shot(model, world)[1]
    close = replace(camera, focal=camera.focal * 4)
    far_off = keypoints(model, world, close, np.full((SIZE, SIZE), np.inf, np.float32))
    assert (far_off[[LEFT_WRIST, RIGHT_WRIST]] == 0).all()


def test_rotations_are_rotations() -> None:
    draws = Draws(1)
    for _ in range(20):
        a, b = (direction(draws.uniform(0, 360), draws.uniform(-90, 90)) for _ in range(2))
        np.testing.assert_allclose(align(a, b) @ a, b, atol=1e-9)
        np.testing.assert_allclose(align(a, -a) @ a, -a, atol=1e-6)
        mixed = blend(align(a, b), rotation(1, draws.uniform(0, 360)), draws.uniform())
        np.testing.assert_allclose(mixed @ mixed.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(mixed) > 0
    np.testing.assert_allclose(blend(np.eye(3), rotation(2, 60), 0.5), rotation(2, 30), atol=1e-9)


@pytest.mark.parametrize("facing", [1.0, -1.0])
def test_limbs_point_where_the_pose_says_in_the_bodys_own_frame(facing: float) -> None:
    figure = humanoid(facing)
    forward = {"leftUpperArm": direction(0, 0), "leftLowerArm": direction(90, 0)}
    joints = joints_3d(figure, apply_pose(figure, Pose(forward, hips=(90.0, 0.0, 0.0))))
    shoulder, elbow, wrist = joints[[5, 7, 9]]
    upper, lower = (elbow - shoulder) * facing, (wrist - elbow) * facing
    np.testing.assert_allclose(upper / np.linalg.norm(upper), (1, 0, 0), atol=1e-9)  # its front is now at x
    np.testing.assert_allclose(lower / np.linalg.norm(lower), (0, 0, -1), atol=1e-9)


def test_a_pose_keeps_the_length_of_every_bone(model: Model) -> None:
    rest = model.skeleton.globals()[:, :3, 3]
    posed = apply_pose(model, Dance(3, 10.0).pose(4.4))[:, :3, 3]
    child, parent = np.arange(1, len(rest)), model.skeleton.parents[1:]
    np.testing.assert_allclose(
        np.linalg.norm(posed[child] - posed[parent], axis=1),
        np.linalg.norm(rest[child] - rest[parent], axis=1),
        atol=1e-9,
    )


def test_hair_hangs_when_the_head_bows(model: Model) -> None:
    world = apply_pose(model, Pose(head=(0.0, 60.0, 0.0)))
    lean = {name: world[model.skeleton.human[name]][1, 1] for name in ("head", "hairBack")}  # 1 is upright
    assert lean["head"] == pytest.approx(0.5) and lean["hairBack"] > 0.9


def test_a_dance_is_its_seed_and_moves_without_jerks() -> None:
    dance, same, other = Dance(5, 8.0), Dance(5, 8.0), Dance(6, 8.0)
    times = np.linspace(0, 8, 400)
    hands = np.array([dance.pose(t).limbs["leftLowerArm"] for t in times])
    assert (hands == [same.pose(t).limbs["leftLowerArm"] for t in times]).all()
    assert np.abs(np.diff(hands, axis=0)).max() < 0.3
    assert np.abs(hands - [other.pose(t).limbs["leftLowerArm"] for t in times]).max() > 0.5
    for outside in (-1.0, 1e6):
        assert np.isfinite(dance.pose(outside).limbs["leftUpperLeg"]).all()


def test_a_dancers_lower_foot_is_on_the_ground_or_in_a_jump(model: Model) -> None:
    renderer, standing = Renderer(model, SIZE), 0
    dance = Dance(2, 20.0)
    for time in np.arange(0, 20, 0.5):
        pose = dance.pose(time)
        lowest = renderer.vertices(apply_pose(model, pose))[:, 1].min()
        assert abs(lowest - pose.offset[1]) < 0.06  # a bar's corner may reach below its sole
        standing += pose.offset[1] < 0.02
    assert standing > 20


def test_one_camera_holds_a_whole_dance_and_is_as_near_as_it_can_be(model: Model) -> None:
    renderer, dance = Renderer(model, SIZE), Dance(4, 12.0)
    worlds = [apply_pose(model, dance.pose(time)) for time in np.arange(0, 12, 0.5)]
    clouds = [renderer.vertices(world) for world in worlds]
    camera = frame_camera(clouds, SIZE, margin=0.04)
    points = camera.project(np.concatenate(clouds))[:, :2] / SIZE
    low, high = points.min(0), points.max(0)
    assert (low > 0.04 - 1e-6).all() and (high < 0.96 + 1e-6).all()
    assert (high - low).max() == pytest.approx(0.92, abs=1e-4)
    border = np.ones((SIZE, SIZE), bool)
    border[1:-1, 1:-1] = False
    for world in worlds:
        frame = renderer.render(world, camera)
        assert not frame.rgba[border].any()
        assert (keypoints(model, world, camera, frame.depth)[5:, 2] > 0).all()
    with pytest.raises(ValueError, match="points"):
        frame_camera([], SIZE)


def test_body_joints_are_the_bones_in_coco_order(model: Model) -> None:
    joints = joints_3d(model, model.skeleton.globals())
    assert BODY_BONES[4] == "leftHand" and BODY_BONES[11] == "rightFoot"
    np.testing.assert_allclose(joints[LEFT_WRIST], (0.60, 1.25, 0.0))
    np.testing.assert_allclose(joints[LEFT_EYE], (0.04, 1.46, 0.10))


def solid(
    vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray, texture: np.ndarray | None = None, **look: object
) -> Model:
    """A mesh on one bone that never moves; uv runs over the square from (-0.5, 0.5) to (0.5, -0.5)."""
    count = len(vertices)
    return Model(
        positions=vertices.astype(np.float32),
        normals=np.broadcast_to(normals, vertices.shape).astype(np.float32),
        uv=np.stack([vertices[:, 0] + 0.5, 0.5 - vertices[:, 1]], 1).astype(np.float32),
        joints=np.zeros((count, 4), np.int32),
        weights=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        faces=faces.astype(np.int32),
        face_material=np.zeros(len(faces), np.int32),
        materials=(Material(texture=-1 if texture is None else 0, **look),),  # type: ignore[arg-type]
        textures=() if texture is None else (texture,),
        skeleton=Skeleton(("hips",), np.array([-1], np.int32), np.zeros((1, 3)), np.eye(3)[None], {"hips": 0}),
        palette=np.zeros(1, np.int32),
        inverse_bind=np.eye(4)[None],
        face_anchors=np.zeros((5, 3)),
    )


def panel_picture(
    size: int, normal: tuple[float, float, float] = (0, 0, 1), texture: np.ndarray | None = None, **look: object
) -> np.ndarray:
    """RGB of a square metre that fills the picture."""
    corners = np.array([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)])
    model = solid(corners, np.array(normal), np.array([(0, 1, 2), (0, 2, 3)]), texture, **look)
    camera = Camera(view_axes(0), np.array([0.0, 0.0, 5.0]), 5.0 * size, size)
    frame = Renderer(model, size).render(model.skeleton.globals(), camera)
    assert (frame.rgba[..., 3] == 255).all()
    np.testing.assert_allclose(frame.depth, 5.0, rtol=1e-6)
    return frame.rgba[..., :3].astype(int)


def grey(values: np.ndarray) -> np.ndarray:
    """An opaque texture of these levels [h, w]."""
    return np.stack([values, values, values, np.full_like(values, 255)], -1).astype(np.uint8)


def test_a_texture_is_upright_and_not_mirrored() -> None:
    quarters = np.full((64, 64, 4), 255, np.uint8)
    colors = {(0, 0): (255, 0, 0), (0, 1): (0, 255, 0), (1, 0): (0, 0, 255), (1, 1): (255, 255, 0)}
    for (row, column), color in colors.items():
        quarters[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32, :3] = color
    picture = panel_picture(32, texture=quarters, unlit=True)
    for (row, column), color in colors.items():
        assert tuple(picture[8 + 16 * row, 8 + 16 * column]) == color


def test_a_magnified_texture_is_interpolated() -> None:
    ramp = np.clip((np.arange(32) + 0.5) / 16 - 0.5, 0, 1) * 255  # between the centres of two texels
    down = panel_picture(32, texture=grey(np.array([[0, 0], [255, 255]])), unlit=True)
    across = panel_picture(32, texture=grey(np.array([[0, 255], [0, 255]])), unlit=True)
    np.testing.assert_allclose(down[8:24, 16, 0], ramp[8:24], atol=1)
    np.testing.assert_allclose(across[16, 8:24, 0], ramp[8:24], atol=1)


def test_a_minified_texture_shows_its_mean() -> None:
    stripes = np.zeros((256, 256), int)
    stripes[:, 4::8] = 255  # one column in eight, where the sample of each 8 x 8 block falls
    picture = panel_picture(16, texture=grey(stripes), unlit=True)
    np.testing.assert_allclose(picture, 255 / 8, atol=3)


def test_light_comes_from_above_right_and_in_front_of_the_camera() -> None:
    look = {"color": (1.0, 0.8, 0.6, 1.0), "shade": (0.4, 0.2, 0.0)}
    for axis in np.eye(3):
        assert (panel_picture(8, tuple(axis), **look) == (255, 204, 153)).all()
        assert (panel_picture(8, tuple(-axis), **look) == (102, 51, 0)).all()
    assert (panel_picture(8, (0, -1, 0), unlit=True, **look) == (255, 204, 153)).all()


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        (0.001, 4.0),  # 4 mm at 1 mm a pixel: as the material says
        (0.008, 0.8),  # would be half a pixel: widened to what still draws as a line
        (0.040, 0.3),  # 0.8 pixels would be eight times the line: three times it at most
    ],
)
def test_a_thin_outline_is_widened_to_be_drawn_but_not_without_limit(pixel: float, expected: float) -> None:
    angles = np.arange(64) * 2 * np.pi / 64
    ring = np.stack([np.sin(angles), np.zeros(64), np.cos(angles)], 1)
    radius, i = 6 * pixel, np.arange(64)
    vertices = np.concatenate([ring * radius - (0, 40 * pixel, 0), ring * radius + (0, 40 * pixel, 0)])
    after = (i + 1) % 64
    faces = np.concatenate([np.stack([i, after, after + 64], 1), np.stack([i, after + 64, i + 64], 1)])
    camera = Camera(view_axes(0), np.array([0.0, 0.0, 20.0]), 20.0 / pixel, 32)

    def width(outline: float) -> float:
        """Pixels covered in a row across an upright tube."""
        tube = solid(vertices, np.concatenate([ring, ring]), faces, outline_width=outline)
        frame = Renderer(tube, 32, supersample=16).render(tube.skeleton.globals(), camera)
        return float(frame.rgba[16, :, 3].sum()) / 255

    assert width(0.0) == pytest.approx(12, abs=0.15)
    assert width(0.004) - width(0.0) == pytest.approx(2 * expected, abs=0.15)


def test_in_profile_the_near_side_is_visible_and_the_far_side_occluded(model: Model) -> None:
    for azimuth, near in ((90, 0), (-90, 1)):
        visibility = shot(model, rest_relaxed(model, degrees=88), azimuth)[2][5:, 2].reshape(6, 2)
        assert (visibility[:, near] == 2).all() and (visibility[:, 1 - near] == 1).all()


def test_dances_show_the_front_most_and_every_other_side_too() -> None:
    poses = [Dance(seed, 20.0).pose(time) for seed in range(20) for time in np.arange(0, 20, 0.5)]
    quarter = np.round(np.array([pose.hips[0] for pose in poses]) / 90).astype(int) % 4  # front, left, back, right
    share = np.bincount(quarter, minlength=4) / len(poses)
    assert share.argmax() == 0 and share.min() > 0.02
