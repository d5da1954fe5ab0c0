"""Figures from a store made here: which are made, which are skipped with which command, and what they are made of."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bench.cells
import bench.illustrate.studio
import bench.metrics.features
from bench.build import build
from bench.cells import Workplace, stages
from bench.checkpoint import save_state
from bench.data.pack import Pack
from bench.data.people import Framing, read_people
from bench.errors import DataError, SkippedError, UsageError
from bench.figures.poses import Animation
from bench.files import read_json, sha256_of, write_json
from bench.generate import all_test_pairs, store_images
from bench.illustrate.make import FIGURES, Outcome, _list, chosen, illustrate
from bench.illustrate.paper import _reach, _targets
from bench.illustrate.pictures import NotInStore, aligned_maps, drawn, model, spread
from bench.illustrate.studio import Studio
from bench.plan import table1_cells, table2_cells, table4_cells
from bench.progress import SilentReporter
from bench.records import write_record
from bench.run import row_title
from bench.score import score
from bench.spec import Cell
from ours.generator import Generator
from tests.made_pack import made_pack
from tests.made_records import made_up
from tests.test_run import MeanColours, spoil

BASE = Cell("ours", "smoke", device="cpu")


@pytest.fixture(scope="module")
def pack() -> Pack:
    return made_pack(frames=12, size=64)


@pytest.fixture
def place(tmp_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    monkeypatch.setattr(bench.cells, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: None)
    monkeypatch.setattr(bench.cells, "perceptual_hashes", lambda names, report: {})
    monkeypatch.setattr(bench.illustrate.studio, "data_pack", lambda size, place: pack)
    return Workplace(tmp_path / "store", tmp_path / "results", SilentReporter())


@pytest.fixture
def studio(place: Workplace) -> Studio:
    return Studio(BASE, place)


class Quiet:
    def update(self, done: int, total: int, note: str = "") -> None:
        return


def draw(cell: Cell, place: Workplace, pack: Pack) -> None:
    """Put pictures of a cell into the store: the truth, with noise that grows over the frames; and its scores."""
    found, rng = stages(cell, place), np.random.default_rng(0)
    frames = [int(frame) for pairs in all_test_pairs(pack) for frame in pairs.targets]
    images = [pack.rgb[[frame]] + rng.integers(0, 4 + 2 * i, (1, 64, 64, 3)) for i, frame in enumerate(frames)]
    found.generate.run(
        lambda folder: store_images(folder, [np.clip(i, 0, 255).astype(np.uint8) for i in images], frames)
    )
    found.score.run(
        lambda folder: score(found.generate.folder, pack, folder, MeanColours(), place.store, Quiet())  # type: ignore[arg-type]
    )


def train(cell: Cell, place: Workplace) -> None:
    """Put an untrained model of a cell into the store, and a schedule of one pass."""
    found = stages(cell, place)
    assert found.spec is not None and found.train is not None
    spec = found.spec

    def work(folder: Path) -> dict[str, Any]:
        torch.manual_seed(0)
        save_state(folder / "model.pt", {"method": build(spec, torch.device("cpu")).state_dict()})
        entry = {"phase": "meta", "step": 1, "seconds": 1.0, "g_l1": 0.5, "gradient_norms": {"g": 2.0, "d": None}}
        write_json(folder / "log.json", [entry, {**entry, "step": 2, "seconds": 2.0}])
        return {"seconds": 2.0}

    found.train.run(work)
    if found.tune is not None:
        found.tune.run(lambda folder: {"lr": 0.001, "passes": 1})


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.figure: outcome for outcome in outcomes}


def test_from_an_empty_store_what_shows_data_alone_is_made_and_the_rest_names_its_command(studio: Studio) -> None:
    found = by_name(illustrate(list(FIGURES), studio))
    assert [name for name, outcome in found.items() if outcome.files] == ["5", "examples"]
    for name, table in (("1", "table1"), ("6", "table1"), ("8", "table2"), ("9", "table4"), ("10", "table2"),
                        ("11", "table1"), ("training", "table1"), ("shots", "table2"),
                        ("difficulty", "table1")):  # fmt: skip
        assert f"bench {table} --preset smoke --store" in found[name].skipped, name
    assert "--people DIR" in found["7"].skipped


def test_figures_of_what_is_in_the_store(studio: Studio, place: Workplace, pack: Pack) -> None:
    for cell in (*table1_cells(BASE), *table2_cells(BASE), *(c for c in table4_cells(BASE) if isinstance(c, Cell))):
        draw(cell, place, pack)
    found = by_name(illustrate(["1", "6", "8", "9", "10", "11"], studio))
    for name, outcome in found.items():
        assert not outcome.skipped, outcome.skipped
        assert [file.suffix for file in outcome.files[:2]] == [".png", ".pdf"] and outcome.caption
        assert all(file.stat().st_size > 1000 for file in outcome.files)
        assert outcome.files[0].name.startswith(f"figure{int(name):02d}-")
    assert len(found["11"].files) == 4, "failures, and difficulty against score"


def test_a_method_that_is_not_there_is_a_column_less_and_is_said(studio: Studio, place: Workplace, pack: Pack) -> None:
    patn, *_, ours = table1_cells(BASE)
    draw(ours, place, pack)
    without = illustrate(["6"], studio)[0]
    draw(patn, place, pack)
    with_patn = illustrate(["6"], studio)[0]
    assert "PATN" in without.skipped and "PATN" not in with_patn.skipped and "PG2" in with_patn.skipped
    assert "bench table1 --preset smoke" in with_patn.skipped
    assert not illustrate(["8"], studio)[0].files, "one picture a row is no comparison of shots"


def test_a_method_of_ones_own_that_has_a_record_is_a_column(studio: Studio, place: Workplace, pack: Pack) -> None:
    own = Cell("tests.example_method:Plain", "smoke", device="cpu")
    for cell in (own, studio.ours()):
        draw(cell, place, pack)
    record = made_up(own.method, "Plain", cell__preset="smoke")
    write_record(place.results / "smoke" / "records" / "plain.json", record)
    assert [cell.method for cell in studio.further_methods()] == [own.method]
    assert "Plain" not in illustrate(["6"], studio)[0].skipped


def test_the_list_of_figures_keeps_those_of_earlier_calls(studio: Studio, place: Workplace, pack: Pack) -> None:
    illustrate(["5"], studio)
    draw(studio.ours(), place, pack)
    illustrate(["1"], studio)
    listed = read_json(studio.folder / "figures.json")
    assert list(listed) == ["1", "5"]
    assert listed["1"]["files"] == ["figure01-teaser.png", "figure01-teaser.pdf"]
    assert listed["1"]["command"].endswith("--only 1") and "unseen characters" in listed["1"]["caption"].lower()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b'{"1": "\xff"}', b"null"])
def test_a_damaged_list_of_figures_is_said_and_begun_anew(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path, said = studio.folder / "figures.json", list[str]()
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setattr(SilentReporter, "line", lambda _, text: said.append(text))
    illustrate(["5"], studio)
    assert list(read_json(path)) == ["5"]
    assert len(said) == 1 and f"{path} is damaged" in said[0] and "bench figures --preset smoke" in said[0]


def test_of_two_commands_at_once_both_are_listed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one begins while the first one has read the list and not yet written it."""
    other, done = Outcome("6", (studio.folder / "six.png",), "Six.", ""), list[object]()
    second = threading.Thread(target=_list, args=([other], studio))

    def slow(path: Path, value: object) -> None:
        if not done:
            done.append(value)
            second.start()
            second.join(0.5)
        write_json(path, value)

    monkeypatch.setattr("bench.illustrate.make.write_json", slow)
    illustrate(["5"], studio)
    second.join()
    assert list(read_json(studio.folder / "figures.json")) == ["5", "6"]


