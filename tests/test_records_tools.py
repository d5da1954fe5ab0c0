"""Pictures made elsewhere, recomputed records, bundles: on the floors of `smoke`, which train nothing."""

import csv
import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bench.cells
import bench.metrics.features
import bench.metrics.lpips
import bench.predictions
import bench.run
import bench.verify
from bench.cells import Workplace, data_pack, stages
from bench.data.pack import Pack
from bench.errors import DataError, UsageError
from bench.export import export
from bench.files import read_json, sha256_of, write_json
from bench.predictions import expected_files, import_predictions, read_predictions, write_template
from bench.presets import preset
from bench.progress import SilentReporter
from bench.records import Record, read_record, write_record
from bench.run import run_cell
from bench.spec import Cell
from bench.tables import table1
from bench.verify import verify
from tests.test_run import MeanColours, spoil

FLOOR = Cell("nearest-pose", "smoke", device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


class PixelLPIPS:
    """Mean absolute difference in place of LPIPS."""

    def __init__(self, device: object) -> None:
        pass

    def __call__(self, generated: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.abs(generated.astype(float) - target).mean((1, 2, 3))


@pytest.fixture
def place(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    for module in (bench.cells, bench.predictions):
        monkeypatch.setattr(module, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: ["network", "heads"])
    for module in (bench.metrics.features, bench.verify):
        monkeypatch.setattr(module, "Extractor", MeanColours)
    for module in (bench.metrics.lpips, bench.verify):
        monkeypatch.setattr(module, "LPIPS", PixelLPIPS)
    return Workplace(store, tmp_path / "results", SilentReporter(), workers=1)


@pytest.fixture
def pack(place: Workplace) -> Pack:
    return data_pack(preset("smoke"), place)


@pytest.fixture
def floor(place: Workplace) -> Record:
    return run_cell(FLOOR, place)


def images_of_floor(place: Workplace) -> np.ndarray:
    return np.load(stages(FLOOR, place).generate.folder / "images.npy")


def write_pictures(folder: Path, pack: Pack, images: np.ndarray) -> None:
    for name, image in zip(expected_files(pack), images, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)


def test_the_template_names_every_picture_and_shows_what_is_known(pack: Pack, tmp_path: Path) -> None:
    assert write_template(pack, tmp_path / "t") == 14
    rows = list(csv.DictReader((tmp_path / "t" / "wanted.csv").open()))
    assert [row["file"] for row in rows] == list(expected_files(pack))
    for row in rows:
        assert (tmp_path / "t" / row["source"]).is_file() and (tmp_path / "t" / row["pose"]).is_file()
        assert not (tmp_path / "t" / row["file"]).exists(), "that one is to be drawn"
    with pytest.raises(UsageError, match="not empty"):
        write_template(pack, tmp_path / "t")


def test_imported_pictures_score_as_the_same_pictures_made_here(
    place: Workplace, pack: Pack, floor: Record, tmp_path: Path
) -> None:
    write_template(pack, tmp_path / "t")
    write_pictures(tmp_path / "t", pack, images_of_floor(place))
    images = read_predictions(tmp_path / "t", pack)
    record = import_predictions("My <model>", images, pack, "smoke", place, "auto", "cpu", "drawn by hand")
    assert record.metrics == floor.metrics and record.per_character == floor.per_character
    assert record.title == "My <model>" and record.kind == "method" and "drawn by hand" in record.notes
    table = table1([record, floor])
    assert "My <model>" in [row.title for block in table.blocks if block.name == "more" for row in block.rows]
    assert (place.results / "smoke" / "records" / "imported_my__model-1shot-s0.json").is_file()


def test_a_name_like_that_of_another_row_is_refused_and_replaces_nothing(place: Workplace, pack: Pack) -> None:
    def imported(name: str, colour: int) -> Record:
        images = np.full((14, 64, 64, 3), colour, np.uint8)
        return import_predictions(name, images, pack, "smoke", place, "auto", "cpu", "")

    def written() -> list[str]:
        folders = (place.results, place.store / "generate", place.store / "score")
        return sorted(str(path) for folder in folders for path in folder.rglob("*"))

    first = imported("GPT 4+", 90)
    before = written()
    with pytest.raises(UsageError, match=r"imported_gpt_4-1shot-s0.json holds 'GPT 4\+'.*give another --name"):
        imported("gpt-4", 200)
    assert written() == before
    file = place.results / "smoke" / "records" / "imported_gpt_4-1shot-s0.json"
    assert read_record(file).metrics == first.metrics
    assert imported("GPT 4+", 200).metrics == read_record(file).metrics != first.metrics, "its own row it replaces"
    file.write_text("half a record")
    assert imported("gpt-4", 200) == read_record(file)


def test_every_fault_of_a_folder_is_listed_and_nothing_is_imported(
    place: Workplace, pack: Pack, tmp_path: Path
) -> None:
    names = list(expected_files(pack))
    write_pictures(tmp_path, pack, np.full((14, 64, 64, 3), 200, np.uint8))
    (tmp_path / names[0]).unlink()
    (tmp_path / names[1]).write_bytes((tmp_path / names[1]).read_bytes()[:60])
    Image.new("RGB", (32, 32)).save(tmp_path / names[2])
    Image.new("1", (5000, 4)).save(tmp_path / names[3])
    Image.new("RGB", (64, 64)).save(tmp_path / "extra.png")
    with pytest.raises(DataError) as caught:
        read_predictions(tmp_path, pack)
    text = str(caught.value)
    assert "5 faults" in text
    for name, said in zip(
        [*names[:4], "extra.png"], ("missing", "cannot be read", "--resize", "4096", "not asked"), strict=True
    ):
        assert any(line.startswith(name) and said in line for line in text.splitlines()), (name, said)


def test_alpha_is_laid_on_white_and_sizes_are_brought_to_the_datas(pack: Pack, tmp_path: Path) -> None:
    write_pictures(tmp_path, pack, np.zeros((14, 64, 64, 3), np.uint8))
    names = list(expected_files(pack))
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / names[0])
    checks = np.kron(np.indices((64, 64)).sum(0) % 2, np.ones((1, 1))).astype(np.uint8) * 255
    Image.fromarray(np.kron(checks, np.ones((2, 2), np.uint8))).save(tmp_path / names[1])
    images = read_predictions(tmp_path, pack, resize=True)
    assert (images[0] == 255).all()
    assert np.array_equal(images[1][..., 0], checks)


def test_a_record_follows_from_its_images_and_a_changed_pixel_is_found(place: Workplace, floor: Record) -> None:
    report = SilentReporter()
    with report.task("") as task:
        assert verify(floor, place.store, CPU, task) == []
        folder = stages(FLOOR, place).generate.folder
        file, marker = folder / "images.npy", folder / "done.json"
        kept = {path: path.read_bytes() for path in (file, marker)}
        try:
            images = np.load(file)
            images[3, 20:40, 20:40] = (255, 0, 0)
            np.save(file, images)
            with pytest.raises(DataError, match=r"images\.npy is damaged"):
                verify(floor, place.store, CPU, task)
            told = read_json(marker)
            write_json(marker, {**told, "files": {**told["files"], "images.npy": sha256_of(file)}})
            wrong = {difference.field for difference in verify(floor, place.store, CPU, task)}
            assert {"metrics.ssim.mean", "metrics.l1_foreground.mean"} <= wrong
            write_json(marker, {**told, "files": {}})  # of before files were vouched for
            file.write_bytes(kept[file][: len(kept[file]) // 2])
            with pytest.raises(DataError, match="damaged"):
                verify(floor, place.store, CPU, task)
        finally:
            for path, content in kept.items():
                path.write_bytes(content)
        changed = Record.from_dict({**floor.to_dict(), "metrics": {**floor.metrics, "fid": {"value": 1.0}}})
        assert [d.field for d in verify(changed, place.store, CPU, task)] == ["metrics.fid.value"]


def test_lpips_is_a_column_where_every_record_has_it(place: Workplace, floor: Record) -> None:
    assert floor.metrics["lpips"]["mean"] == pytest.approx(
        np.mean([scores["lpips"] for scores in floor.per_character.values()])
    )
    assert "lpips" in [column.key for column in table1([floor]).columns]
    without = {name: value for name, value in floor.metrics.items() if name != "lpips"}
    bare = Record.from_dict({**floor.to_dict(), "metrics": without, "key": "other", "title": "Other",
                             "cell": {**floor.cell, "method": "white"}})  # fmt: skip
    assert "lpips" not in [column.key for column in table1([floor, bare]).columns]


def test_a_record_without_images_says_how_to_make_them_again(place: Workplace, floor: Record, tmp_path: Path) -> None:
    with SilentReporter().task("") as task, pytest.raises(DataError, match="make them again with: "):
        verify(floor, tmp_path / "empty", CPU, task)


@pytest.mark.parametrize(
    ("stage", "name"),
    [("generate", "images.npy"), ("generate", "frames.json"), ("score", "stage.json")],
)
def test_what_was_damaged_in_the_store_is_not_exported(
    place: Workplace, floor: Record, tmp_path: Path, stage: str, name: str
) -> None:
    folder = getattr(stages(FLOOR, place), stage).folder
    spoil(folder / name, -5)
    try:
        with pytest.raises(DataError) as refused:
            export(place.results, "smoke", tmp_path / "a.zip", place.store)
    finally:
        spoil(folder / name, -5)
    for words in (f"'{floor.title}': {folder / name} is damaged", f"delete the folder {folder} and", floor.command):
        assert words in str(refused.value)
    assert not (tmp_path / "a.zip").exists()


def test_a_bundle_holds_what_it_says_and_is_the_same_twice(place: Workplace, floor: Record, tmp_path: Path) -> None:
    table1([floor]).write(place.results / "smoke" / "table1")
    names = export(place.results, "smoke", tmp_path / "a.zip", place.store)
    export(place.results, "smoke", tmp_path / "b.zip", place.store)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        assert sorted(bundle.namelist()) == names
        assert {"records/nearest-pose.json", "table1.md", "README.txt"} <= set(names)
        assert sum(name.startswith("images/") for name in names) == 14
        for line in bundle.read("SHA256SUMS").decode().splitlines():
            digest, name = line.split("  ")
            assert hashlib.sha256(bundle.read(name)).hexdigest() == digest
    with pytest.raises(UsageError, match="--force"):
        export(place.results, "smoke", tmp_path / "a.zip")
    with pytest.raises(DataError, match="holds no records"):
        export(tmp_path / "nothing", "smoke", tmp_path / "c.zip")
    assert not (tmp_path / "c.zip").exists()


def test_a_bundle_holds_the_pictures_of_every_record_though_two_have_one_title(
    place: Workplace, floor: Record, tmp_path: Path
) -> None:
    white = run_cell(Cell("white", "smoke", device="cpu"), place)
    write_record(place.results / "smoke" / "records" / "white.json", replace(white, title=floor.title))
    names = export(place.results, "smoke", tmp_path / "a.zip", place.store)
    assert sum(name.startswith("images/white/") for name in names) == 14
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        drawn = [name for name in names if name.startswith("images/nearest-pose/")]
        kept = [np.asarray(Image.open(io.BytesIO(bundle.read(name)))) for name in drawn]
        assert all(
            f"{name}: {floor.title} (seed" in bundle.read("README.txt").decode() for name in ("white", FLOOR.method)
        )
    assert np.array_equal(np.stack(kept), images_of_floor(place)), "each under its own record"
