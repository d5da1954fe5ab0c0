"""Trained on one data set, tested on another: what is shared, what stands apart, and what is refused.

Both sets are made in code, and the FID network is a stand-in.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bench.cells
import bench.metrics.features
import bench.predictions
import bench.ranks.jobs
import bench.verify
from bench.cells import Workplace, record_path, stages, trial_of
from bench.cli import main
from bench.data.pack import Pack, open_pack
from bench.errors import DataError, UsageError
from bench.generate import all_test_pairs
from bench.launch.outcome import one_after_the_other
from bench.plan import table1_cells, table4_cells
from bench.progress import SilentReporter
from bench.publish import publish
from bench.records import Record, comparable, read_record, scored_on
from bench.report import make_report
from bench.run import run_cell
from bench.spec import FLOORS, Cell
from bench.tables import claims, table1
from bench.verify import pack_of, verify
from tests.made_pack import made_pack, write_pack
from tests.made_records import everything, made_up
from tests.test_run import MeanColours, stand_in_for_weights

PLAIN = Cell("tests.example_method:Plain", "smoke", device="cpu")
CPU = torch.device("cpu")


def avatars(name: str, brightness: int = 0, size: int = 32, **counts: int) -> Pack:
    """Characters for testing, none of which the training data know."""
    pack = made_pack(**{"train": 1, "validation": 0, "test": 2, **counts}, size=size)
    pixels = pack.pixels.copy()
    pixels[..., :3] //= 2
    pixels[..., 0] += brightness
    names = tuple(f"{name}{number}" for number in range(len(pack.names)))
    return replace(pack, digest=f"{name}-digest", pixel_digest=f"{name}-pixels", pixels=pixels, names=names)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pack(made_pack(), folder / "drawn")
    write_pack(avatars("real"), folder / "real")
    write_pack(avatars("other", 90), folder / "other")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def plain(store: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    stand_in_for_weights(monkeypatch)
    monkeypatch.setattr(bench.cells, "perceptual_hashes", lambda names, report: {})
    monkeypatch.setattr(bench.verify, "Extractor", MeanColours)
    return Workplace(store, tmp_path / "results", SilentReporter(), data / "drawn")


@pytest.fixture
def crossed(plain: Workplace, data: Path) -> Workplace:
    return replace(plain, test_data=data / "real")


def test_training_and_tuning_are_shared_and_only_the_rest_has_a_key_of_its_own(
    plain: Workplace, crossed: Workplace
) -> None:
    base = Cell("ours", "smoke", device="cpu")
    for cell in [*table1_cells(base), *(cell for cell in table4_cells(base) if isinstance(cell, Cell))]:
        one, other = stages(cell, plain), stages(cell, crossed)
        for stage in ("warm_start", "train", "tune"):
            assert getattr(one, stage) == getattr(other, stage), (cell, stage)
        assert one.generate.key != other.generate.key
        assert one.score.key != other.score.key
        adapts_otherwise = {"options"} & set(one.generate.identity) if cell.variant == "wo-ml" else set()
        assert set(one.generate.identity) - adapts_otherwise == {"train", "shots", "protocol", "adaptation"}
        assert other.generate.identity == {**one.generate.identity, "test_data": "real-digest"}


def test_floors_depend_on_the_data_that_they_show(plain: Workplace, crossed: Workplace, data: Path) -> None:
    trained_there = replace(plain, data=data / "real")
    for name in FLOORS:
        cell = Cell(name, "smoke", device="cpu")
        here, there, between = (stages(cell, place).generate for place in (plain, trained_there, crossed))
        assert here.identity == {"floor": name, "data": "made-in-code"}, "as it always was"
        assert here.key != between.key
        assert (between.key == there.key) == (name != "nearest-pose"), "which looks at training pictures too"


def test_test_data_that_are_the_training_data_change_nothing(plain: Workplace, data: Path, tmp_path: Path) -> None:
    write_pack(open_pack(data / "drawn"), tmp_path / "copy")
    same = replace(plain, test_data=tmp_path / "copy")
    for cell in (PLAIN, Cell("ours", "smoke", device="cpu"), Cell("nearest-pose", "smoke")):
        assert stages(cell, same) == stages(cell, plain)
        assert record_path(stages(cell, same), plain.results) == record_path(stages(cell, plain), plain.results)


def test_one_training_is_scored_on_several_data_sets_whose_records_lie_apart(
    plain: Workplace, crossed: Workplace, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    train = bench.ranks.jobs.train
    monkeypatch.setattr(bench.ranks.jobs, "train", lambda *arguments: trained.append(arguments) or train(*arguments))
    other = replace(plain, test_data=data / "other")
    records = [run_cell(PLAIN, place) for place in (crossed, plain, other)]
    assert len(trained) == 1
    assert trained[0][1].digest == "made-in-code", "on the training data, whatever is tested first"
    names = ["tests.example_method_Plain-1shot-s0" + suffix for suffix in ("-on-real", "", "-on-other")]
    folder = plain.results / "smoke" / "records"
    assert [read_record(folder / f"{name}.json").key for name in names] == [record.key for record in records]
    assert len({record.key for record in records}) == 3
    assert [sorted(record.per_character) for record in records] == [
        ["real1", "real2"],
        ["c4", "c5"],
        ["other1", "other2"],
    ]
    on_real, on_own, on_other = records
    assert on_real.data["digest"] == "real-digest"
    assert on_real.data["name"] == "real"
    assert on_real.trained_on == {"name": "drawn", "digest": "made-in-code", "pixels": "made-in-code"}
    assert on_own.trained_on is None
    assert on_own.data["digest"] == "made-in-code"
    assert on_other.metrics != on_real.metrics


def test_floors_show_test_characters_and_the_nearest_pose_a_picture_of_the_training_data(
    crossed: Workplace, data: Path
) -> None:
    real, drawn = open_pack(data / "real"), open_pack(data / "drawn")
    records = {name: run_cell(Cell(name, "smoke", device="cpu"), crossed) for name in FLOORS}
    assert records["truth"].metrics["ssim"]["mean"] == pytest.approx(1)
    assert records["copy-source"].data["digest"] == "real-digest"
    pairs = list(all_test_pairs(real))
    targets = np.concatenate([one.targets for one in pairs])
    images = np.load(stages(Cell("nearest-pose", "smoke"), crossed).generate.folder / "images.npy")
    library = drawn.rgb[drawn.frames_in("train")]
    places = drawn.keypoints[drawn.frames_in("train"), 0, 0]
    for target, image in zip(targets, images, strict=True):
        nearest = np.abs(places - real.keypoints[target, 0, 0]).min()
        shown = [places[i] for i in range(len(library)) if np.array_equal(library[i], image)]
        assert nearest in np.abs(np.array(shown) - real.keypoints[target, 0, 0])


def test_a_table_says_both_data_sets_and_lies_beside_the_plain_one_with_its_grid(
    plain: Workplace, crossed: Workplace
) -> None:
    cells = [PLAIN, *(Cell(name, "smoke", device="cpu") for name in FLOORS if name != "truth")]
    usual = publish("table1", one_after_the_other(cells, plain), plain)
    outcome = one_after_the_other(cells, crossed)
    assert not outcome.missing
    table = publish("table1", outcome, crossed)
    folder = plain.results / "smoke"
    assert "tested on" not in usual.title + usual.caption
    assert "trained on drawn, tested on real" in table.title
    assert "trained on drawn data made-in-code, tested on real data real-digest" in table.caption
    assert "bench table1 --preset smoke --test-data real has not made it yet" in "; ".join(table.footnotes)
    for suffix in ("md", "tex", "csv", "json", "html"):
        assert (folder / f"table1.{suffix}").read_text() != (folder / f"table1-on-real.{suffix}").read_text()
    grids = [folder / "figures" / name for name in ("table1.png", "on-real/table1.png")]
    assert grids[0].read_bytes() != grids[1].read_bytes()
    assert not (folder / "figures" / "on-real" / "training.png").exists(), "it would be the plain one"


def crossed_records(name: str = "real", created: str = "2030-01-01T00:00:00+00:00") -> list[Record]:
    return [
        Record.from_dict(
            {**record.to_dict(), "created": created, "data": {**record.data, "digest": name, "name": name,
             "trained_on": {"name": "procedural", "digest": record.data["digest"], "pixels": "p"}}}
        )
        for record in everything()
    ]  # fmt: skip


def test_rows_of_two_test_sets_never_stand_in_one_table() -> None:
    own, real, other = everything(), crossed_records(), crossed_records("other")
    for mixed in ([*own, real[0]], [*real, other[0]]):
        with pytest.raises(DataError, match="data digest"):
            table1(mixed)
    there = [made_up("pg2", "PG2", data__digest="real")]
    with pytest.raises(DataError, match="training data"):
        table1([*real[3:], *there])
    kept, left = comparable([*own, *real])
    assert kept == own, "however new the others are"
    assert len(left) == len(real)
    every = [*own, *real, *other]
    assert [scored_on(every, digest) for digest in (None, "real", "other", "none")] == [own, real, other, []]
    assert "trained on procedural, tested on real" in claims(real).title


def test_a_record_is_recomputed_from_its_images_wherever_its_data_lie(
    crossed: Workplace, data: Path, tmp_path: Path
) -> None:
    write_pack(avatars("moved", 60), tmp_path / "moved")
    record = run_cell(Cell("copy-source", "smoke", device="cpu"), replace(crossed, test_data=tmp_path / "moved"))
    with SilentReporter().task("") as task:
        assert verify(record, crossed.store, CPU, task) == []
        changed = Record.from_dict({**record.to_dict(), "metrics": {**record.metrics, "fid": {"value": 1.0}}})
        assert [wrong.field for wrong in verify(changed, crossed.store, CPU, task)] == ["metrics.fid.value"]
        (tmp_path / "moved").rename(tmp_path / "elsewhere")
        with pytest.raises(DataError, match="name their folder with --test-data"):
            verify(record, crossed.store, CPU, task, [data / "real"])
        assert verify(record, crossed.store, CPU, task, [tmp_path / "elsewhere"]) == []
    run_cell(Cell("copy-source", "smoke", device="cpu"), replace(crossed, test_data=tmp_path / "elsewhere"))
    assert pack_of(record, crossed.store).digest == "moved-digest", "the next run has told the store"


def test_a_report_is_of_one_test_set(plain: Workplace, crossed: Workplace, tmp_path: Path) -> None:
    cell = Cell("copy-source", "smoke", device="cpu")
    with pytest.raises(DataError, match="no records of this data"):
        make_report(plain.results, "smoke", plain.store, tmp_path / "none")
    write_pack(open_pack(plain.data), plain.store / "packs" / "made-in-code-32")  # type: ignore[arg-type]
    for place in (plain, crossed):
        run_cell(cell, place)
    pages = []
    for number, place in enumerate((plain, crossed)):
        made = make_report(plain.results, "smoke", plain.store, tmp_path / str(number), (), trial_of(cell, place))
        assert not made.without_pictures
        pages.append(made.page.read_text(encoding="utf-8"))
        sheets = sorted(path.stem for path in (made.page.parent / "sheets").glob("*.png"))
        assert sheets == (["real1", "real2"] if number else ["c4", "c5"])
    assert "real-digest" not in pages[0]
    assert "tested on real" in pages[1]


@pytest.mark.parametrize(
    ("pack", "error", "words"),
    [
        (avatars("large", size=64), UsageError, "64 px, and the training data have 32; make it again with --size 32"),
        (avatars("none", train=3, test=0), DataError, "no test characters; `bench data render --split test`"),
    ],
)
def test_data_that_cannot_be_tested_on_are_refused_before_anything_is_done(
    plain: Workplace, tmp_path: Path, pack: Pack, error: type[Exception], words: str
) -> None:
    write_pack(pack, tmp_path / "set")
    with pytest.raises(error, match=words):
        stages(PLAIN, replace(plain, test_data=tmp_path / "set"))


def test_a_test_character_that_was_trained_on_is_refused(plain: Workplace, tmp_path: Path) -> None:
    known = avatars("c", test=3)  # c0 to c3, of which c1 and c2 are trained on, c3 tuned on
    write_pack(known, tmp_path / "set")
    with pytest.raises(DataError, match="test characters c1, c2, c3 of set are of drawn's training or validation"):
        run_cell(PLAIN, replace(plain, test_data=tmp_path / "set"))


def test_commands_take_test_data_and_say_what_is_wrong(
    plain: Workplace,
    crossed: Workplace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(*arguments: str, test_data: str = str(crossed.test_data)) -> tuple[int, str, str]:
        options = ("--preset", "smoke", "--data", str(plain.data), "--results", str(plain.results))
        monkeypatch.setattr(sys, "argv", ["bench", *arguments, *options, "--test-data", test_data])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    planned = command("plan", "table1", "--device", "cpu", "--store", str(plain.store), "--json")[1]
    expected = {stages(cell, crossed).generate.key for cell in table1_cells(Cell("ours", "smoke", device="cpu"))}
    assert all(key in planned for key in expected)
    for arguments in (("run", "--method", "patn"), ("table1",), ("table2",), ("table4",), ("sweep",)):
        code, said, _ = command(*arguments, "--device", "cpu", "--store", str(plain.store), "--dry-run", "--json")
        assert code == 0
        assert "-on-real-dig" in said, arguments
    for folder in (tmp_path / "nowhere", tmp_path):
        code, _, said = command("table1", test_data=str(folder))
        assert code == 2
        assert said.startswith("bench: --test-data")
        assert len(said.splitlines()) == 1
    assert command("claims")[0] == 2, "there are no records of it"
    run_cell(PLAIN, crossed)
    assert command("claims")[0] == 0
    assert "tested on real" in (plain.results / "smoke" / "claims-on-real.md").read_text()


def test_another_data_set_of_a_name_that_is_taken_is_refused_and_loses_nothing(
    plain: Workplace, crossed: Workplace, tmp_path: Path
) -> None:
    floor = Cell("copy-source", "smoke", device="cpu")
    record = run_cell(floor, crossed)
    write_pack(avatars("twin", 40), tmp_path / "b" / "real")
    with pytest.raises(UsageError, match=r"copy-source-on-real.json is of another data set.*rename this folder"):
        run_cell(floor, replace(plain, test_data=tmp_path / "b" / "real"))
    assert read_record(plain.results / "smoke" / "records" / "copy-source-on-real.json").key == record.key
    write_pack(avatars("suffix", 20), tmp_path / "on-real")
    write_pack(open_pack(crossed.test_data), tmp_path / "c" / "real")  # type: ignore[arg-type]
    for folder in (tmp_path / "on-real", tmp_path / "c" / "real"):
        run_cell(floor, replace(plain, test_data=folder))
    (tmp_path / "b" / "real").rename(tmp_path / "b" / "twin")
    run_cell(floor, replace(plain, test_data=tmp_path / "b" / "twin"))
    names = sorted(path.stem for path in (plain.results / "smoke" / "records").glob("*.json"))
    assert names == ["copy-source-on-on-real", "copy-source-on-real", "copy-source-on-twin"]


def test_pictures_made_elsewhere_of_a_second_data_set_stand_among_its_rows(
    plain: Workplace, crossed: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    monkeypatch.setattr(bench.predictions, "extractor_identity", lambda name: identity)
    cell = Cell("copy-source", "smoke", device="cpu")
    floor = run_cell(cell, crossed)
    images = np.load(stages(cell, crossed).generate.folder / "images.npy")
    options = ["--preset", "smoke", "--data", str(plain.data), "--test-data", str(crossed.test_data)]
    options += ["--store", str(plain.store), "--results", str(plain.results), "--device", "cpu"]

    def command(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["bench", "import-predictions", *arguments, *options])
        with pytest.raises(SystemExit, match="0"):
            main()

    command("--template", str(tmp_path / "wanted"))
    names = [line.split(",")[0] for line in (tmp_path / "wanted" / "wanted.csv").read_text().splitlines()[1:]]
    assert {name.split("/")[0] for name in names} == {"real1", "real2"}
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(tmp_path / "wanted" / name)
    command(str(tmp_path / "wanted"), "--name", "Mine")
    record = read_record(plain.results / "smoke" / "records" / "imported_mine-1shot-s0-on-real.json")
    assert record.metrics == floor.metrics
    assert record.trained_on == floor.trained_on
    assert "Mine" in [row.title for _, row in table1([record, floor]).rows()]
    with SilentReporter().task("") as task:
        assert verify(record, crossed.store, CPU, task) == []
