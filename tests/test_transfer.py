"""Statements about `bench transfer`: motions fitted to a body, models as files, pictures that are never lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from bench.build import build
from bench.cli import app
from bench.data.people import Framing, Person
from bench.data.pixels import on_white
from bench.data.recipe import Recipe, render_character
from bench.errors import DataError, UsageError
from bench.illustrate.pictures import Model
from bench.metrics.pixel import l1
from bench.pose import Detection
from bench.progress import SilentReporter
from bench.spec import TrainSpec
from bench.transfer import default_model, export_model, fit, read_model, read_motion, transfer, write_pictures
from bench.transfer.source import read_source, support_of
from bench.transfer.write import check_target, sheet
from methods.interface import Budget, FineTune
from tests.made_vrm import NAMES, PARENTS, PLACES, bvh

SIZE = 64
CPU = torch.device("cpu")
# an upright figure of 48 px, arms hanging down and a little out
FIGURE = np.array(
    [(32, 14), (34, 13), (30, 13), (36, 14), (28, 14), (39, 22), (25, 22), (42, 30), (22, 30), (44, 38), (20, 38),
     (36, 38), (28, 38), (36, 48), (28, 48), (36, 58), (28, 58)], np.float32,
)  # fmt: skip
FIGURE = np.concatenate([FIGURE, np.full((17, 1), 2, np.float32)], 1)
FRAMING = Framing.of(FIGURE[None])


def spec() -> TrainSpec:
    return TrainSpec("ours", "", {}, "smoke", SIZE, 1 / 16, 4, 0, "fp32", "data", Budget(0, 8), {})


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network: enough for everything but beauty."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    export_model(Model(build(spec(), CPU), FineTune(0.001, 2), CPU, "fp32"), spec(), FRAMING, {"title": "T"}, path)
    return path


@pytest.fixture
def hero(tmp_path: Path) -> Path:
    image = np.full((128, 128, 4), 255, np.uint8)
    image[20:118, 40:90, :3] = (200, 40, 40)
    Image.fromarray(image).save(tmp_path / "hero.png")
    big = FIGURE.copy()
    big[:, :2] *= 2
    (tmp_path / "hero.json").write_text(json.dumps(big.tolist()))
    return tmp_path / "hero.png"


class Finder:
    """A detector that sees the figure in a picture of twice its size."""

    name = "finder"

    def detect(self, images: np.ndarray) -> Detection:
        return Detection(np.repeat(2 * FIGURE[None, :, :2], len(images), 0), np.ones((len(images), 17), np.float32))


# motions


def test_a_motion_of_the_same_body_at_the_same_place_stays_as_it_is() -> None:
    np.testing.assert_allclose(fit(np.stack([FIGURE, FIGURE]), FIGURE, SIZE), [FIGURE, FIGURE], atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.1, 20), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_neither_scale_nor_place_of_a_motion_matters(scale: float, x: float, y: float) -> None:
    moved = FIGURE.copy()
    moved[:, :2] = moved[:, :2] * scale + (x, y)
    np.testing.assert_allclose(fit(moved[None], FIGURE, SIZE)[0], FIGURE, atol=0.02)


def test_limbs_get_the_length_of_the_sources() -> None:
    long_legs = FIGURE.copy()
    long_legs[[13, 14], 1] += 10
    long_legs[[15, 16], 1] += 20
    fitted = fit(long_legs[None], FIGURE, SIZE)[0]
    thigh, shin = fitted[13, 1] - fitted[11, 1], fitted[15, 1] - fitted[13, 1]
    trunk = fitted[11, 1] - fitted[5, 1]
    assert thigh / trunk == pytest.approx(10 / 16, rel=0.02) and shin / trunk == pytest.approx(10 / 16, rel=0.02)


def test_every_joint_of_a_wide_motion_stays_in_the_picture() -> None:
    wide = np.stack([FIGURE, FIGURE])
    wide[1, :, 0] += 300
    fitted = fit(wide, FIGURE, SIZE)
    assert fitted[..., :2].min() >= 0 and fitted[..., :2].max() <= SIZE
    absent = FIGURE.copy()
    absent[9] = 0
    assert (fit(absent[None], FIGURE, SIZE)[0, 9] == 0).all()


def test_keypoints_come_as_a_list_one_pose_or_coco(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "b.png"}, {"id": 2, "file_name": "a.png"}],
        "annotations": [
            {"image_id": 1, "keypoints": FIGURE.ravel().tolist()},
            {"image_id": 2, "keypoints": (2 * FIGURE).ravel().tolist()},
        ],
    }
    for name, value, expected in (
        ("one", FIGURE.tolist(), [FIGURE]),
        ("many", [FIGURE.tolist(), (2 * FIGURE).tolist()], [FIGURE, 2 * FIGURE]),
        ("flat", [FIGURE.ravel().tolist()], [FIGURE]),
        ("coco", coco, [2 * FIGURE, FIGURE]),
    ):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(value))
        np.testing.assert_array_equal(read_motion(str(path), 10, 12), np.stack(expected))
    assert len(read_motion(str(tmp_path / "many.json"), 1, 12)) == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "3", "[]", "[[1, 2]]", '{"images": []}', '["a"]', "[" * 3000, f"[{[[1, 1, 0]] * 17}]", '{"a": NaN}'],
)
def test_a_file_that_holds_no_poses_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"m\.json"):
        read_motion(str(path), 10, 12)


def test_a_joint_that_is_no_number_is_refused(tmp_path: Path) -> None:
    broken = FIGURE.copy()
    broken[3, 0] = np.nan
    (tmp_path / "m.json").write_text(json.dumps([FIGURE.tolist(), broken.tolist()]))
    with pytest.raises(DataError, match="pose 1 has a joint that is not a number"):
        read_motion(str(tmp_path / "m.json"), 10, 12)


def test_a_dance_is_the_same_twice_and_another_for_another_seed() -> None:
    one, again, other = (read_motion(name, 6, 2) for name in ("dance:1", "dance:1", "dance:2"))
    assert one.shape == (6, 17, 3) and (one == again).all() and (one != other).any()
    assert (one[:, 5:, 2] == 2).all(), "nothing is in front of a joint"
    with pytest.raises(UsageError, match="whole number"):
        read_motion("dance:x", 6, 2)
    with pytest.raises(UsageError, match="no such file"):
        read_motion("walk.json", 6, 2)


def test_a_clip_is_sampled_at_the_rate_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    offsets = np.array([PLACES[b] - (PLACES[p] if p >= 0 else 0) for b, p in enumerate(PARENTS)])
    frames = 41
    swing = np.zeros((frames, len(NAMES), 3))
    swing[:, NAMES.index("leftUpperArm"), 0] = np.linspace(-60, 60, frames)
    path.write_text(bvh(offsets, swing, np.tile(PLACES[0], (frames, 1))))
    poses = read_motion(str(path), 100, 10)
    assert poses.shape[1:] == (17, 3) and 1 < len(poses) < 100
    assert len(read_motion(str(path), 100, 5)) == pytest.approx(len(poses) / 2, abs=1)
    assert len(read_motion(str(path), 2, 10)) == 2
    upright = fit(poses, FIGURE, SIZE)[0]
    assert upright[0, 1] < upright[11, 1] < upright[13, 1] < upright[15, 1], "head above hips above knees above feet"


# the character


def test_a_picture_is_framed_as_the_training_characters_stand(hero: Path) -> None:
    (person,) = read_source([str(hero)], [], SIZE, FRAMING)
    np.testing.assert_allclose(person.keypoints, FIGURE, atol=1e-3)
    assert person.image.shape == (SIZE, SIZE, 3) and person.white_background


def test_joints_come_from_the_option_the_file_beside_or_the_detector(hero: Path, tmp_path: Path) -> None:
    lifted = json.loads(hero.with_suffix(".json").read_text())
    lifted[9][1] -= 60
    (tmp_path / "other.json").write_text(json.dumps(lifted))
    (named,) = read_source([str(hero)], [tmp_path / "other.json"], SIZE, FRAMING)
    assert named.keypoints[9, 1] < FIGURE[9, 1] - 10
    hero.with_suffix(".json").unlink()
    with pytest.raises(UsageError, match=r"write 17 × \(x, y, visibility\) to hero.json"):
        read_source([str(hero)], [], SIZE, FRAMING)
    (found,) = read_source([str(hero)], [], SIZE, FRAMING, Finder)
    np.testing.assert_allclose(found.keypoints, FIGURE, atol=1e-3)


def test_the_support_set_is_the_pictures_then_their_shifts(hero: Path) -> None:
    people = read_source([str(hero), "c2000001"], [], SIZE, FRAMING)
    support = support_of(people, 4, CPU)
    assert support.images.shape == (4, 3, SIZE, SIZE) and support.keypoints.shape == (4, 17, 3)
    np.testing.assert_array_equal(support.keypoints[0], people[0].keypoints)
    np.testing.assert_array_equal(support.keypoints[1], people[1].keypoints)
    assert support.keypoints[2, 0, 0] != people[0].keypoints[0, 0]
    with pytest.raises(UsageError, match="2 pictures"):
        support_of(people, 1, CPU)


# models as files


def test_a_model_read_back_draws_what_it_drew(model_file: Path) -> None:
    torch.manual_seed(0)
    method = build(spec(), CPU)
    published = read_model(model_file, CPU)
    assert published.model.schedule == FineTune(0.001, 2) and published.about["title"] == "T"
    assert published.framing == FRAMING and published.spec.image_size == SIZE
    source, pose = torch.rand(1, 3, SIZE, SIZE) * 2 - 1, torch.tensor(FIGURE)[None]
    with torch.no_grad():
        one, other = (m.adapt(None, None)(source, pose, pose) for m in (method, published.model.method))  # type: ignore[arg-type]
    assert (one - other).abs().max() < 0.05, "half precision"
    assert (one - other).abs().mean() < 0.005


@pytest.mark.parametrize("damage", ["empty", "short", "text", "pickle"])
def test_what_is_no_model_is_refused_by_name(model_file: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "bad.safetensors"
    content = model_file.read_bytes()
    path.write_bytes({"empty": b"", "short": content[:-9], "text": b"hello" * 9, "pickle": b"\x80\x04." * 9}[damage])
    with pytest.raises(DataError, match=r"bad\.safetensors is not a model"):
        read_model(path, CPU)


# what is written


def test_pictures_become_a_gif_a_sheet_or_frames(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)
    write_pictures(images, tmp_path / "a.gif", 10, scale=2)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5 and gif.size == (16, 16) and gif.info["duration"] == 100
    files = write_pictures(images, tmp_path / "frames", 10)
    assert [file.name for file in files] == [f"{n:04}.png" for n in range(5)]
    with Image.open(files[3]) as frame:
        np.testing.assert_array_equal(np.asarray(frame), images[3])
    tiled = sheet(images, 3)
    assert tiled.shape == (16, 24, 3)
    np.testing.assert_array_equal(tiled[8:, 8:16], images[4])
    assert (tiled[8:, 16:] == 255).all()


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"mine")
    with pytest.raises(UsageError, match="--force"):
        check_target(tmp_path / "a.gif", force=False)
    check_target(tmp_path / "a.gif", force=True)
    with pytest.raises(UsageError, match=r"\.gif, \.mp4"):
        check_target(tmp_path / "a.avi", force=False)


def test_of_folders_only_one_of_frames_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((3, 8, 8, 3), np.uint8)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match=r"holds thesis\.txt, which is no frame"):
        check_target(tmp_path / "mine", force=True)
    frames = tmp_path / "frames"
    write_pictures(images, frames, 10)
    check_target(frames, force=True)
    monkeypatch.chdir(frames)
    write_pictures(images[:2], Path(), 10)
    assert sorted(file.name for file in frames.iterdir()) == ["0000.png", "0001.png"]
    real = Path.rename

    def full(path: Path, to: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return real(path, to)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        write_pictures(images, frames, 10)
    assert len(list(frames.iterdir())) == 2, "what was there is there"
    assert sorted(held.name for held in tmp_path.iterdir()) == ["frames", "mine"]


def test_the_command_animates_a_picture(hero: Path, model_file: Path, tmp_path: Path) -> None:
    words = ["transfer", "--source", str(hero), "--motion", "dance:1", "--model", str(model_file), "--frames", "4"]
    words += ["--out", str(tmp_path / "hero.gif"), "--poses", "--scale", "1", "--device", "cpu", "--quiet"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["frames"] == 4
    with Image.open(tmp_path / "hero.gif") as gif:
        assert gif.n_frames == 4 and gif.size == (2 * SIZE, SIZE)
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, UsageError) and "--force" in str(again.exception)


def test_the_model_that_comes_along_draws_an_unseen_character_in_its_poses() -> None:
    frames = render_character(Recipe(SIZE, 0, 0, 1, 10), 2_000_003)
    truth = on_white(frames.images[4:])
    published = read_model(default_model(), CPU)
    people = [Person("c", on_white(frames.images[0]), frames.frames[0].keypoints, True)]
    poses = np.stack([frame.keypoints for frame in frames.frames[4:]])
    with SilentReporter().task("") as task:
        made = transfer(published, people, poses, 1, task, keep_place=True)
    alpha = frames.images[4:, ..., 3]

    def error(images: np.ndarray) -> float:
        return float(l1(images, truth, alpha).foreground.mean())

    copied, white = np.repeat(people[0].image[None], len(truth), 0), np.full_like(truth, 255)
    assert error(made.images) < 0.9 * error(copied) and error(made.images) < 0.5 * error(white)
    assert made.adapt_seconds > 0