def test_few_characters_fill_a_grid_with_more_poses_of_each() -> None:
    few, many = _targets(made_pack(test=2, frames=12), 6), _targets(made_pack(test=7), 6)
    assert len({target for _, target in few}) == 6
    assert [sum(pairs.source == other.source for other, _ in few) for pairs, _ in few] == [3] * 6
    assert len({pairs.source for pairs, _ in many}) == len(many) == 6


def test_drawn_images_are_found_by_frame(place: Workplace, pack: Pack) -> None:
    cell = Cell("truth", "smoke")
    with pytest.raises(NotInStore, match="Real vs real"):
        drawn(cell, place)
    frames = [int(frame) for pairs in all_test_pairs(pack) for frame in pairs.targets][::-1]
    stages(cell, place).generate.run(lambda folder: store_images(folder, [pack.rgb[frames]], frames))
    pictures = drawn(cell, place)
    assert all((pictures[frame] == pack.rgb[frame]).all() for frame in frames)


@pytest.mark.parametrize(("stage", "name"), [("generate", "images.npy"), ("score", "images.csv")])
def test_what_was_damaged_in_the_store_is_in_no_figure_and_ends_in_exit_code_3(
    studio: Studio, place: Workplace, pack: Pack, stage: str, name: str
) -> None:
    draw(studio.ours(), place, pack)
    file = getattr(stages(studio.ours(), place), stage).folder / name
    spoil(file, -5)
    outcome = illustrate(["11"], studio)[0]
    assert not outcome.files and outcome.bad_data
    assert f"{file} is damaged" in outcome.skipped and f"delete the folder {file.parent}" in outcome.skipped
    done = call(place, "--only", "11,5")
    assert isinstance(done.exception, DataError) and done.exception.exit_code == 3
    assert f"{file} is damaged" in done.stderr and "figure05-support-set.png" in done.stdout


