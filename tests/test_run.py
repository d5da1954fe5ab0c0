"""A cell from rendering to its record, with a stand-in for the FID network so that no weights are needed."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench.cells
import bench.metrics.features
import bench.run
from bench.build import pick_device, use_all_cores
from bench.cells import Workplace, stages
from bench.checkpoint import save_checkpoint
from bench.errors import BenchError, DataError, UsageError
from bench.launch.outcome import one_after_the_other
from bench.plan import cells_of, plan
from bench.progress import SilentReporter
from bench.records import read_records
from bench.run import run_cell
from bench.spec import FLOORS, Cell
from bench.store import stored_stages
from bench.tables import table1

PLAIN = Cell("tests.example_method:Plain", "smoke", device="cpu")


class MeanColours:
    """Features of an image: the mean colour of each of its 4 × 4 blocks."""

    name, sha256, dim = "mean-colours", "0" * 64, 48

    def __init__(self, *_: object) -> None:
        pass

    def __call__(self, images: Any, known: Any = None) -> Any:
        n, h, w, _ = images.shape
        return images.reshape(n, 4, h // 4, 4, w // 4, 3).mean((2, 4)).reshape(n, -1).astype(np.float32)


def stand_in_for_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are scored with MeanColours as features, and without LPIPS."""
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    monkeypatch.setattr(bench.cells, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: None)
    monkeypatch.setattr(bench.metrics.features, "Extractor", MeanColours)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def place(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    stand_in_for_weights(monkeypatch)
    return Workplace(store, tmp_path, SilentReporter(), workers=1)


def test_a_method_of_ones_own_goes_from_rendering_to_a_record(place: Workplace) -> None:
    record = run_cell(PLAIN, place)
    assert record.title == "Plain" and record.data["characters"] == 2 and record.data["images"] == 14
    assert record.features == {"name": "mean-colours", "sha256": "0" * 64, "dim": 48, "n": 4}
    assert 0 < record.metrics["ssim"]["mean"] < 1 and record.metrics["fid"]["value"] > 0
    assert set(record.per_character) == {"c2000000", "c2000001"}
    assert [r.key for r in read_records(place.results / "smoke" / "records")] == [record.key]


def test_a_second_call_answers_from_the_store(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_cell(PLAIN, place)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("work was done twice")

    for name in ("train_together", "generate", "score", "tune"):
        monkeypatch.setattr(bench.run, name, refuse)
    assert run_cell(PLAIN, place).metrics == first.metrics


def test_floors_score_as_what_they_are(place: Workplace) -> None:
    records = {name: run_cell(Cell(name, "smoke", device="cpu"), place) for name in FLOORS}
    assert records["truth"].metrics["ssim"]["mean"] == pytest.approx(1)
    assert records["truth"].metrics["l1_foreground"]["mean"] == 0
    white, copy = records["white"].metrics, records["copy-source"].metrics
    assert white["l1_background"]["mean"] == 0 and white["ssim"]["mean"] > 0.5
    assert white["ssim_foreground"]["mean"] < copy["ssim_foreground"]["mean"]
    text = table1(list(records.values())).to_markdown()
    assert "White image" in text and "Real vs real" in text


def test_shots_and_adaptation_share_one_training_and_have_their_own_keys(place: Workplace) -> None:
    cells = [Cell("ours", "smoke", shots=shots, adaptation=how, device="cpu") for shots, how in
             ((1, "default"), (4, "default"), (1, "none"), (1, "lr=0.002,passes=3"))]  # fmt: skip
    found = [stages(cell, place) for cell in cells]
    assert len({f.train.key for f in found if f.train}) == 1
    assert len({f.generate.key for f in found}) == len({f.score.key for f in found}) == 4
    msl = stages(Cell("ours", "smoke", "msl", device="cpu"), place)
    assert msl.train and found[0].train and msl.train.key != found[0].train.key
    assert msl.warm_start and found[0].warm_start and msl.warm_start.key == found[0].warm_start.key


def test_a_plan_names_every_stage_once_and_does_nothing(place: Workplace) -> None:
    before = len(list(stored_stages(place.store)))
    planned = plan(cells_of("table1", Cell("ours", "smoke", device="cpu"), [0]), place)
    keys = [p.stage.key for p in planned]
    assert len(keys) == len(set(keys))
    kinds = [p.stage.kind for p in planned]
    assert kinds.count("train") == 7, "four baselines, one warm start, two of Ours"
    assert kinds.count("generate") == kinds.count("score") == 10
    assert len(list(stored_stages(place.store))) == before


def spoil(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 255
    path.write_bytes(content)


def test_images_that_were_damaged_are_not_scored(place: Workplace, tmp_path: Path) -> None:
    own = replace(place, store=tmp_path / "store")
    first = run_cell(PLAIN, own)
    found = stages(PLAIN, own)
    shutil.rmtree(found.score.folder)
    spoil(found.generate.folder / "images.npy", -5)
    for _ in range(2):  # nor kept as a failure of the work
        with pytest.raises(DataError, match=r"images\.npy is damaged.*delete the folder"):
            run_cell(PLAIN, own)
    shutil.rmtree(found.generate.folder)
    assert run_cell(PLAIN, own).metrics == first.metrics


def test_a_method_that_calls_exit_has_failed_and_costs_no_other_row(place: Workplace) -> None:
    exiting = replace(PLAIN, method="tests.failing_methods:Exiting")
    for _ in range(2):
        with pytest.raises(
            BenchError, match=r"failing_methods:Exiting' called exit \(.*failing_methods\.py line \d+\)"
        ):
            run_cell(exiting, place)
    outcome = one_after_the_other([exiting, Cell("white", "smoke", device="cpu")], place)
    assert [record.title for _, record in outcome.done] == ["White image"]
    assert "called exit" in outcome.missing["Plain"]


def test_pictures_that_were_damaged_are_not_trained_on(place: Workplace, tmp_path: Path) -> None:
    own = replace(place, store=tmp_path / "store")
    first = run_cell(PLAIN, own)
    shutil.rmtree(stages(PLAIN, own).score.folder)
    (pixels,) = (own.store / "packs").glob("*/pixels.npy")
    spoil(pixels, 5000)
    with pytest.raises(DataError, match=r"pixels\.npy is damaged.*delete the folder"):
        run_cell(PLAIN, own)
    shutil.rmtree(pixels.parent)
    assert run_cell(PLAIN, own).metrics == first.metrics


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Spoiling", "adapting changes the trained model of tests.failing_methods:Spoiling (net.0.weight)"),
        ("Whole", "the method drew torch.uint8 [7, 3, 64, 64], not floats [7, 3, 64, 64]"),
        ("Half", "the method drew torch.float32 [7, 3, 32, 32], not floats [7, 3, 64, 64]"),
    ],
)
def test_a_method_that_breaks_its_contract_is_not_scored(place: Workplace, name: str, said: str) -> None:
    cell = replace(PLAIN, method=f"tests.failing_methods:{name}")
    for _ in range(2):
        with pytest.raises(UsageError, match=re.escape(said)):
            run_cell(cell, place)
    assert stages(cell, place).train.done and not stages(cell, place).generate.done  # type: ignore[union-attr]


@pytest.mark.parametrize(("shots", "most"), [(64, 63), (200, 63), (10**6, 63)])
def test_more_shots_than_a_frame_has_room_for_are_refused(place: Workplace, shots: int, most: int) -> None:
    with pytest.raises(UsageError, match=f"--shots {shots}: .* give at most {most}"):
        stages(replace(PLAIN, shots=shots), place)
    stages(replace(PLAIN, shots=most), place)


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("2,1", 2), (" 4 ", 4), ("", 7), ("0", 7), ("many", 7)])
def test_threads_are_those_that_openmp_is_told(monkeypatch: pytest.MonkeyPatch, asked: str, threads: int) -> None:
    told = []
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(7), raising=False)
    monkeypatch.setattr("torch.set_num_threads", told.append)
    use_all_cores()
    assert told == [threads]


