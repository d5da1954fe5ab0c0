"""Pictures of one's own: joints move with pixels, alpha is kept, every fault is told, and nothing is half done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.data.check import check
from bench.data.imports import Imported, ImportFaults, ImportOptions, import_folder
from bench.data.imports.faults import LISTED
from bench.data.imports.picture import decode_picture, fitted, moved
from bench.data.pack import Pack, open_pack
from bench.data.pixels import on_white
from bench.data.stats import stats
from bench.data.support import test_pairs as pairs_of
from bench.errors import DataError, UsageError
from bench.pose import detector
from bench.pose.detector import Detection
from bench.progress import SilentReporter
from tests.test_cli import bench

NAMES = ("akari", "botan", "chika", "dai")
FILES = ("front", "back", "1", "2", "3", "10", "11", "12")
WIDTH, HEIGHT = 40, 60
THREES = ImportOptions(size=32, split="0.5,0.25,0.25")


def joints_at(x: float) -> np.ndarray:
    """A pose along a vertical line."""
    return np.column_stack([np.full(17, x), np.linspace(8, HEIGHT - 8, 17), np.full(17, 2)]).astype(np.float32)


def drawn(rng: np.random.Generator) -> tuple[Image.Image, float]:
    """A coloured bar on transparent ground, and the x of its middle."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    left = int(rng.integers(4, WIDTH - 14))
    pixels[5:-5, left : left + 10] = (*rng.integers(0, 200, 3), 255)
    return Image.fromarray(pixels), left + 5.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four characters of eight pictures with COCO joints."""
    root, rng = tmp_path_factory.mktemp("made") / "mine", np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations = []
    for name in NAMES:
        (root / name).mkdir(parents=True)
        for file in FILES:
            picture, x = drawn(rng)
            picture.save(root / name / f"{file}.png")
            number = len(images)
            images.append({"id": number, "file_name": f"{name}/{file}.png", "width": WIDTH, "height": HEIGHT})
            annotations.append({"image_id": number, "keypoints": joints_at(x).ravel().tolist()})
    (root / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return root


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    """A copy a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "mine"))


def imported(source: Path, options: ImportOptions = THREES) -> tuple[Imported, Pack]:
    out = source.parent / "data"
    made = import_folder(source, out, options, SilentReporter())
    return made, open_pack(out)


def faults_of(source: Path, options: ImportOptions = THREES) -> str:
    """The faults of an import, which must leave nothing behind."""
    before = sorted(path for path in source.parent.rglob("*"))
    with pytest.raises(ImportFaults) as caught:
        import_folder(source, source.parent / "data", options, SilentReporter())
    assert sorted(path for path in source.parent.rglob("*")) == before
    return "\n".join(caught.value.faults)


def edit(source: Path, change: Any) -> None:
    """Change annotations.json in place."""
    content = json.loads((source / "annotations.json").read_text())
    change(content)
    (source / "annotations.json").write_text(json.dumps(content))


def test_an_import_is_a_data_set_and_a_pack_without_fault(mine: Path) -> None:
    made, pack = imported(mine)
    assert check(made.folder) == []
    assert made.characters == {"train": 2, "validation": 1, "test": 1} and made.frames == len(pack) == 32
    assert pack.image_size == 32 and sorted(pack.names) == sorted(NAMES)
    assert made.joints == {"from": "coco", "files": ["annotations.json"]}
    assert not list(made.folder.glob(".*")) and not (made.folder / "lock").exists()


def test_joints_move_with_the_pixels(mine: Path) -> None:
    _, pack = imported(mine)
    columns = np.arange(32) + 0.5
    for frame in range(len(pack)):
        weight = pack.alpha[frame].astype(float)
        middle = (weight.sum(0) * columns).sum() / weight.sum()
        assert np.allclose(pack.keypoints[frame, :, 0], middle, atol=0.05)
    assert np.allclose(pack.keypoints[0, [0, -1], 1], [8 * 32 / 60, 52 * 32 / 60], atol=0.01)


def test_the_rest_of_the_frames_is_clip_a_and_then_clip_b(mine: Path) -> None:
    made, pack = imported(mine)
    test = int(pack.characters("test")[0])
    pairs = pairs_of(pack, "test", test)
    assert pack.tags[test]["files"] == [f"{name}.png" for name in FILES]  # 2 before 10
    assert pairs.source == pack.view_of(test, "front") == pack.frames_of(test)[0]
    assert len(pairs.fid_targets) == len(pairs.fid_reference) == 3
    assert "stand_in_views" not in pack.tags[test] and not made.notes[0].startswith("the first image")


