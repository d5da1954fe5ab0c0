"""Statements about `bench page`: what a visitor chose is what is drawn, and what is wrong is said in one line."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bench.build import build
from bench.cli import app
from bench.data.people import Framing
from bench.errors import DataError, UsageError, WeightsMissing
from bench.illustrate.pictures import Model
from bench.page import animate as page
from bench.page.animate import Character, Motion
from bench.progress import SilentReporter
from bench.spec import TrainSpec
from bench.transfer import Published, export_model, read_model, transfer
from methods.interface import Budget, FineTune
from tests.test_transfer import FIGURE

SIZE = 64
CPU = torch.device("cpu")
FRAMING = Framing.of(FIGURE[None])
DANCE, ONE_PASS = Motion(seed=1, frames=3, fps=2), FineTune(0.001, 1)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network: enough for everything but beauty."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    spec = TrainSpec("ours", "", {}, "smoke", SIZE, 1 / 16, 4, 0, "fp32", "data", Budget(0, 8), {})
    export_model(Model(build(spec, CPU), FineTune(0.001, 2), CPU, "fp32"), spec, FRAMING, {"title": "T"}, path)
    return path


@pytest.fixture(scope="module")
def published(model_file: Path) -> Published:
    return read_model(model_file, CPU)


def picture(path: Path, scale: int = 2) -> Path:
    image = np.full((scale * SIZE, scale * SIZE, 3), 255, np.uint8)
    image[scale * 10 : scale * 59, scale * 20 : scale * 45] = (200, 40, 40)
    Image.fromarray(image).save(path)
    return path


def joints(path: Path, scale: int = 2) -> Path:
    path.write_text(json.dumps((FIGURE * (scale, scale, 1)).tolist()))
    return path


def uploads(folder: Path) -> Iterator[Path]:
    """Folders of one file each, as uploads arrive."""
    for number in range(100):
        made = folder / f"upload{number}"
        made.mkdir()
        yield made


def test_results_of_before_do_not_fill_the_disk(tmp_path: Path) -> None:
    made = []
    for number in range(page.KEPT_RESULTS + 3):
        made.append(page._new_result(tmp_path))
        os.utime(made[-1], (number, number))
    newest = page._new_result(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([*made[-page.KEPT_RESULTS :], newest])


def animated(
    published: Published, who: Character, scratch: Path, how: Motion = DANCE, shots: int = 0, poses: bool = True,
    schedule: FineTune | None = ONE_PASS,
) -> page.Played:  # fmt: skip
    with SilentReporter().task("") as task:
        return page.animate(published, who, how, shots, schedule, poses, scratch, task)


def test_a_character_of_the_suite_becomes_files_with_a_caption(published: Published, tmp_path: Path) -> None:
    made = animated(published, Character(seed=2_000_003), tmp_path, shots=2)
    with Image.open(made.gif) as gif:
        assert gif.n_frames == 3 and gif.size == (2 * 384, 384), "the stick figure beside each frame of six times 64 px"
    assert made.gif.name == "c2000003.gif" and made.sheet.exists() and not made.remarks
    for words in (
        "T, preset smoke, seed 0",
        "From c2000003, 2 shots, 1 pass at rate 0.001",
        "3 frames",
        "64 × 64 px",
    ):
        assert words in made.caption
    alone = animated(published, Character(seed=3), tmp_path, poses=False, schedule=None)
    with Image.open(alone.gif) as gif:
        assert gif.size == (384, 384)
    assert "not fine-tuned" in alone.caption and "may have been trained on it" in alone.remarks[0]
    assert made.gif.parent != alone.gif.parent, "no visitor gets another's file"


def test_fine_tuning_that_ends_early_is_said(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "transfer", lambda *given: replace(transfer(*given), passes=0))
    assert "rate 0.001 diverged after pass 0 of 1" in animated(published, Character(seed=2_000_003), tmp_path).caption


def test_an_uploaded_picture_is_drawn_under_its_joints(published: Published, tmp_path: Path) -> None:
    place = uploads(tmp_path)
    hero = Character(None, (picture(next(place) / "hero.png"),), (joints(next(place) / "hero.json"),))
    seen = page.look(published, hero, tmp_path)
    assert seen.image.shape == (384, 384, 3) and not seen.remarks
    x, y = (6 * FIGURE[9, :2]).astype(int)
    assert np.abs(seen.image[y, x].astype(int) - (255, 191, 77)).max() < 10, "the left wrist's disc"
    red = seen.image[6 * 30, 6 * 33]
    assert red[0] > red[1] > 60, "the picture shows through, faded"


def test_joints_belong_to_the_picture_of_their_name_and_others_in_order(published: Published, tmp_path: Path) -> None:
    place = uploads(tmp_path)
    first, second = picture(next(place) / "a.png"), picture(next(place) / "b.png", 3)
    of_second, other = joints(next(place) / "b.json", 3), joints(next(place) / "x.json")
    seen = page.look(published, Character(None, (first, second), (of_second, other)), tmp_path)
    assert seen.image.shape == (384, 2 * 384, 3)
    assert np.abs(seen.image[:, :384].astype(int) - seen.image[:, 384:]).mean() < 3, "the same figure in either size"
    with pytest.raises(UsageError, match=r"^Joints x\.json has no picture's name"):
        page.look(published, Character(None, (second,), (of_second, other)), tmp_path)
    with pytest.raises(UsageError, match="same name"):
        page.look(published, Character(None, (first, picture(next(place) / "a.jpg"))), tmp_path)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (
            "no joints",
            UsageError,
            "Source hero.png: its joints are not known; write 17 × (x, y, visibility) to hero.json",
        ),
        ("no image", DataError, "hero.png: cannot be read as an image"),
        ("bad joints", DataError, "hero.json: give a list of poses"),
        ("far joints", DataError, "hero.png: its joints lie far outside of it"),
        ("detector", UsageError, "unknown pose detector 'movnet'; did you mean 'movenet'?"),
        ("motion", DataError, "walk.json: give a list of poses"),
        ("shots", UsageError, "Shots 1 for 2 pictures"),
        ("seed", UsageError, "a seed is a whole number"),
    ],
)
def test_what_is_wrong_is_one_line_without_the_place_of_an_upload(
    published: Published, tmp_path: Path, change: str, kind: type[Exception], words: str
) -> None:
    place = uploads(tmp_path)
    image, points = picture(next(place) / "hero.png"), joints(next(place) / "hero.json")
    who, how, shots = Character(None, (image,), (points,)), DANCE, 0
    match change:
        case "no joints":
            who = Character(None, (image,))
        case "no image":
            image.write_bytes(b"GIF89a")
        case "bad joints":
            points.write_text("{")
        case "far joints":
            joints(points, 20)
        case "detector":
            who = Character(None, (image,), (), "movnet")
        case "motion":
            how = Motion(None, next(place) / "walk.json")
            (tmp_path / "upload2" / "walk.json").write_text("[]]")
        case "shots":
            who, shots = (
                Character(None, (image, picture(next(place) / "b.png")), (points, joints(next(place) / "b.json"))),
                1,
            )
        case "seed":
            who = Character(None)
    with pytest.raises(kind) as raised:
        animated(published, who, tmp_path, how, shots)
    assert str(raised.value).startswith(words), raised.value
    assert str(tmp_path) not in str(raised.value) and "\n" not in str(raised.value) and "--" not in str(raised.value)
    assert not [made for made in tmp_path.iterdir() if not made.name.startswith("upload")], "no copy is left behind"


def test_a_detector_whose_weights_are_not_here_asks_no_network(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    with pytest.raises(WeightsMissing, match="bench weights fetch movenet-thunder"):
        page.look(published, Character(None, (picture(tmp_path / "hero.png"),), (), "movenet"), tmp_path)


@pytest.mark.parametrize("found", [None, "4.44.1"])
def test_without_gradio_or_with_an_old_one_the_command_names_the_fix(
    monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    def version(name: str) -> str:
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr("bench.page.serve.version", version)
    done = CliRunner().invoke(app, ["page", "--no-open"])
    assert isinstance(done.exception, UsageError) and done.exception.exit_code == 2
    assert "pip install" in str(done.exception) and "'anime-pose-bench[page]'" in str(done.exception)


# the page in Gradio


def test_the_page_says_faults_where_results_would_be(published: Published, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from bench.page.view import build_page

    made = build_page(published, tmp_path)
    functions = {function.name: function for function in made.fns.values()}
    image, said = functions["seen"].fn("own", None, None, None, "none")
    assert image is None and "upload a picture" in said and "fault" not in said
    image, said = functions["seen"].fn("", None, None, None, "none")
    assert image is None and said == '<p class="fault">a seed is a whole number from 0</p>'
    image, said = functions["seen"].fn("", 2_000_003, None, None, "none")
    assert image.shape == (384, 384, 3) and said == ""
    fields = {part.elem_id: part for part in made.blocks.values() if getattr(part, "elem_id", None)}
    assert fields["passes"].value == 2 and fields["rate"].value == 0.001, "the model's own schedule"
    choices = ("", 2_000_003, None, None, "none", "", 1, None, 3, 2, 0)
    gif, *files, said = functions["played"].fn(lambda at, desc: None, *choices, 1, 0.001, True)
    assert Path(gif).suffix == ".gif" and files[0]["value"] == gif and "1 pass at rate 0.001" in said
    nothing, *files, said = functions["played"].fn(None, *choices[:5], "file", 1, None, 3, 2, 0, 1, 0.001, True)
    assert nothing is None and not any(file["visible"] for file in files) and "upload a clip" in said


def test_a_port_that_is_taken_is_said(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio")
    from bench.page.serve import serve

    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"^--port {port} cannot be had on 127.0.0.1; give another"):
            serve(published, "127.0.0.1", port, False, lambda url: pytest.fail(url))


SERVED = """
import sys
def hook(event, arguments):
    if event == "socket.connect" and arguments[1][0] not in ("127.0.0.1", "::1"):
        print("ASKED", arguments[1], file=sys.stderr, flush=True)