def test_checkpoints_that_a_kill_left_in_a_finished_training_go(place: Workplace) -> None:
    run_cell(PLAIN, place)
    folder = stages(PLAIN, place).train.folder  # type: ignore[union-attr]
    save_checkpoint(folder, 7, {"step": 7})
    run_cell(PLAIN, place)
    assert not list(folder.glob("checkpoint-*"))


def test_float32_means_float32_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", True)
    pick_device("cpu")
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("size", ["smoke", "quick", "standard"])
def test_without_meta_learning_a_model_is_adapted_by_the_same_loss_as_with_it(place: Workplace, size: str) -> None:
    """Else Table 4 would compare two losses of fine-tuning."""
    own = replace(place, data=None)
    with_ml, without, bare = (
        stages(Cell("ours", size, variant, shots=4, adaptation=adaptation, device="cpu"), own)
        for variant, adaptation in (("msl", "default"), ("wo-ml", "default"), ("wo-ml", "none"))
    )
    assert with_ml.spec is not None and without.spec is not None and without.train is not None
    used = [spec.when_adapting.options.get("inner_perceptual", True) for spec in (with_ml.spec, without.spec)]
    assert used[0] == used[1]
    assert "inner_perceptual" not in without.spec.identity()["options"], "no training depends on it"
    assert without.train.key == bare.train.key  # type: ignore[union-attr]
    assert ("options" in without.generate.identity) == (not used[0]) and "options" not in bare.generate.identity
