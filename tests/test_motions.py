"""Motion clips: whatever a rig's rest pose, axes and units are, a body takes the same poses from it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bench.data.avatars.bvh import human_joints, parse_bvh
from bench.data.avatars.clip import NEEDED, Clip
from bench.data.avatars.glb import glb_bytes
from bench.data.avatars.retarget import Performance, euler_angles, leg_length
from bench.data.avatars.vrm import parse_vrm
from bench.data.avatars.vrma import Track, parse_vrma
from bench.data.render.dance import Dance
from bench.data.render.pose import LIMB_END, apply_pose, euler, unit
from bench.errors import DataError
from tests.made_vrm import NAMES, PARENTS, PLACES, bvh, vrm, vrma, vrma_parts
from tests.test_avatars import STRANGE, assets, paths, put

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
MODEL = parse_vrm(vrm()).model
HUMAN = {name: bone for name, bone in MODEL.skeleton.human.items() if name in (*NEEDED, "spine", "chest", "neck")}


SECONDS = 3.0


@cache
def dance_worlds(seed: int, times: tuple[float, ...]) -> NDArray[np.float64]:
    dance = Dance(seed, SECONDS)
    return np.stack([apply_pose(MODEL, dance.pose(time)) for time in times])


def danced(seed: int, change: Any = None) -> Clip:
    """A clip of the suite's own dance on a body of boxes, its world changed by `change`."""

    def sample(times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        world = dance_worlds(seed, tuple(times.tolist()))
        rotations, places = world[:, :, :3, :3], world[:, :, :3, 3]
        return (rotations, places) if change is None else change(rotations, places)

    return Clip(SECONDS, HUMAN, sample)


def limbs(world: NDArray[np.float64]) -> NDArray[np.float64]:
    human = MODEL.skeleton.human
    return np.stack([unit(world[human[end], :3, 3] - world[human[bone], :3, 3]) for bone, end in LIMB_END.items()])


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(-180, 180))
def test_angles_name_the_rotation_that_they_were_read_from(yaw: float, pitch: float, roll: float) -> None:
    turn = euler((yaw, pitch, roll))
    assert np.allclose(euler(euler_angles(turn)), turn, atol=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_body_that_performs_its_own_dance_takes_the_same_poses_up_to_its_heading(seed: int) -> None:
    clip, times = danced(seed), np.linspace(0.3, 2.7, 8)
    poses = Performance(clip).poses(times, leg_length(MODEL))
    _, places = clip.sample(times)
    turns = []
    for frame, pose in enumerate(poses):
        world = apply_pose(MODEL, pose)
        wanted = np.stack([unit(places[frame, HUMAN[e]] - places[frame, HUMAN[b]]) for b, e in LIMB_END.items()])
        found = limbs(world)
        # the mean facing became the front: one turn about the vertical takes each limb to where it was
        across = found[:, 0] + 1j * found[:, 2], wanted[:, 0] + 1j * wanted[:, 2]
        turns.append(np.angle((across[0] * across[1].conj()).sum()))
        assert np.allclose(found[:, 1], wanted[:, 1], atol=1e-6), "elevations are kept"
        assert np.allclose(np.abs(across[0]), np.abs(across[1]), atol=1e-6)
    assert np.allclose(np.exp(1j * np.array(turns)), np.exp(1j * turns[0]), atol=1e-6), "one heading for the clip"


@given(
    st.integers(0, 3),
    st.floats(-180, 180),
    st.floats(0.01, 200),
    st.tuples(*[st.floats(-50, 50)] * 3),
    st.sampled_from([0, 1, 2]),
    st.sampled_from([1.0, -1.0]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=12, deadline=None)
def test_axes_units_heading_and_zero_pose_of_a_rig_do_not_change_the_poses(
    seed: int, yaw: float, size: float, place: tuple[float, float, float], axis: int, sign: float, zero: int
) -> None:
    up = np.zeros(3)
    up[axis] = sign
    side = np.roll(np.eye(3)[axis], 1)
    to_rig = np.stack([np.cross(up, side), up, side], 1) @ Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    # each joint's zero rotation is any rotation of its own
    zeros = Rotation.random(len(MODEL.skeleton.names), random_state=np.random.RandomState(zero)).as_matrix()

    def change(rotations: Any, places: Any) -> Any:
        return to_rig @ rotations @ zeros, size * places @ to_rig.T + np.array(place) * size

    times = np.linspace(0.2, 2.8, 5)
    plain, changed = (Performance(danced(seed, how)).poses(times, leg_length(MODEL)) for how in (None, change))
    for a, b in zip(plain, changed, strict=True):
        worlds = apply_pose(MODEL, a), apply_pose(MODEL, b)
        assert np.allclose(worlds[0][:, :3, 3], worlds[1][:, :3, 3], atol=2e-3)


def test_a_turned_and_lying_zero_pose_in_a_bvh_file_means_nothing() -> None:
    still, root = np.zeros((3, len(NAMES), 3)), np.tile(PLACES[0], (3, 1))
    standing = Performance(parse_bvh(bvh(OFFSETS, still, root).encode()))
    # the same body, its zero pose lying along X: every frame turns the root up again
    turn = Rotation.from_euler("ZXY", [90, 0, 0], degrees=True)
    lying = turn.inv().apply(OFFSETS)
    lying[0] = OFFSETS[0]
    turned = still.copy()
    turned[:, 0, 0] = 90
    raised = Performance(parse_bvh(bvh(lying, turned, root).encode()))
    model = parse_vrm(vrm()).model
    for a, b in zip(*(p.poses(np.array([0.0, 0.2]), leg_length(model)) for p in (standing, raised)), strict=True):
        assert np.allclose(apply_pose(model, a), apply_pose(model, b), atol=1e-6)
        assert np.allclose(apply_pose(model, a)[: len(PLACES), :3, 3], PLACES, atol=0.03), (
            "and it stands as the file has it"
        )


def test_a_jump_lifts_the_body_and_a_squat_does_not() -> None:
    still = np.zeros((31, len(NAMES), 3))
    root = np.tile(PLACES[0], (31, 1))
    root[10:16, 1] += 0.2
    jump = Performance(parse_bvh(bvh(OFFSETS, still, root).encode()))
    leg = leg_length(parse_vrm(vrm()).model)
    lifts = [pose.offset[1] for pose in jump.poses(np.array([0.5, 1.2, 2.5]), leg)]
    assert lifts == pytest.approx([0, 0.2, 0], abs=0.01)
    squat = still.copy()
    for side in ("left", "right"):
        squat[10:16, NAMES.index(side + "UpperLeg"), 1] = -60
        squat[10:16, NAMES.index(side + "LowerLeg"), 1] = 120
    root = np.tile(PLACES[0], (31, 1))
    root[10:16, 1] -= leg / 2
    lifts = [
        p.offset[1] for p in Performance(parse_bvh(bvh(OFFSETS, squat, root).encode())).poses(np.array([1.2]), leg)
    ]
    assert lifts == pytest.approx([0], abs=0.05)


def test_a_vrm_animation_turns_the_arm_from_the_side_to_straight_up() -> None:
    clip = parse_vrma(vrma())
    assert clip.seconds == pytest.approx(1)
    poses = Performance(clip).poses(np.array([0.0, 0.5, 1.0]), 0.8)
    arms = np.stack([pose.limbs["leftUpperArm"] for pose in poses])
    assert np.allclose(arms, [[1, 0, 0], [0.5**0.5, 0.5**0.5, 0], [0, 1, 0]], atol=0.01)
    assert np.allclose([pose.limbs["rightUpperArm"] for pose in poses], [[-1, 0, 0]] * 3, atol=0.01)
    assert np.allclose([pose.head for pose in poses], 0, atol=0.5), "the head looks ahead"


def test_a_cubic_spline_passes_through_its_keys_with_its_tangents() -> None:
    values = np.array([[[0.0], [1.0], [2.0]], [[2.0], [3.0], [0.0]]])  # a line of slope 2 from 1 to 3
    track = Track(0, "translation", np.array([0.0, 1.0]), values, "CUBICSPLINE")
    assert np.allclose(track.at(np.array([0.0, 0.25, 0.5, 1.0, 9.0]))[:, 0], [1, 1.5, 2, 3, 3])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Hips", "mixamorig:LeftArm", "LeftForeArm"), {"hips": 0, "leftUpperArm": 1, "leftLowerArm": 2}),
        (("pelvis", "upperarm_l", "lowerarm_l"), {"hips": 0, "leftUpperArm": 1, "leftLowerArm": 2}),
        (("Hip", "L_UpperArm", "L_Elbow"), {"hips": 0, "leftUpperArm": 1, "leftLowerArm": 2}),
        (("hips", "LeftShoulder", "LeftElbow"), {"hips": 0, "leftUpperArm": 1, "leftLowerArm": 2}),
        (("root", "lShldr", "lForeArm"), {"hips": 0, "leftUpperArm": 1, "leftLowerArm": 2}),
    ],
)
def test_joints_are_known_by_the_names_that_mocap_programs_use(names: Any, expected: dict[str, int]) -> None:
    others = ["Head", *(f"right{b}" for b in ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot"))]
    others += [f"left_{b}" for b in ("hand", "thigh", "shin", "ankle")]
    found = human_joints((*names, *others), (-1, 0, 1, *[-1] * len(others)))
    assert {bone: found[bone] for bone in expected} == expected
    assert "leftShoulder" not in found, "the forearm's parent is the upper arm, whatever its name"


VRMA = vrma_parts()
OFFSETS = PLACES - np.array([PLACES[p] if p >= 0 else np.zeros(3) for p in PARENTS])
TEXT = bvh(OFFSETS, np.zeros((3, len(NAMES), 3)), np.tile(PLACES[0], (3, 1)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Frames: 3", "Frames: 4", "need"),
        ("Frames: 3", "Frames: x", "has a number"),
        ("Frame Time: 0.1", "Frame Time: 0", "frame time"),
        ("HIERARCHY", "", "where BVH has 'HIERARCHY'"),
        ("LeftArm", "Tentacle", "no joint is known as leftUpperArm, leftLowerArm"),
        ("Zrotation Xrotation", "Zrotation Wrotation", "channel 'Wrotation'"),
        ("0.9", "nan", "needed"),
        ("MOTION", "}", "wrong place"),
    ],
)
def test_what_is_wrong_with_a_clip_is_said_in_one_line(old: str, new: str, words: str) -> None:
    text = TEXT.replace("LeftForeArm", "Tentacle2") if new == "Tentacle" else TEXT
    with pytest.raises(DataError, match=words) as raised:
        parse_bvh(text.replace(old, new).encode())
    assert "\n" not in str(raised.value)


WORDS = st.sampled_from(
    ["{", "}", "JOINT", "ROOT", "End", "MOTION", "OFFSET", "CHANNELS", "nan", "1e99", "-1", "6", "x"]
)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.none() | WORDS), min_size=1, max_size=4))
@FUZZ
def test_any_words_give_a_clip_that_can_be_performed_or_one_error(changes: list[tuple[int, str | None]]) -> None:
    words: list[str] = TEXT.split()
    for place, word in changes:
        words[place % len(words) : place % len(words) + 1] = [] if word is None else [word]
    try:
        Performance(parse_bvh(" ".join(words).encode())).poses(np.array([0.0, 0.1]), 0.8)
    except DataError as error:
        assert "\n" not in str(error)