sys.path.insert(0, sys.argv.pop(1))
sys.addaudithook(hook)
from bench.cli import main
main()
"""


@dataclass(frozen=True)
class Served:
    """The command, running in a folder of its own."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def left(self) -> list[str]:
        """What is in its working, home and temporary folders."""
        return [str(path) for name in ("work", "home", "tmp") for path in (self.folder / name).rglob("*")]


@pytest.fixture
def served(model_file: Path, tmp_path: Path) -> Iterator[Served]:
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("work", "home", "tmp"):
        (tmp_path / name).mkdir()
    homes = {"HOME": "home", "TMPDIR": "tmp", "XDG_CACHE_HOME": "home/cache", "XDG_CONFIG_HOME": "home/config"}
    environment = {**os.environ, **{name: str(tmp_path / folder) for name, folder in homes.items()}}
    command = [sys.executable, "-c", SERVED, str(Path(__file__).parent.parent), "page", "--no-open"]
    with (tmp_path / "log").open("w") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--model", str(model_file)],
            stdout=out, stderr=out, cwd=tmp_path / "work", env=environment,
        )  # fmt: skip
    made = Served(process, f"http://127.0.0.1:{port}/", tmp_path)
    try:
        while "Ctrl-C" not in made.log():
            assert process.poll() is None, made.log()
            time.sleep(0.2)
        yield made
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif("BENCH_BROWSER" not in os.environ, reason="BENCH_BROWSER names no Chromium to open the page in")
def test_a_visitor_makes_a_character_dance_in_a_browser(served: Served) -> None:
    """Needs `pip install playwright` too; its own browser is not wanted."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        flags = ["--no-sandbox", "--no-zygote", "--single-process"]
        window = engine.chromium.launch(executable_path=os.environ["BENCH_BROWSER"], args=flags)
        page = window.new_page()
        page.set_default_timeout(300_000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served.url)
        first = page.locator("#seen img").get_attribute("src")
        page.locator("#seed input").fill("2000007")
        page.locator("#seed input").press("Tab")
        page.wait_for_function("was => document.querySelector('#seen img')?.src !== was", arg=first)
        page.locator("#dance input").fill("5")
        page.locator("#frames input[type=number]").fill("4")
        page.locator("#go").click()
        page.locator("#result img").wait_for()
        assert page.locator("#result-said .fault").count() == 0
        assert "From c2000007, 1 shot, 2 passes at rate 0.001" in page.locator("#result-said").inner_text()
        with page.expect_download() as waited:
            page.locator("#get-gif").click()
        with Image.open(waited.value.path()) as gif:
            assert gif.format == "GIF" and gif.n_frames == 4
        if "BENCH_SCREENSHOT" in os.environ:
            page.screenshot(path=os.environ["BENCH_SCREENSHOT"], full_page=True)

        page.get_by_role("tab", name="Your own pictures").click()
        page.locator("#pictures input[type=file]").set_input_files(picture(served.folder / "hero.png"))
        page.locator("#seen-said .fault").wait_for()
        fault = page.locator("#seen-said .fault").inner_text()
        assert fault.startswith("Source hero.png: its joints are not known") and "\n" not in fault
        page.locator("#joints input[type=file]").set_input_files(joints(served.folder / "hero.json"))
        page.locator("#seen img").wait_for()
        assert page.locator("#seen-said .fault").count() == 0
        foreign = [url for url in asked if not url.startswith((served.url, "data:", "blob:"))]
        assert not foreign, "no font, script or count from elsewhere"
        window.close()
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 0, served.log()
    assert "ASKED" not in served.log() and "Traceback" not in served.log(), served.log()
    assert not served.left(), "nothing is left behind"