def test_other_images_stand_in_for_views_that_training_lacks(mine: Path) -> None:
    made, pack = imported(mine)
    train = int(pack.characters("train")[0])
    assert set(pack.tags[train]["stand_in_views"]) == {"left", "right"}
    assert all(pack.view_of(train, view) >= 0 for view in ("front", "back", "left", "right"))
    assert any("stand in" in note for note in made.notes)
    shutil.rmtree(made.folder)
    _, plain = imported(mine, ImportOptions(size=32, split=THREES.split, fill_views=False))
    assert not any("stand_in_views" in tags for tags in plain.tags)


def test_alpha_is_kept_and_its_lack_is_flagged(mine: Path) -> None:
    flat = Image.new("RGB", (WIDTH, HEIGHT), "white")
    picture = Image.open(mine / "akari" / "1.png")
    flat.paste(picture, mask=picture.getchannel("A"))
    flat.save(mine / "akari" / "1.png")
    made, pack = imported(mine)
    flags = {name: tags["foreground"] for name, tags in zip(pack.names, pack.tags, strict=True)}
    assert flags == {"akari": "non-white", "botan": "alpha", "chika": "alpha", "dai": "alpha"}
    assert any("1 images have no alpha" in note for note in made.notes)


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([8, 16]), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_fitting_and_whitening_change_places(width: int, height: int, size: int, seed: int) -> None:
    rgba = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    side = max(width, height)
    white = np.full((side, side, 3), 255.0)
    left, top = (side - width) // 2, (side - height) // 2
    alpha = rgba[..., 3:] / 255
    white[top : top + height, left : left + width] = rgba[..., :3] * alpha + 255 * (1 - alpha)
    # every pixel as size × size equal parts, then means of side × side of them: the average by area
    fine = white.repeat(size, 0).repeat(size, 1).reshape(size, side, size, side, 3)
    wanted = fine.mean((1, 3))
    if side < size:  # it grows: smooth, within the range of what it is made of
        assert wanted.min() - 1 <= on_white(fitted(rgba, size)).min()
        return
    assert np.abs(on_white(fitted(rgba, size)).astype(float) - wanted).max() <= 1.01


def test_absent_joints_stay_absent_and_others_keep_their_visibility() -> None:
    joints = np.zeros((17, 3), np.float32)
    joints[3] = (10, 0, 1)
    there = moved(joints, 20, 40, 64)
    assert there[3].tolist() == [(10 + 10) * 64 / 40, 0, 1]
    assert not there[[0, 16]].any()


@pytest.mark.parametrize("by", ["pattern", "annotation", "first"])
def test_the_front_view_is_named_by_pattern_or_annotation_or_said_aloud(mine: Path, by: str) -> None:
    for name in NAMES:
        (mine / name / "front.png").rename(mine / name / "4.png")

    def rename(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image["file_name"] = image["file_name"].replace("front", "4")
            if by == "annotation" and image["file_name"].endswith("/11.png"):
                image["view"] = "front"

    edit(mine, rename)
    wanted = {"pattern": "12.png", "annotation": "11.png", "first": "1.png"}[by]
    made, pack = imported(mine, ImportOptions(32, split=THREES.split, source="12.*" if by == "pattern" else ""))
    assert [tags["files"][0] for tags in pack.tags] == [wanted] * 4
    assert any("the first image is taken as the front view" in note for note in made.notes) == (by == "first")


def test_a_pattern_must_match_one_image_of_each_character(mine: Path) -> None:
    faults = faults_of(mine, ImportOptions(size=32, split=THREES.split, source="1?.png"))
    assert "akari: 3 images match --source '1?.png'" in faults


def test_clips_can_be_annotated(mine: Path) -> None:
    def tag(content: dict[str, Any]) -> None:
        for image in content["images"]:
            file = image["file_name"].split("/")[1]
            image["clip"] = "B" if file in ("1.png", "3.png", "11.png") else "A"

    edit(mine, tag)
    _, pack = imported(mine)
    test = int(pack.characters("test")[0])
    assert pack.tags[test]["files"][2:] == ["2.png", "10.png", "12.png", "1.png", "3.png", "11.png"]


def test_a_seeded_split_is_a_function_of_names_and_seed(mine: Path) -> None:
    first, one = imported(mine)
    shutil.rmtree(first.folder)
    again, two = imported(mine)
    assert first.digest == again.digest and one.splits == two.splits
    shutil.rmtree(again.folder)
    splits = {one.splits}
    for seed in range(1, 5):
        other, pack = imported(mine, ImportOptions(size=32, split=THREES.split, seed=seed))
        shutil.rmtree(other.folder)
        splits.add(tuple(pack.splits[pack.names.index(name)] for name in one.names))
    assert len(splits) > 1


def test_a_split_file_is_followed(mine: Path) -> None:
    (mine / "split.json").write_text(
        json.dumps({"train": ["dai", "akari"], "validation": ["chika"], "test": ["botan"]})
    )
    made, pack = imported(mine, ImportOptions(size=32))
    assert pack.names == ("akari", "dai", "chika", "botan")
    assert made.notes[0] == "split: split.json of the folder"


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"train": ["akari", "botan"], "validation": ["chika"], "test": ["akari"]}, "akari is in train and in test"),
        ({"train": ["akari", "botan"], "validation": ["chika"], "test": ["eve"]}, "eve has no folder"),
        ({"train": ["akari"], "validation": ["chika"], "test": ["dai"]}, "botan is in no split"),
        ({"train": ["akari", "botan", "dai", "chika"], "validation": [], "test": []}, "no test characters"),
        ({"train": "akari"}, 'write {"train"'),
        ([], 'write {"train"'),
    ],
)
def test_faults_of_a_split_file_are_listed(mine: Path, split: object, words: str) -> None:
    (mine / "split.json").write_text(json.dumps(split))
    assert words in faults_of(mine, ImportOptions(size=32))


