"""Detected joints: what shares a training, what stands apart, what both say side by side, and what is refused.

Data are made in code; the detector and the FID network are stand-ins.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bench.cells
import bench.illustrate.studio
import bench.metrics.features
import bench.pose.joints
import bench.verify
from bench.cells import Workplace, record_path, stages, trial_of
from bench.cli import main
from bench.errors import DataError, WeightsMissing
from bench.export import export
from bench.illustrate.studio import Studio
from bench.launch.outcome import one_after_the_other
from bench.plan import plan, table1_cells, table4_cells
from bench.pose.detector import Detection
from bench.progress import SilentReporter
from bench.publish import publish
from bench.records import Record, comparable, read_record, scored_on
from bench.report import make_report
from bench.run import run_cell
from bench.spec import FLOORS, Cell
from bench.tables import claims, joints, table1
from bench.tables.compare import difference
from tests.made_pack import made_pack, write_pack
from tests.made_records import SCHEDULE, everything, made_up, ours, row
from tests.test_run import MeanColours, stand_in_for_weights

IDENTITY = {"detector": "middle", "weights": "0123456789abcdef", "threshold": 0.2, "code": "c"}
PLAIN = Cell("tests.example_method:Plain", "smoke", device="cpu")
WORDS = "detected by middle (weights 01234567, score from 0.2)"


class Middle:
    """Finds every joint in the middle of the picture."""

    name = "middle"

    def detect(self, images: np.ndarray) -> Detection:
        count, side = images.shape[:2]
        return Detection(np.full((count, 17, 2), side / 2, np.float32), np.ones((count, 17), np.float32))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "drawn"
    write_pack(made_pack(), folder)
    return folder


@pytest.fixture
def place(store: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    stand_in_for_weights(monkeypatch)
    monkeypatch.setattr(bench.cells, "perceptual_hashes", lambda names, report: {})
    monkeypatch.setattr(bench.verify, "Extractor", MeanColours)
    for module in (bench.cells, bench.illustrate.studio, bench.pose.joints):
        monkeypatch.setattr(module, "joints_identity", lambda: IDENTITY)
    monkeypatch.setattr(bench.pose.joints, "detector", lambda name: Middle())
    return Workplace(store, tmp_path / "results", SilentReporter(), data)


def detected(cell: Cell) -> Cell:
    return replace(cell, joints="detected")


def test_trainings_and_schedules_are_shared_and_files_lie_apart(place: Workplace) -> None:
    base = Cell("ours", "smoke", device="cpu")
    for cell in [*table1_cells(base), *(cell for cell in table4_cells(base) if isinstance(cell, Cell))]:
        one, other = stages(cell, place), stages(detected(cell), place)
        for stage in ("warm_start", "train", "tune"):
            assert getattr(one, stage) == getattr(other, stage), (cell, stage)
        assert other.generate.identity == {**one.generate.identity, "joints": IDENTITY}
        assert "detected-joints" in record_path(other, place.results).name
    assert trial_of(base, place).suffix == ""
    assert trial_of(detected(base), place).suffix == "-detected-joints"


def test_a_table_of_detected_joints_says_by_what_and_lies_beside_the_exact_one(place: Workplace) -> None:
    cells = [PLAIN, *(Cell(name, "smoke", device="cpu") for name in FLOORS)]
    usual = publish("table1", one_after_the_other(cells, place), place)
    outcome = one_after_the_other([detected(cell) for cell in cells], place)
    assert not outcome.missing
    table = publish("table1", outcome, place)
    assert "detected" not in usual.title + usual.caption
    assert "detected joints" in table.title
    assert f"the joints of test characters {WORDS}" in table.caption
    assert "bench table1 --preset smoke --joints detected has not made it yet" in "; ".join(table.footnotes)
    assert [line.title for _, line in table.rows()] == [line.title for _, line in usual.rows()], "each in its own row"
    folder = place.results / "smoke"
    for suffix in ("md", "tex", "csv", "json", "html"):
        assert (folder / f"table1.{suffix}").read_text() != (folder / f"table1-detected-joints.{suffix}").read_text()
    figures = [folder / "figures" / name for name in ("table1.png", "detected-joints/table1.png")]
    assert figures[0].read_bytes() != figures[1].read_bytes()
    assert not (folder / "figures" / "detected-joints" / "training.png").exists(), "it would be the plain one"
    record = read_record(folder / "records" / "tests.example_method_Plain-1shot-detected-joints-s0.json")
    assert record.data["joints"] == IDENTITY
    assert (folder / "records" / "tests.example_method_Plain-1shot-s0.json").exists()


def test_figures_show_the_poses_that_methods_were_given(place: Workplace) -> None:
    exact, found = Studio(PLAIN, place), Studio(detected(PLAIN), place)
    test = exact.pack.frames_in("test")
    assert (found.pack.keypoints[test][..., :2] == found.pack.image_size / 2).all()
    assert (found.exact.keypoints == exact.pack.keypoints).all(), "what is easy or hard does not depend on a detector"
    assert WORDS in found.trial_note
    assert not exact.trial_note
    assert "--joints detected" in found.command("table1")


def test_an_estimate_falls_back_on_the_row_with_exact_joints(place: Workplace) -> None:
    run_cell(PLAIN, place)
    cell = replace(detected(PLAIN), shots=1, protocol="shift")
    stage = next(s for s in plan([cell], replace(place, store=place.results)) if s.step == "train")
    assert stage.seconds is not None


def test_a_report_and_a_bundle_keep_both_apart(place: Workplace, tmp_path: Path) -> None:
    floor = Cell("nearest-pose", "smoke", device="cpu")
    for cell in (floor, detected(floor)):
        run_cell(cell, place)
    pages = []
    for number, cell in enumerate((floor, detected(floor))):
        made = make_report(
            place.results, "smoke", place.store, tmp_path / str(number), [place.data], trial_of(cell, place)
        )  # type: ignore[list-item]
        assert not made.without_pictures
        pages.append(made.page)
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert WORDS in texts[1]
    assert WORDS not in texts[0]
    sheets = [(page.parent / "sheets" / "c4.png").read_bytes() for page in pages]
    assert sheets[0] != sheets[1], "each shows its own poses"
    for name in ("report-detected-joints", ".report.being-built"):
        (place.results / "smoke" / name).mkdir()
        (place.results / "smoke" / name / "index.html").write_text("a copy")
    names = export(place.results, "smoke", tmp_path / "all.zip", place.store, folders=[place.data])  # type: ignore[list-item]
    drawn = {name.split("/")[1] for name in names if name.startswith("images/")}
    assert drawn == {"nearest-pose", "nearest-pose-detected-joints"}
    assert not any("report" in name for name in names)


def with_joints(records: list[Record], shift: float = 0.0) -> list[Record]:
    """The same rows with detected joints, each score worse by `shift` for every character alike."""
    found = []
    for record in records:
        value = record.to_dict()
        value["cell"] = {**record.cell, "joints": "detected"}
        value["data"] = {**record.data, "joints": IDENTITY}
        value["per_character"] = {
            name: {m: x + shift * (1 if m.startswith("l1") else -1) for m, x in scores.items()}
            for name, scores in record.per_character.items()
        }
        value["created"] = "2030-01-01T00:00:00+00:00"
        found.append(Record.from_dict(value))
    return found


def test_rows_of_exact_and_of_detected_joints_never_stand_in_one_table() -> None:
    exact, other = everything(), with_joints(everything())
    with pytest.raises(DataError, match=r"joints \(exact: .*detected by middle"):
        table1([*exact, other[0]])
    assert comparable([*exact, *other])[0] == exact, "however new the others are"
    assert [scored_on([*exact, *other], None, joints) for joints in ("exact", "detected")] == [exact, other]
    assert "detected joints" in claims(other).title
    assert "bench table1 --preset quick --joints detected" in "; ".join(table1(other[1:]).footnotes)


def test_a_loss_to_detected_joints_is_the_paired_difference() -> None:
    exact, other = everything(), with_joints(everything(), 0.01)
    table = joints(exact, other)
    assert [line.title for _, line in table.rows()] == [
        *("PATN", "PG2", "Pix2Pix", "XingGAN", "Ours (1-shot)", "Ours (1-shot) (MSL)", "Nearest training pose")
    ], "floors that see no joint are left out"
    pair = [next(r for r in side if r.title == "PATN") for side in (exact, other)]
    for metric in ("ssim_foreground", "l1_foreground"):
        gain = row(table, "PATN").values[f"gain_{metric}"]
        assert gain is not None
        assert gain.number == pytest.approx(-0.01), "negative is a loss, whichever way the metric points"
        assert gain.bounds is not None
        assert gain.bounds[0] <= gain.number <= gain.bounds[1] < 0
        assert abs(difference(*pair, metric).mean) == pytest.approx(0.01)
    value = row(table, "PATN").values["ssim_foreground_exact"]
    assert value is not None
    assert value.number == pytest.approx(0.5)
    assert WORDS in table.caption


def test_rows_and_seeds_of_one_side_are_left_out_of_a_comparison() -> None:
    exact = [made_up("patn"), made_up("patn", quality=0.9, cell__seed=1), made_up("pg2", "PG2", 0.7), ours()]
    table = joints(exact, with_joints([exact[0], exact[2]]))
    value = row(table, "PATN").values["ssim_foreground_exact"]
    assert value is not None
    assert value.number == pytest.approx(0.5), "of the seed that both have"
    assert row(table, "PATN").facts["seeds"] == [0]
    assert any(
        note.endswith(
            "Ours (1-shot); `bench table1 --preset quick` and `bench table1 --preset quick --joints detected` make them"
        )
        for note in table.footnotes
    )
    with pytest.raises(DataError, match="no row has records with exact and with detected joints of one seed"):
        joints(exact[:1], with_joints(exact[2:3]))
    longer = made_up("patn", budget__pairs=8000, finetune=None)
    with pytest.raises(DataError, match="differ in pairs; run both again"):
        joints(exact[:1], with_joints([longer]))
    with pytest.raises(DataError, match="data digest"):
        joints(exact[:1], with_joints([made_up("patn", data__digest="other")]))
    tuned = [made_up("patn", "PATN (1-shot)", finetune=SCHEDULE, cell__adaptation="tuned")]
    assert [line.title for _, line in joints(tuned, with_joints(tuned)).rows()] == ["PATN (1-shot)"]


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `bench` here; returns its exit code and what it printed."""

    def run(*arguments: str, preset: str = "smoke") -> tuple[int, str, str]:
        options = ("--preset", preset, "--data", str(place.data), "--results", str(place.results))
        monkeypatch.setattr(sys, "argv", ["bench", *arguments, *options, "--store", str(place.store)])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_commands_take_joints(place: Workplace, command: Command) -> None:
    for arguments in (
        *(("table1",), ("table2",), ("table4",), ("ablate",), ("sweep",), ("run", "--method", "patn")),
        ("launch", "table1", "--with", "local"),
    ):
        code, said, _ = command(*arguments, "--joints", "detected", "--device", "cpu", "--dry-run", "--json")
        assert code == 0
        assert "-detected-joints" in said, arguments
    printed = command("launch", "table1", "--with", "print", "--joints", "detected", "--device", "cpu")[1]
    assert all("--joints detected" in line for line in printed.splitlines())
    planned = command("plan", "table1", "--joints", "detected", "--device", "cpu", "--json")[1]
    base = Cell("ours", "smoke", device="cpu", joints="detected")
    assert all(stages(cell, place).generate.key in planned for cell in table1_cells(base))


