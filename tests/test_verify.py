"""`bench verify` looks at all that a record says: its scores by its pictures, the rest by the stages behind it."""

from __future__ import annotations

import copy
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench.cells
import bench.metrics.features
import bench.metrics.lpips
import bench.pose.joints
import bench.predictions
import bench.score
import bench.verify
from bench.cells import Workplace, record_path, stages
from bench.cli import main
from bench.data.pack import open_pack
from bench.errors import DataError
from bench.files import read_json, sha256_of, write_json
from bench.lineage import disagreements
from bench.predictions import import_predictions
from bench.progress import SilentReporter
from bench.records import Record, read_record
from bench.run import run_cell
from bench.spec import FLOORS, Cell
from bench.store import Stage
from bench.verify import verify
from tests.made_pack import made_pack, write_pack
from tests.made_records import ours
from tests.test_crossed import avatars
from tests.test_joints import IDENTITY, Middle
from tests.test_records_tools import PixelLPIPS
from tests.test_run import MeanColours

PLAIN = Cell("tests.example_method:Plain", "smoke", adaptation="lr=0.01,passes=2", device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pack(made_pack(size=64), folder / "drawn")
    write_pack(avatars("real", size=64), folder / "real")
    return folder


@pytest.fixture
def place(store: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    for module in (bench.cells, bench.predictions):
        monkeypatch.setattr(module, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: ["network", "heads"])
    for module in (bench.metrics.features, bench.verify):
        monkeypatch.setattr(module, "Extractor", MeanColours)
    for module in (bench.metrics.lpips, bench.verify):
        monkeypatch.setattr(module, "LPIPS", PixelLPIPS)
    for module in (bench.cells, bench.pose.joints):
        monkeypatch.setattr(module, "joints_identity", lambda: IDENTITY)
    monkeypatch.setattr(bench.pose.joints, "detector", lambda name: Middle())
    return Workplace(store, tmp_path / "results", SilentReporter(), data / "drawn")


def verified(record: Record, place: Workplace) -> list[str]:
    """The fields that differ."""
    folders = [folder for folder in (place.data, place.test_data) if folder is not None]
    with SilentReporter().task("") as task:
        return [difference.field for difference in verify(record, place.store, CPU, task, folders)]


def changed(record: Record, **fields: Any) -> Record:
    """`part__field=value` changes a field, and …=None with a field of `data` or `cell` removes it."""
    value = copy.deepcopy(record.to_dict())
    for path, new in fields.items():
        part, _, name = path.partition("__")
        if not name:
            value[part] = new
        elif new is None:
            del value[part][name]
        else:
            value[part] = {**value[part], name: new}
    return Record.from_dict(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "floor"),
        ("cell__method", "xinggan"),
        ("cell__variant", "msl"),
        ("cell__preset", "quick"),
        ("cell__seed", 7),
        ("cell__shots", 4),
        ("cell__protocol", "views"),
        ("cell__adaptation", "paper"),
        ("cell__adaptation", "tuned"),
        ("cell__adaptation", "what was best"),
        ("cell__joints", "detected"),
        ("build__options", {"lr": 0.1}),
        ("build__width", 1.0),
        ("build__batch", 1),
        ("build__precision", "bf16"),
        ("build__parameters", {"generator": 1}),
        ("budget__pairs", 1),
        ("budget__queries", 1),
        ("budget__phases", []),
        ("data__image_size", 256),
        ("finetune", {"lr": 0.01, "passes": 50}),
    ],
)
def test_a_record_changed_by_hand_disagrees_with_its_stages(place: Workplace, field: str, value: Any) -> None:
    record = run_cell(PLAIN, place)
    assert not list(disagreements(record, place.store))
    found = list(disagreements(changed(record, **{field: value}), place.store))
    name = field.replace("__", ".")
    assert [(where, recorded) for where, recorded, _ in found] == [(name, value)]
    part, _, rest = name.partition(".")
    was = record.to_dict()[part]
    assert found[0][2] == (was.get(rest, "exact") if rest else was), "the store's value is what it was"


def test_counts_and_names_of_metrics_are_those_that_were_computed(place: Workplace) -> None:
    record = run_cell(PLAIN, place)
    assert not verified(record, place)
    for field in ("features__n", "features__dim", "data__images", "data__characters", "data__fid_images"):
        assert verified(changed(record, **{field: 50_000}), place) == [field.replace("__", ".")]
    bare = changed(record, metrics__lpips=None)
    assert verified(bare, place) == ["metrics.lpips.high", "metrics.lpips.low", "metrics.lpips.mean"]
    more = changed(record, metrics__psnr={"value": 30.0})
    assert verified(more, place) == ["metrics.psnr.value"]