def test_alphapose_results_are_read_by_score(mine: Path) -> None:
    content = json.loads((mine / "annotations.json").read_text())
    (mine / "annotations.json").unlink()
    people = []
    for image, person in zip(content["images"], content["annotations"], strict=True):
        good = np.reshape(person["keypoints"], (17, 3)) * (1, 1, 0.4)
        good[16, 2] = 0.1
        bad = np.tile([1.0, 2.0, 0.9], (17, 1)) + np.arange(17)[:, None] * (1, 1, 0)
        people.append({"image_id": image["file_name"], "keypoints": bad.ravel().tolist(), "score": 0.5})
        people.append({"image_id": image["file_name"], "keypoints": good.ravel().tolist(), "score": 2.5})
    (mine / "alphapose-results.json").write_text(json.dumps(people))
    made, pack = imported(mine)
    assert made.joints == {"from": "alphapose", "files": ["alphapose-results.json"], "threshold": 0.2}
    assert (pack.keypoints[:, :16, 2] == 2).all() and not pack.keypoints[:, 16].any()
    assert np.ptp(pack.keypoints[:, :16, 0], axis=1).max() == 0  # of the upright person, the more certain
    assert any("32 images have several people" in note for note in made.notes)


class _Middle:
    """Finds every joint on the middle line of what is not white."""

    name = "middle line 1.0"

    def detect(self, images: np.ndarray) -> Detection:
        places = []
        for image in images:
            columns = np.flatnonzero((image.min(-1) < 200).any(0))
            size = image.shape[0]
            places.append(np.column_stack([np.full(17, columns.mean() + 0.5), np.linspace(0.2, 0.8, 17) * size]))
        return Detection(np.asarray(places, np.float32), np.full((len(images), 17), 0.7, np.float32))


def test_pictures_alone_get_joints_from_the_detector_that_is_named(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine / "annotations.json").unlink()
    monkeypatch.setattr("bench.data.imports.joints.detector", lambda name: _Middle())
    made, pack = imported(mine)
    assert made.joints == {"from": "detector", "detector": "middle line 1.0", "threshold": 0.2, "mean_score": 0.7}
    assert json.loads((made.folder / "manifest.json").read_text())["recipe"]["joints"] == made.joints
    weight = np.asarray(pack.alpha, float).sum(1)
    middle = (weight * (np.arange(32) + 0.5)).sum(1) / weight.sum(1)
    assert np.abs(pack.keypoints[..., 0] - middle[:, None]).max() < 0.3


