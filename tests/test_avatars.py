"""VRM files: the suite's own characters survive them to the pixel, features are read, broken ones give one error."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.avatars.export import CC0, vrm_bytes
from bench.data.avatars.fields import Field
from bench.data.avatars.glb import Glb, glb_bytes, parse_glb
from bench.data.avatars.humanoid import Meta
from bench.data.avatars.materials import linear_from_srgb, shading_of_vrm0, srgb_from_linear
from bench.data.avatars.render import Shots, render_avatar
from bench.data.avatars.vrm import Avatar, parse_vrm, read_vrm
from bench.data.render.camera import frame_camera
from bench.data.render.characters import character
from bench.data.render.edition2.actor import actor
from bench.data.render.joints import joints_3d
from bench.data.render.pose import rest_relaxed
from bench.data.render.raster import Renderer
from bench.errors import DataError
from tests.made_vrm import NAMES, PLACES, Document, vrm, vrm_parts

META = Meta("1.0", "Made", "A test", "CC0", CC0, {})
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def assets() -> Path:
    """Real avatars and clips, where a machine has them."""
    named = os.environ.get("BENCH_ASSETS")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "assets"
    if not folder.is_dir():
        pytest.skip("no folder of real avatars (BENCH_ASSETS)")
    return folder


def picture(avatar: Avatar, size: int = 24) -> np.ndarray[Any, Any]:
    renderer = Renderer(avatar.model, size)
    world = rest_relaxed(avatar.model)
    return renderer.render(world, frame_camera([renderer.vertices(world)], size, facing=avatar.model.facing)).rgba


@pytest.mark.parametrize(("seed", "edition"), [(0, 1), (2_000_003, 1), (4, 2), (2_000_009, 2)])
def test_a_character_written_as_vrm_and_read_back_renders_to_the_same_pixels_and_joints(
    seed: int, edition: int
) -> None:
    model = character(seed) if edition == 1 else actor(seed).model
    again = parse_vrm(vrm_bytes(model, META)).model
    first, second = (render_avatar("c", m, Shots(64, 12), [], "hash", {}) for m in (model, again))
    assert int(np.abs(first.images.astype(int) - second.images).max()) == 0
    for a, b in zip(first.frames, second.frames, strict=True):
        assert np.array_equal(a.keypoints, b.keypoints)


def test_both_versions_face_the_camera_and_have_their_left_on_the_right_of_the_picture() -> None:
    for version, facing in (("1.0", 1.0), ("0.x", -1.0)):
        avatar = parse_vrm(vrm(version))
        assert avatar.model.facing == facing
        assert avatar.meta.author == "A test"
        assert avatar.meta.title == "Boxes"
        frames = render_avatar("c", avatar.model, Shots(48, 6), [], "hash", {}).frames
        front, back = frames[0].keypoints, frames[1].keypoints
        assert front[0, 2] == 2, "the nose shows from the front"
        assert back[0, 2] == 0, "and not from the back"
        assert front[5, 0] > front[6, 0], "the left shoulder is on the viewer's right"
        assert back[5, 0] < back[6, 0]


def test_versions_agree_on_the_picture() -> None:
    assert np.array_equal(picture(parse_vrm(vrm("1.0"))), picture(parse_vrm(vrm("0.x"))))


def test_the_body_joints_are_the_bones() -> None:
    model = parse_vrm(vrm()).model
    joints = joints_3d(model, model.skeleton.globals())
    for index, bone in ((5, "leftUpperArm"), (8, "rightLowerArm"), (16, "rightFoot")):
        assert np.allclose(joints[index], PLACES[NAMES.index(bone)])
    nose, left_eye, right_eye, left_ear, right_ear = joints[:5]
    assert left_ear[0] > left_eye[0] > nose[0] == 0 > right_eye[0] > right_ear[0]
    assert nose[2] > left_eye[2] > left_ear[2], "the nose is in front"
    assert nose[1] < left_eye[1], "and below the eyes"


def test_the_licence_of_each_version_is_read_as_it_stands() -> None:
    assert parse_vrm(vrm("0.x")).meta.licence == "CC0"
    assert parse_vrm(vrm("0.x")).meta.permissions == {"commercialUssageName": "Allow"}

    def by_4(document: Document) -> None:
        meta = document["extensions"]["VRMC_vrm"]["meta"]
        meta["otherLicenseUrl"] = "https://creativecommons.org/licenses/by/4.0/"
        meta["authors"] = ["One\x1b[31m", "Two\nThree"]

    meta = parse_vrm(vrm(change=by_4)).meta
    assert meta.licence == "VRM Public License 1.0; CC BY 4.0"
    assert meta.author == "One [31m, Two Three", "what reaches a terminal holds no control characters"


def test_a_mesh_without_skin_moves_with_its_node() -> None:
    def rigid(document: Document) -> None:
        document["nodes"][NAMES.index("head")]["mesh"] = 0  # the whole body once more, worn on the head

    plain, worn = parse_vrm(vrm()).model, parse_vrm(vrm(change=rigid)).model
    assert len(worn.faces) == 2 * len(plain.faces)
    world = worn.skeleton.globals()
    height = [Renderer(m, 8).vertices(m.skeleton.globals())[:, 1].max() for m in (plain, worn)]
    assert height[1] == pytest.approx(height[0] + world[worn.skeleton.human["head"], 1, 3], abs=1e-5)


def test_primitives_on_one_vertex_buffer_keep_only_vertices_that_they_use_and_share_them() -> None:
    def split(document: Document) -> None:
        primitive = document["meshes"][0]["primitives"][0]
        indices = document["accessors"][primitive["indices"]]
        box = 2 * 36  # bytes
        head, arms = dict(indices, byteOffset=3 * box, count=36), dict(indices, byteOffset=4 * box, count=72)
        document["accessors"] += [head, arms]
        count = len(document["accessors"])
        document["meshes"][0]["primitives"] = [{**primitive, "indices": count - 2}, {**primitive, "indices": count - 1}]

    model = parse_vrm(vrm(change=split)).model
    assert len(model.faces) == 36
    assert len(model.positions) == 24, "of three boxes, not of the whole body twice"


def test_sparse_accessors_replace_single_rows() -> None:
    document, binary = vrm_parts()
    positions = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    rows, values = np.array([3, 5], "<u2").tobytes(), np.array([[0, 1, 0.2], [0, 2, 0.3]], "<f4").tobytes()
    binary += b"\0" * (-len(binary) % 4)
    for content in (rows, values):
        document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(content)})
        binary += content
    views = len(document["bufferViews"])
    positions["sparse"] = {
        "count": 2,
        "indices": {"bufferView": views - 2, "componentType": 5123},
        "values": {"bufferView": views - 1},
    }
    plain, changed = parse_vrm(vrm()).model, parse_vrm(glb_bytes(document, binary)).model
    assert np.allclose(changed.positions[[3, 5]], [[0, 1, 0.2], [0, 2, 0.3]])
    assert np.array_equal(np.delete(changed.positions, [3, 5], 0), np.delete(plain.positions, [3, 5], 0))


def test_texture_transforms_move_the_coordinates_in_both_dialects() -> None:
    def khr(document: Document) -> None:
        moved = {"offset": [0.25, 0.5], "scale": [0.5, 0.25]}
        document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]["extensions"] = {
            "KHR_texture_transform": moved
        }

    def unity(document: Document) -> None:
        # the same place: Unity's v runs up, so its offset is counted from below
        document["extensions"]["VRM"]["materialProperties"] = [
            {"shader": "VRM/MToon", "vectorProperties": {"_MainTex": [0.25, 0.25, 0.5, 0.25]}}
        ]

    plain = parse_vrm(vrm()).model.uv
    assert np.allclose(parse_vrm(vrm(change=khr)).model.uv, plain * (0.5, 0.25) + (0.25, 0.5))
    assert np.allclose(parse_vrm(vrm("0.x", change=unity)).model.uv, plain * (0.5, 0.25) + (0.25, 0.5))


def test_colours_are_linear_in_gltf_and_gamma_in_vrm0() -> None:
    def linear(document: Document) -> None:
        document["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.2140411, 1, 0, 1]

    def gamma(document: Document) -> None:
        colors = {"_Color": [0.5, 1, 0, 1], "_ShadeColor": [0.25, 0.5, 0, 1]}
        document["extensions"]["VRM"]["materialProperties"] = [{"shader": "VRM/MToon", "vectorProperties": colors}]

    assert parse_vrm(vrm(change=linear)).model.materials[0].color == pytest.approx((0.5, 1, 0, 1), abs=1e-6)
    material = parse_vrm(vrm("0.x", change=gamma)).model.materials[0]
    assert material.color == (0.5, 1, 0, 1)
    assert material.shade == (0.25, 0.5, 0)


@given(st.floats(0, 1))
def test_gamma_and_linear_colours_are_each_others_inverse(value: float) -> None:
    assert float(srgb_from_linear(linear_from_srgb(value))) == pytest.approx(value, abs=1e-12)


@given(st.floats(0, 1), st.floats(-0.9, 0.9))
def test_shadow_turns_to_light_where_mtoon_0_has_it(toony: float, shift: float) -> None:
    low, high = shift, 1 + (shift - 1) * toony
    new_toony, new_shift = shading_of_vrm0(toony, shift)
    assert -new_shift - (1 - new_toony) == pytest.approx(low, abs=1e-9)
    assert -new_shift + (1 - new_toony) == pytest.approx(high, abs=1e-9)


def test_meshes_that_only_the_wearer_sees_are_not_drawn() -> None:
    def hide(document: Document) -> None:
        body = len(document["nodes"]) - 1
        document["extensions"]["VRMC_vrm"]["firstPerson"] = {
            "meshAnnotations": [{"node": body, "type": "firstPersonOnly"}]
        }

    with pytest.raises(DataError, match="no triangle"):
        parse_vrm(vrm(change=hide))


def drop(*path: Any) -> Any:
    def change(document: Document) -> None:
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]

    return change


def put(value: Any, *path: Any) -> Any:
    def change(document: Document) -> None:
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


HUMAN = ("extensions", "VRMC_vrm", "humanoid", "humanBones")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop(*HUMAN, "leftFoot"), "bones are missing: leftFoot"),
        (put({"node": 0}, *HUMAN, "leftFoot"), "one node for several bones"),
        (put({"node": NAMES.index("head")}, *HUMAN, "leftFoot"), "one node for several bones"),
        (drop("extensions"), "no VRM extension"),
        (drop("images"), "index into images"),
        (put([{}], "materials"), "no material has a texture"),
        (put([{"uri": "face.png"}], "images"), "textures embedded"),
        (put(10**9, "accessors", 0, "count"), r"accessors\[0\].count"),
        (put(77, "accessors", 0, "count"), "elements where"),
        (put(5, "accessors", 2, "count"), "5 elements where"),
        (put(100, "accessors", 5, "count"), "no number of triangles"),
        (put(10**6, "bufferViews", 1, "byteLength"), "truncated"),
        (put("VEC2", "accessors", 0, "type"), "VEC3 is needed"),
        (put(1e30, "nodes", 0, "translation", 1), "number up to"),
        (put([0, 0, 0, 0], "nodes", 0, "rotation"), "quaternion of length 0"),
        (put([2], "nodes", 3, "children"), "second parent"),
        (put([0.001, 0.001, 0.001], "nodes", 0, "scale"), "m large"),
        (put([0, 0, 0], "nodes", NAMES.index("leftHand"), "translation"), "at one place"),
        (put([-1, 1, 1], "nodes", 0, "scale"), "left leg is on the right"),
        (put(["KHR_draco_mesh_compression"], "extensionsRequired"), "export it uncompressed"),
    ],
)
def test_what_is_wrong_with_an_avatar_is_said_in_one_line(change: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as raised:
        parse_vrm(vrm(change=change))
    assert "\n" not in str(raised.value)


def test_nan_in_a_vertex_is_refused() -> None:
    document, binary = vrm_parts()
    start = document["bufferViews"][1]["byteOffset"]
    broken = binary[:start] + np.array([np.nan], "<f4").tobytes() + binary[start + 4 :]
    with pytest.raises(DataError, match="NaN or infinity"):
        parse_vrm(glb_bytes(document, broken))


def test_a_loop_of_nodes_is_refused() -> None:
    def loop(document: Document) -> None:
        document["nodes"][0]["children"].remove(1)
        document["nodes"] += [{"children": [len(document["nodes"]) + 1]}, {"children": [len(document["nodes"])]}]

    with pytest.raises(DataError, match="loop"):
        parse_vrm(vrm(change=loop))


@given(
    st.sampled_from([(5121, "<u1"), (5123, "<u2"), (5125, "<u4"), (5126, "<f4")]),
    st.sampled_from([("SCALAR", 1), ("VEC2", 2), ("VEC3", 3), ("VEC4", 4)]),
    st.integers(1, 9),
    st.integers(0, 12),
    st.integers(0, 12),
    st.data(),
)
@settings(deadline=None)
def test_arrays_are_read_at_any_offset_and_stride(
    component: tuple[int, str], kind: tuple[str, int], count: int, offset: int, gap: int, data: st.DataObject
) -> None:
    values = np.array(data.draw(st.lists(st.integers(0, 255), min_size=count * kind[1], max_size=count * kind[1])))
    rows = values.reshape(count, kind[1]).astype(component[1])
    width = rows.dtype.itemsize * kind[1]
    stored = b"x" * offset + b"".join(row.tobytes() + b"y" * gap for row in rows)
    accessor = {"bufferView": 0, "byteOffset": offset, "componentType": component[0], "count": count, "type": kind[0]}
    view = {"buffer": 0, "byteLength": len(stored), "byteStride": width + gap}
    glb = Glb(Field({"accessors": [accessor], "bufferViews": [view]}, ""), stored)
    assert np.array_equal(glb.array(Field(0, "it"), kind[0]), rows)
    view["byteLength"] = len(stored) - gap - 1
    with pytest.raises(DataError):
        Glb(Field({"accessors": [accessor], "bufferViews": [view]}, ""), stored).array(Field(0, "it"), kind[0])


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([above] if above else []), *(place for key, v in inner for place in paths(v, (*above, key)))]


PARTS = {version: vrm_parts(version) for version in ("1.0", "0.x")}
STRANGE: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, True, -1, 0, 1, 2, 3, 5126, 10**30, 2**31, 1e308, float("nan"), "", "MAT4", [], {}, [[]]]),
    st.lists(st.floats(-1e9, 1e9), max_size=17),
    st.integers(-5, 300),
    st.floats(),
)


@given(st.sampled_from(["1.0", "0.x"]), st.lists(st.tuples(st.integers(0, 10**6), STRANGE), min_size=1, max_size=3))
@FUZZ
def test_any_value_anywhere_in_the_document_gives_an_avatar_that_can_be_drawn_or_one_error(
    version: str, changes: list[tuple[int, Any]]
) -> None:
    document, binary = copy.deepcopy(PARTS[version])
    for number, value in changes:
        places = paths(document)
        put(value, *places[number % len(places)])(document)
    try:
        avatar = parse_vrm(glb_bytes(document, binary))
        render_avatar("c", avatar.model, Shots(16, 6), [], "hash", {})
    except DataError as error:
        assert "\n" not in str(error)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), st.integers(0, 10**6), st.booleans()
)
@FUZZ
def test_any_bytes_give_an_avatar_that_can_be_drawn_or_one_error(
    flips: list[tuple[int, int]], length: int, cut: bool
) -> None:
    content = bytearray(glb_bytes(*PARTS["1.0"]))
    for place, value in flips:
        content[place % len(content)] = value
    if cut:
        content = content[: length % len(content)]
    try:
        render_avatar("c", parse_vrm(bytes(content)).model, Shots(16, 6), [], "hash", {})
    except DataError as error:
        assert "\n" not in str(error)


def test_deeply_nested_json_is_refused() -> None:
    content = glb_bytes({}, b"")
    deep = b"[" * 200_000
    head = content[:8] + (20 + len(deep)).to_bytes(4, "little") + len(deep).to_bytes(4, "little") + b"JSON"
    with pytest.raises(DataError, match="not readable JSON"):
        parse_glb(head + deep)


def test_the_file_says_what_a_vrm_viewer_must_know() -> None:
    document = parse_glb(vrm_bytes(character(3), META)).document.value
    assert document["extensions"]["VRMC_vrm"]["specVersion"] == "1.0"
    assert "leftEye" not in document["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]
    positions = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert len(positions["min"]) == len(positions["max"]) == 3
    assert json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("name", ["Gene.vrm", "Godette.vrm"])
def test_a_real_avatar_is_read_faces_the_camera_and_is_licensed(name: str) -> None:
    path = assets() / name
    if not path.exists():
        pytest.skip(f"no {name}")
    avatar = read_vrm(path, Shots(64).largest_texture)
    assert "CC BY" in avatar.meta.licence
    frames = render_avatar("c", avatar.model, Shots(64, 6), [], "hash", {})
    assert (frames.frames[0].keypoints[:5, 2] == 2).all(), "the whole face shows from the front"
    assert 0.05 < (frames.images[0, ..., 3] > 127).mean() < 0.5