def test_pictures_that_several_figures_show_are_checked_once(
    studio: Studio, place: Workplace, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(studio.ours(), place, pack)
    checked: list[str] = []
    monkeypatch.setattr("bench.store.sha256_of", lambda path: checked.append(path.name) or sha256_of(path))
    illustrate(["1", "6", "8", "11"], studio)
    assert checked.count("images.npy") == 1


def test_failures_are_the_worst_image_of_each_character(
    studio: Studio, place: Workplace, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(studio.ours(), place, pack)
    shown: list[Any] = []
    monkeypatch.setattr("bench.figures.failure_cases", lambda cases, title, stem: shown.extend(cases) or [])
    illustrate(["11"], studio)
    # noise grows over the frames, so the last target of each character is its worst, and the last character's first
    worst = [int(pairs.targets[-1]) for pairs in all_test_pairs(pack)][::-1]
    assert all((case.truth == pack.rgb[frame]).all() for case, frame in zip(shown, worst, strict=True))
    assert shown[0].ssim < shown[1].ssim


def test_aligned_maps_are_those_of_the_generator_that_runs_and_only_while_asked_for() -> None:
    torch.manual_seed(0)
    generator = Generator(8).eval()
    pose, source = torch.rand(2, 2, 3, 64, 64).mul(2).sub(1)
    with torch.no_grad():
        expected = generator.aligned_maps(pose, source)
        with aligned_maps() as found:
            copy.deepcopy(generator)(pose, source)
        generator(pose, source)
    assert len(found) == 2, "and none after the block"
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_pose_moves_as_far_as_the_canvas_allows_and_no_further() -> None:
    pose = torch.zeros(17, 3)
    pose[:, 0], pose[:, 2] = torch.linspace(20, 40, 17), 2
    offsets = _reach(pose, 64)
    assert offsets[len(offsets) // 2] == 0 and len(set(np.diff(offsets))) == 1
    assert 20 + offsets[0] >= 0 and 40 + offsets[-1] <= 64
    assert offsets[-1] >= 15


def test_feature_maps_are_drawn_by_the_adapted_model(studio: Studio, place: Workplace) -> None:
    with pytest.raises(NotInStore, match="has not been trained"):
        model(studio.ours(), place)
    train(studio.ours(), place)
    outcome = illustrate(["4"], studio)[0]
    assert not outcome.skipped and "moves by" in outcome.caption
    with Image.open(outcome.files[0]) as image:
        assert image.width > 1000


def test_training_curves_say_which_are_missing(studio: Studio, place: Workplace) -> None:
    train(studio.ours(), place)
    outcome = illustrate(["training"], studio)[0]
    assert len(outcome.files) == 4 and "PATN" in outcome.skipped and "Ours (MSL)" not in outcome.skipped
    assert {path.stem for path in outcome.files} == {"training", "training-gradients"}


def test_figures_of_scores_need_nothing_but_records(studio: Studio, place: Workplace) -> None:
    folder = place.results / "smoke" / "records"
    tuned = {"lr": 0.003, "passes": 2, "curve": [
        {"lr": 0.003, "passes": p, "l1_foreground": 0.3, "ssim_foreground": 0.5} for p in (0, 2)
    ]}  # fmt: skip
    for shots in (1, 4):
        write_record(
            folder / f"ours-{shots}.json", made_up("ours", f"Ours ({shots}-shot)", cell__shots=shots, finetune=tuned)
        )
    write_record(folder / "patn.json", made_up())
    write_record(
        folder / "other.json", made_up("pg2", "PG2", data__digest="other", created="2025-01-01T00:00:00+00:00")
    )
    outcomes = illustrate(["tuning", "shots", "cost", "characters"], studio)
    assert [outcome.skipped for outcome in outcomes] == [""] * 4
    assert {path.stem for path in outcomes[0].files} == {"tuning-ours-1", "tuning-ours-4"}
    assert all("seed 0" in outcome.caption for outcome in outcomes[2:]), "they are of one seed where tables pool"
    assert not place.store.exists()


def test_scores_by_difficulty_are_those_in_the_store_and_rows_that_are_not_there_are_said(
    studio: Studio, place: Workplace, pack: Pack
) -> None:
    patn = table1_cells(BASE)[0]
    draw(patn, place, pack)
    for method, title, key in (("patn", "PATN", stages(patn, place).score.key), ("pg2", "PG2", "gone")):
        record = made_up(method, title, key=key, cell__preset="smoke")
        write_record(place.results / "smoke" / "records" / f"{method}.json", record)
    outcome = illustrate(["difficulty"], studio)[0]
    assert [file.name for file in outcome.files] == ["difficulty.png", "difficulty.pdf"]
    assert "without PG2, seed 0" in outcome.skipped and "PATN" not in outcome.skipped


def test_lines_of_shots_are_told_apart_by_method_not_by_the_labels_of_a_table(
    studio: Studio, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tuned = place.results / "smoke" / "records", {"lr": 0.003, "passes": 2}
    rows = [
        ("ours-1shot-none", "Ours (1-shot) w/o FT", {"cell__shots": 1, "cell__adaptation": "none"}),
        ("ours-4shot-none", "w/o FT", {"cell__shots": 4, "cell__adaptation": "none"}),
        ("ours-4shot", "w/o MSL", {"cell__shots": 4, "finetune": tuned}),
        ("ours-4shot-s1", "w/o MSL", {"cell__shots": 4, "finetune": tuned, "cell__seed": 1}),
        ("ours-lr", "Ours", {"cell__adaptation": "lr=1,passes=1", "finetune": tuned}),
        ("ours-wo-ml", "w/o ML", {"cell__variant": "wo-ml", "finetune": tuned}),
    ]
    for name, title, changed in rows:
        write_record(folder / f"{name}.json", made_up("ours", title, **changed))
    write_record(folder / "patn.json", made_up())
    shown: dict[str, Any] = {}
    monkeypatch.setattr("bench.figures.scores_by_shots", lambda lines, stem: shown.update(lines) or [])
    illustrate(["shots"], studio)
    assert {title: [record.title for record in line] for title, line in shown.items()} == {
        "Ours": ["Ours (1-shot) w/o FT", "w/o MSL", "w/o MSL"]
    }


def test_figures_are_chosen_by_name() -> None:
    assert chosen("") == list(FIGURES)
    assert chosen("6, 1,6") == ["6", "1"]
    with pytest.raises(UsageError, match="did you mean 'training'"):
        chosen("trainings")


def test_indices_are_spread_from_the_first_to_the_last() -> None:
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(2, 6) == [0, 1]


# --- people ---------------------------------------------------------------------------------------------------


def somebody(height: int, middle: tuple[float, float]) -> list[float]:
    """A COCO pose of that height, upright, around a point; one joint missing."""
    pose = [[middle[0] + (i % 3 - 1) * height / 8, middle[1] + height * (i / 16 - 0.5), 2.0] for i in range(17)]
    pose[8] = [0.0, 0.0, 0.0]
    return [value for joint in pose for value in joint]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "people"
    folder.mkdir()
    picture = np.zeros((300, 200, 4), np.uint8)  # transparent
    picture[50:250, 80:120] = (200, 40, 40, 255)
    Image.fromarray(picture).save(folder / "a.png")
    dark = np.full((400, 400, 3), 30, np.uint8)
    dark[100:300, 300:340] = 250
    Image.fromarray(dark).save(folder / "b.png")
    annotate(
        folder, {"a.png": [somebody(200, (100, 150))], "b.png": [somebody(40, (50, 50)), somebody(200, (320, 200))]}
    )
    yield folder


def annotate(folder: Path, poses: dict[str, list[list[float]]]) -> None:
    images = [{"id": i, "file_name": name} for i, name in enumerate(poses)]
    annotations = [
        {"id": 10 * i + j, "image_id": i, "keypoints": pose}
        for i, found in enumerate(poses.values())
        for j, pose in enumerate(found)
    ]
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def test_people_are_framed_like_the_characters(folder: Path) -> None:
    framing = Framing(height=48, x=32, y=30)
    first, second = read_people(folder, 64, framing)
    for person in (first, second):
        present = person.keypoints[person.keypoints[:, 2] > 0, :2]
        low, high = present.min(0), present.max(0)
        assert high[1] - low[1] == pytest.approx(48, abs=0.01)
        assert (low + high) / 2 == pytest.approx([32, 30], abs=0.01)
        assert person.image.shape == (64, 64, 3)
        assert (person.keypoints[8] == 0).all()
    red = np.argwhere((first.image == (200, 40, 40)).all(2))
    assert red.min(0) == pytest.approx([6, 27], abs=1) and red.max(0) == pytest.approx([53, 36], abs=1)
    assert (first.image[:, :20] == 255).all(), "what is transparent is white"
    assert first.white_background and not second.white_background
    assert (second.image[20:40, 30:34] == 250).all(), "the larger of two people, past the border of the image"


def test_a_support_set_of_a_person_is_made_by_shifts(folder: Path) -> None:
    person = read_people(folder, 64, Framing(48, 32, 32))[0]
    support = person.support(4, torch.device("cpu"))
    assert support.images.shape == (4, 3, 64, 64) and support.source.min() >= -1 and support.source.max() <= 1
    torch.testing.assert_close(support.images[0], support.source[0])
    torch.testing.assert_close(support.keypoints[1, 0, 0] - support.source_keypoints[0, 0, 0], torch.tensor(4.0))


def test_all_faults_of_a_folder_of_people_are_listed_at_once(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"COCO keypoints in annotations\.json"):
        read_people(tmp_path, 64, Framing(48, 32, 32))
    (folder / "c.png").write_text("no image")
    (tmp_path / "out.png").write_bytes((folder / "a.png").read_bytes())
    good = somebody(200, (100, 150))
    annotate(folder, {"../out.png": [good], "a.png": [], "b.png": [[9e9, 9e9, 2.0] * 17], "c.png": [good]})
    with pytest.raises(DataError) as caught:
        read_people(folder, 64, Framing(48, 32, 32))
    for words in ("out of the folder", "a.png: no annotation", "b.png: its joints lie far outside", "c.png: "):
        assert words in str(caught.value)
    annotate(folder, {"a.png": [[0.0] * 30]})
    with pytest.raises(DataError, match="30 numbers, not 51"):
        read_people(folder, 64, Framing(48, 32, 32))


def test_people_are_drawn_by_trained_models_and_join_the_gallery(
    folder: Path, place: Workplace, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = Studio(BASE, place, folder)
    cell = studio.ours()
    train(cell, place)
    train(table1_cells(BASE)[2], place)
    outcome = illustrate(["7"], studio)[0]
    assert outcome.files and "a.png, b.png" in outcome.caption
    assert "PATN" in outcome.skipped and "Pix2Pix" not in outcome.skipped

    draw(studio.ours(shots=10), place, pack)
    train(studio.ours(shots=10), place)
    shown: list[Animation] = []
    monkeypatch.setattr("bench.figures.gallery", lambda animations, stem: shown.extend(animations) or [])
    illustrate(["10"], studio)
    assert len(shown) == len(pack.characters("test")) + 2
    assert (shown[-1].source == studio.people[1].image).all()
    assert row_title(studio.ours(shots=10)) == "Ours (10-shot) (MSL)"


# --- the command ----------------------------------------------------------------------------------------------


def call(place: Workplace, *arguments: str) -> Any:
    from typer.testing import CliRunner

    from bench.cli import app

    where = ["--preset", "smoke", "--device", "cpu", "-q", "--store", str(place.store), "--results", str(place.results)]
    return CliRunner().invoke(app, ["figures", *where, *arguments])


def test_the_command_prints_the_files_it_made(place: Workplace) -> None:
    done = call(place, "--only", "5")
    assert done.exit_code == 0
    made = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in made] == ["figure05-support-set.png", "figure05-support-set.pdf"]
    assert all(path.exists() for path in made)
    listed = json.loads(call(place, "--only", "5", "--json").stdout)
    assert listed[0]["files"] == [str(path) for path in made] and listed[0]["skipped"] == ""


def test_what_is_skipped_ends_in_exit_code_4_after_all_others_were_made(place: Workplace) -> None:
    done = call(place, "--only", "8,5")
    assert isinstance(done.exception, SkippedError) and done.exception.exit_code == 4
    assert "figure 8" in str(done.exception) and "bench table2 --preset smoke" in done.stderr
    assert (place.results / "smoke" / "figures" / "figure05-support-set.pdf").exists()


def test_nobody_is_told_that_people_are_missing_unless_they_were_asked_for(place: Workplace) -> None:
    assert json.loads(call(place, "--dry-run", "--json").stdout) == [name for name in FIGURES if name != "7"]
    assert "--people DIR" in call(place, "--only", "7").stderr
    assert isinstance(call(place, "--people", "nowhere").exception, UsageError)