def test_both_are_set_side_by_side_by_one_command(place: Workplace, command: Command) -> None:
    floor = Cell("nearest-pose", "smoke", device="cpu")
    code, _, said = command("joints")
    assert code == 2
    assert "no records of this data with exact joints; make them with `bench table1`" in said
    run_cell(floor, place)
    code, _, said = command("joints")
    assert code == 2
    assert "with detected joints; make them with `bench table1 --joints detected`" in said
    for name in ("claims", "budget", "report", "difficulty"):
        assert command(name, "--joints", "detected")[0] in (2, 3), "exact records are none of detected joints"
    run_cell(detected(floor), place)
    assert command("joints")[0] == 0
    assert "Nearest training pose" in (place.results / "smoke" / "joints.md").read_text()
    assert command("claims", "--joints", "detected")[0] == 0
    assert "detected joints" in (place.results / "smoke" / "claims-detected-joints.md").read_text()


@pytest.mark.parametrize("name", ["table1", "sweep", "claims", "report", "figures"])
def test_a_mistyped_setting_is_named_once_with_the_right_one(command: Command, name: str) -> None:
    for preset, joints_, right in (
        ("smoke", "detectd", "unknown joints 'detectd'; did you mean 'detected'?"),
        ("smok", "detected", "unknown preset 'smok'; did you mean 'smoke'?"),
    ):
        code, _, said = command(name, "--joints", joints_, preset=preset)
        assert code == 2
        assert right in said
        assert len(said.splitlines()) == 1


def test_without_the_detector_nothing_is_begun(
    place: Workplace, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise WeightsMissing("movenet-thunder: not here; `bench weights fetch movenet-thunder`")

    for module in (bench.cells, bench.pose.joints):
        monkeypatch.setattr(module, "joints_identity", missing)
    for name in ("table1", "sweep", "plan", "figures"):
        what = ("table1",) if name == "plan" else ()
        code, said, wrong = command(name, *what, "--joints", "detected", "--device", "cpu")
        assert code == 5
        assert wrong == "bench: movenet-thunder: not here; `bench weights fetch movenet-thunder`\n"
        assert not said