def test_a_row_without_training_cannot_pass_for_a_trained_one_or_for_another_floor(place: Workplace) -> None:
    for name in FLOORS:
        for joints in ("exact", "detected"):
            assert not verified(run_cell(Cell(name, "smoke", joints=joints, device="cpu"), place), place)
    floor = run_cell(Cell("white", "smoke", device="cpu"), place)
    images = np.load(stages(Cell("white", "smoke", device="cpu"), place).generate.folder / "images.npy")
    assert place.data is not None
    mine = import_predictions("Mine", images, open_pack(place.data), "smoke", place, "auto", "cpu", "")
    assert not verified(mine, place)
    assert verified(changed(floor, cell__method="truth"), place) == ["cell.method"]
    for record in (floor, mine):
        passed_off = changed(record, cell__method="patn", kind="method", budget__pairs=32)
        assert {"cell.method", "budget.pairs"} <= set(verified(passed_off, place))


def test_where_a_row_was_tested_and_with_which_joints_is_what_its_pictures_were_drawn_with(
    place: Workplace, data: Path
) -> None:
    crossed = replace(place, test_data=data / "real")
    for cell in (PLAIN, replace(PLAIN, joints="detected"), *(Cell(name, "smoke", device="cpu") for name in FLOORS)):
        assert not verified(run_cell(cell, crossed), crossed)
    record = run_cell(replace(PLAIN, joints="detected"), crossed)
    assert verified(changed(record, cell__joints=None), crossed) == ["cell.joints"]
    assert verified(changed(record, data__joints={**IDENTITY, "threshold": 0.9}), crossed) == ["data.joints"]
    assert verified(changed(record, data__trained_on=None), crossed) == ["data.trained_on.digest"]
    own = run_cell(PLAIN, place)
    assert record.trained_on is not None
    assert verified(changed(own, data__trained_on={**record.trained_on, "digest": "more"}), place) == [
        "data.trained_on"
    ]


def test_of_stages_that_are_gone_nothing_is_said(place: Workplace, tmp_path: Path) -> None:
    record = changed(run_cell(PLAIN, place), budget__pairs=1, cell__seed=7)
    assert verified(record, place) == ["cell.seed", "budget.pairs"]
    shutil.copytree(place.store, tmp_path / "store")
    place = replace(place, store=tmp_path / "store")
    shutil.rmtree(place.store / "train")
    assert not verified(record, place)
    assert verified(changed(record, cell__shots=4), place) == ["cell.shots"], "the pictures are there"


def test_two_rows_of_the_same_work_are_both_what_the_store_says(place: Workplace, tmp_path: Path) -> None:
    place = replace(place, store=tmp_path / "store")
    cells = [replace(PLAIN, adaptation=adaptation) for adaptation in ("default", "none")]
    records = [run_cell(cell, place) for cell in cells]
    assert records[0].key == records[1].key
    assert not verified(records[0], place) and not verified(records[1], place)


def test_whoever_recomputes_a_record_takes_other_seconds(place: Workplace) -> None:
    record = run_cell(PLAIN, place)
    names = ("train", "warm_start", "tune", "generate", "score", "adapt_per_character")
    assert not verified(changed(record, **{f"seconds__{name}": 0.1 for name in names}), place)