@given(st.lists(st.tuples(st.integers(0, 10**6), STRANGE), min_size=1, max_size=3))
@FUZZ
def test_any_value_anywhere_in_an_animation_gives_a_clip_that_can_be_performed_or_one_error(
    changes: list[tuple[int, Any]],
) -> None:
    document, binary = copy.deepcopy(VRMA)
    for number, value in changes:
        places = paths(document)
        put(value, *places[number % len(places)])(document)
    try:
        Performance(parse_vrma(glb_bytes(document, binary))).poses(np.array([0.0, 0.4]), 0.8)
    except DataError as error:
        assert "\n" not in str(error)


def test_real_clips_keep_a_standing_body_upright() -> None:
    from bench.data.avatars.render import MOTIONS

    files = sorted(p for p in (assets() / "motion").iterdir() if p.suffix in MOTIONS)
    model = parse_vrm(vrm()).model
    for file in files:
        played = Performance(MOTIONS[file.suffix](file))
        worlds = [apply_pose(model, p) for p in played.poses(np.linspace(0, 1, 5) * played.seconds, leg_length(model))]
        heads = [w[model.skeleton.human["head"], 1, 3] - w[model.skeleton.human["hips"], 1, 3] for w in worlds]
        assert np.median(heads) > 0.3, f"{file.name}: the head is above the hips"