def test_no_detector_stands_in_for_a_broken_file_of_joints(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.imports.joints.detector", lambda name: pytest.fail("a detector was asked"))
    (mine / "annotations.json").write_text('{"images": [')
    assert "no readable JSON" in faults_of(mine)
    with pytest.raises(UsageError, match="did you mean 'movenet'"):
        detector("movnet")


def _nan(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"][4] = float("nan")


def _short(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"].pop()


def _text(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"] = ["1"] * 51


def _score(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"][2] = 0.7


def _share(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"] = [0.4, 0.5, 2] * 17


def _far(content: dict[str, Any]) -> None:
    content["annotations"][0]["keypoints"] = joints_at(900).ravel().tolist()


def _absent(content: dict[str, Any]) -> None:
    content["annotations"].pop(0)


def _other_size(content: dict[str, Any]) -> None:
    content["images"][0]["width"] = 80


def _climbing(content: dict[str, Any]) -> None:
    content["images"][0]["file_name"] = "../../etc/passwd"


def _list(content: dict[str, Any]) -> None:
    content["images"][0] = [3]


def _view(content: dict[str, Any]) -> None:
    content["images"][0]["view"] = "up"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_nan, "akari/front.png: joint 1 is not a number"),
        (_short, "akari/front.png: 50 numbers where 17 joints have 51"),
        (_text, "akari/front.png: keypoints that are not numbers"),
        (_score, "akari/front.png: a visibility is none of 0, 1, 2"),
        (_share, "akari/front.png: its joints span less than 2 px"),
        (_far, "akari/front.png: most of its joints lie outside"),
        (_absent, "akari/front.png: no joints for it"),
        (_other_size, "akari/front.png: 40×60 px, annotated as 80×60"),
        (_climbing, "../../etc/passwd: named in annotations.json, but it is not there"),
        (_list, "annotations.json: images[0] is not an object"),
        (_view, "akari/front.png: unknown view 'up'"),
    ],
)
def test_faulty_annotations_are_listed_by_picture(mine: Path, change: Any, words: str) -> None:
    edit(mine, change)
    assert words in faults_of(mine)


def test_joints_outside_of_their_picture_are_absent_and_counted(mine: Path) -> None:
    def outside(content: dict[str, Any]) -> None:
        content["annotations"][0]["keypoints"][:3] = [-4.0, 3.0, 2]

    edit(mine, outside)
    made, _ = imported(mine)
    assert any("1 joints outside" in note for note in made.notes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(images=JSON, annotations=JSON)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_crashes_an_import(mine: Path, images: object, annotations: object) -> None:
    people = [annotations, {"image_id": 1, "keypoints": annotations}]
    content = {"images": [images, {"id": 1, "file_name": images}], "annotations": people}
    (mine / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(ImportFaults):
        import_folder(mine, mine.parent / "data", THREES, SilentReporter())


def test_faulty_pictures_are_listed_and_nothing_is_written(mine: Path) -> None:
    front = (mine / "akari" / "front.png").read_bytes()
    (mine / "akari" / "1.png").write_bytes(front[: len(front) // 2])
    Image.new("L", (20_000, 2)).save(mine / "akari" / "2.png")
    Image.new("RGBA", (WIDTH, HEIGHT)).save(mine / "akari" / "3.png")
    Image.new("I;16", (WIDTH, HEIGHT)).save(mine / "akari" / "10.png")
    (mine / "akari" / "11.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    (mine / "akari" / "12.png").unlink()
    (mine / "akari" / "12.png").symlink_to("/etc/hostname")
    (mine / "botan" / "inner").mkdir()
    (mine / "stray.png").write_bytes(front)
    (mine / "a,b").mkdir()
    faults = faults_of(mine)
    for words in (
        "akari/1.png: unreadable or truncated",
        "akari/2.png: 20000×2 px is larger than 8192",
        "akari/3.png: nothing on it",
        "akari/10.png: mode I;16",
        "akari/11.png: not an image of a known format",
        "akari/12.png: a link that leads out of the folder",
        "botan/inner: a folder in a character's folder",
        "stray.png: an image outside of any folder",
        "a,b: a name that cannot be a file's everywhere",
    ):
        assert words in faults


def test_a_folder_linked_from_elsewhere_is_not_read(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    shutil.copy(mine / "akari" / "front.png", tmp_path / "secret" / "front.png")
    (mine / "eve").symlink_to(tmp_path / "secret")
    assert "eve: a link that leads out of the folder" in faults_of(mine)


def test_control_characters_of_names_are_escaped_and_long_lists_are_cut(mine: Path) -> None:
    def many(content: dict[str, Any]) -> None:
        content["images"] += [{"id": 100 + i, "file_name": f"\x1b[2J{i}.png"} for i in range(LISTED + 20)]

    edit(mine, many)
    with pytest.raises(ImportFaults) as caught:
        import_folder(mine, mine.parent / "data", THREES, SilentReporter())
    assert "\x1b" not in str(caught.value) and "\\x1b[2J0.png" in str(caught.value)
    assert str(caught.value).endswith("… and 20 more")


def test_faulty_pictures_can_be_left_out(mine: Path) -> None:
    (mine / "akari" / "12.png").write_bytes(b"no")
    made, pack = imported(mine, ImportOptions(size=32, split=THREES.split, skip_faulty=True))
    assert len(made.skipped) == 1 and len(pack) == 31
    assert check(made.folder) == []
    shutil.rmtree(made.folder)
    (mine / "akari" / "front.png").write_bytes(b"no")
    assert "its front view front.png has a fault" in faults_of(
        mine, ImportOptions(size=32, split=THREES.split, skip_faulty=True)
    )


def test_an_interrupted_import_leaves_nothing_and_a_killed_one_is_swept_up(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = mine.parent / "data"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bench.data.imports.run.build_pack", interrupted)
        import_folder(mine, out, THREES, SilentReporter())
    assert not out.exists()
    (out / ".importing" / "characters").mkdir(parents=True)  # as a killed call leaves it
    made, _ = imported(mine)
    assert check(made.folder) == []


def test_nothing_that_is_there_is_overwritten(mine: Path) -> None:
    (mine.parent / "data").mkdir()
    (mine.parent / "data" / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is there already"):
        imported(mine)
    with pytest.raises(UsageError, match="choose a folder elsewhere"):
        import_folder(mine, mine / "data", THREES, SilentReporter())
    assert not (mine / "data").exists()


def test_an_opaque_picture_is_foreground_where_it_is_not_white(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 3), 255, np.uint8)
    pixels[2:6, 2:6] = 100
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode_picture(tmp_path / "a.png")
    assert not decoded.exact and decoded.clear_border
    assert (decoded.rgba[..., 3] > 0).sum() == 16
    with pytest.raises(DataError, match="not an image"):
        (tmp_path / "b.png").write_text("no")
        decode_picture(tmp_path / "b.png")


def test_check_finds_what_was_changed_after_an_import(mine: Path) -> None:
    made, pack = imported(mine)
    split = json.loads((made.folder / "split.json").read_text())
    split["train"], split["test"] = split["test"], split["train"]
    (made.folder / "split.json").write_text(json.dumps(split))
    faults = "\n".join(check(made.folder))
    assert "digest is not that of its characters and split.json" in faults
    assert "pack.json: other characters or splits" in faults
    assert "import the pictures again into a new folder with `bench data import`" in faults
    assert "bench data make" not in faults
    (made.folder / "annotations.json").write_text("{}")
    assert "annotations.json: not COCO keypoints" in "\n".join(check(made.folder))
    assert len(pack.names) == 4


def test_check_finds_single_frames_that_two_splits_share(mine: Path) -> None:
    (mine / "split.json").write_text(
        json.dumps({"train": ["dai", "akari"], "validation": ["chika"], "test": ["botan"]})
    )
    shutil.copy(mine / "akari" / "12.png", mine / "botan" / "12.png")
    shutil.copy(mine / "akari" / "11.png", mine / "botan" / "11.png")
    made, _ = imported(mine, ImportOptions(size=32))
    assert any("2 frames of akari (train) are nearly frames of botan (test)" in fault for fault in check(made.folder))
    assert any(note.startswith("check: 2 frames of akari") for note in made.notes)


def test_statistics_count_what_there_is(mine: Path) -> None:
    made, pack = imported(mine)
    found = stats(made.folder)
    assert found.splits["train"].characters == 2 and found.splits["test"].frames == 8
    assert found.splits["test"].views == {"front": 1, "back": 1, "left": 0, "right": 0}
    assert found.splits["test"].clips == {"A": 3, "B": 3}
    assert found.splits["test"].foreground_height == pytest.approx(50 / 60, abs=0.05)
    assert found.splits["test"].foreground_area == pytest.approx(500 / 3600, abs=0.01)
    assert found.joints["nose"] == (1, 0, 0) and found.stand_ins == 2
    assert found.tags == {"foreground": {"alpha": 4}}
    for file in ("pack.json", "pixels.npy", "keypoints.npy", "index.npy"):
        (made.folder / file).unlink()
    assert stats(made.folder) == found and len(pack) == 32


def test_the_command_line_imports_and_ends_in_documented_codes(mine: Path) -> None:
    options = ("--size", "32", "--split", THREES.split, "--quiet")
    done = bench("data", "import", str(mine), "--out", str(mine.parent / "data"), *options)
    assert done.returncode == 0, done.stderr
    assert "32 frames of 4 characters (2 train, 1 validation, 1 test)" in done.stdout
    (mine / "akari" / "12.png").write_bytes(b"no")
    done = bench("data", "import", str(mine), "--out", str(mine.parent / "other"), "--json", *options)
    assert done.returncode == 3 and len(json.loads(done.stdout)["faults"]) == 1
    done = bench("data", "import", str(mine), "--out", str(mine.parent / "other"), "--skip-faulty", *options)
    assert done.returncode == 4 and "left out: akari/12.png" in done.stdout