def test_a_warm_start_and_a_chosen_schedule_are_in_the_record_as_in_the_store(tmp_path: Path) -> None:
    joint = {
        **{"method": "ours", "options": {"training": "joint"}, "image_size": 64, "width": 0.25, "batch": 4, "seed": 0},
        **{"precision": "fp32", "data": "d" * 16, "perceptual": {}, "warm_start": None},
        "budget": {"pairs": 32, "queries": 0, "warm_start_pairs": 0},
    }
    meta = {
        **{**joint, "options": {"msl": True}, "warm_start": joint},
        "budget": {"pairs": 0, "queries": 8, "warm_start_pairs": 32},
    }

    def done(kind: str, label: str, identity: dict[str, Any], **summary: Any) -> str:
        stage = Stage(tmp_path, kind, label, identity, "code")
        stage.run(lambda folder: summary)
        return stage.key

    phases = [{"name": "joint", "samples": 32}], [{"name": "meta", "samples": 40}]
    done("train", "ours-warm-start-quick-s0", joint, seconds=5.0, phases=phases[0], parameters={})
    trained = done("train", "ours-msl-quick-s0", meta, seconds=9.0, phases=phases[1], parameters={"generator": 7})
    schedule = {"lr": 0.003, "passes": 5, "seconds": 2.0}
    tuned = done("tune", "ours-msl-quick-s0-1shot", {"train": trained}, **schedule)
    how = {"train": trained, "shots": 1, "protocol": "shift", "adaptation": tuned}
    took = {"generate_seconds": 1.0, "adapt_seconds_per_character": 0.5}
    drawn = done("generate", "ours-msl-quick-s0-1shot-default", how, **took)
    key = done("score", "ours-msl-quick-s0-1shot-default-inception", {"generate": drawn}, seconds=3.0)
    record = ours(
        **{"variant": "msl", "key": key, "finetune": schedule, "build__options": {"msl": True}},
        budget={"pairs": 0, "queries": 8, "warm_start_pairs": 32, "phases": [*phases[0], *phases[1]]},
        seconds={"warm_start": 5.0, "train": 9.0, "tune": 2.0, "generate": 1.0, "score": 3.0},
    )
    assert not list(disagreements(record, tmp_path))
    assert not list(disagreements(changed(record, finetune={**schedule, "seconds": 77.0}), tmp_path))
    for field, value in (
        ("finetune", {**schedule, "passes": 50}),
        ("budget__warm_start_pairs", 0),
        ("budget__phases", phases[1]),
        ("cell__variant", ""),
        ("cell__adaptation", "none"),
        ("finetune", None),
    ):
        found = [where for where, *_ in disagreements(changed(record, **{field: value}), tmp_path)]
        assert found == [field.replace("__", ".")]
    assert not list(disagreements(changed(record, cell__adaptation="tuned"), tmp_path)), "what default is, of Ours"


def test_damaged_features_of_the_reference_do_not_vouch_for_the_fid_that_they_gave(
    place: Workplace, tmp_path: Path
) -> None:
    place = replace(place, store=tmp_path / "store")
    honest = run_cell(PLAIN, place)
    [file] = (place.store / "features").glob("*.npy")
    np.save(file, np.load(file) + 50)
    write_json(file.with_name(f"{file.name}.json"), {"sha256": sha256_of(file)})  # else it would be made anew
    shutil.rmtree(place.store / "score")
    record = run_cell(PLAIN, place)
    assert record.key == honest.key and record.metrics["fid"] != honest.metrics["fid"]
    damaged = file.read_bytes()
    assert verified(record, place) == ["metrics.fid.value", "metrics.kid.error", "metrics.kid.value"]
    assert not verified(changed(honest, seconds=record.seconds), place)
    assert file.read_bytes() == damaged, "looking changes nothing"


def test_features_of_the_reference_are_computed_once_for_all_records(place: Workplace, tmp_path: Path) -> None:
    records = [run_cell(Cell(name, "smoke", device="cpu"), place) for name in FLOORS]
    assert place.data is not None
    times = []
    with SilentReporter().task("") as task:
        for record in records:
            assert not verify(record, place.store, CPU, task, [place.data], features=tmp_path)
            times += [file.stat().st_mtime_ns for file in (tmp_path / "features").glob("*.npy")]
    assert len(times) == len(records) and len(set(times)) == 1


def test_the_command_names_the_field_and_both_values(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = run_cell(PLAIN, place)
    path = record_path(stages(PLAIN, place), place.results)
    options = ["--preset", "smoke", "--data", str(place.data), "--store", str(place.store)]
    monkeypatch.setattr(sys, "argv", ["bench", "verify", *options, "--results", str(place.results), "--device", "cpu"])

    def command() -> tuple[object, str]:
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    assert command() == (0, f"{path.name}: agrees\n")
    assert read_record(path) == record
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    assert command() == (3, f"{path.name}: cell.seed 7, in the store 0\n")


def test_damaged_pictures_of_the_data_vouch_for_nothing(place: Workplace, tmp_path: Path) -> None:
    record = run_cell(PLAIN, place)
    assert place.data is not None
    copy = Path(shutil.copytree(place.data, tmp_path / "copy"))
    about = read_json(copy / "pack.json")
    write_json(copy / "pack.json", about | {"files": {"pixels.npy": sha256_of(copy / "pixels.npy")}})
    assert not verified(record, replace(place, data=copy))
    content = bytearray((copy / "pixels.npy").read_bytes())
    content[-3] ^= 1
    (copy / "pixels.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"pixels\.npy is damaged"):
        verified(record, replace(place, data=copy))
