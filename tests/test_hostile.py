"""Files of anybody: whatever they hold, they are read, or refused with one of the suite's own errors."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import weights
from bench.checkpoint import latest_checkpoint, load_state, save_state
from bench.data.check import check
from bench.data.layout import open_dataset, read_character
from bench.data.make import make_dataset
from bench.data.pack import build_pack, open_pack
from bench.errors import BenchError, DataError, UsageError
from bench.export import export
from bench.records import Record, read_record, read_records
from bench.tables import table1
from bench.transfer.motion import read_keypoints
from tests.broken_off import stored_pack
from tests.made_records import made_up, ours
from tests.test_data import RECIPE, painted

LITTLE = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
STRANGE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**400) | st.floats() | st.text(max_size=6)
    | st.sampled_from(["../../evil", "/etc/hostname", "", "train", "c0000000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
DEEP = "[" * 100_000


def spoiled(value: Any, where: int, new: Any) -> Any:
    """`value` with the part number `where` (of all its parts, in depth) replaced by `new`; -1 for a removed one."""
    value = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node) if isinstance(node, list) else 0):
            places.append((node, key))
            visit(node[key])

    visit(value)
    if not places:
        return new
    node, key = places[where % len(places)]
    node[key] = new
    return value


def allowed(read: Callable[[], Any]) -> Any:
    """What `read` gives, or None where it refuses in one line; any other error fails the test."""
    try:
        return read()
    except BenchError as error:
        assert error.exit_code in (2, 3) and str(error)
        return None


# Checkpoints


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def signed(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.with_name(path.name + ".json").write_text(json.dumps({"sha256": hashlib.sha256(content).hexdigest()}))
    return path


@pytest.mark.parametrize("wrap", ["pickle", "torch", "inside"])
def test_code_in_a_checkpoint_does_not_run_even_under_a_right_digest(tmp_path: Path, wrap: str) -> None:
    evil, buffer = Evil(tmp_path / "owned"), io.BytesIO()
    torch.save({"step": 1, "method": evil} if wrap == "inside" else evil, buffer)
    signed(tmp_path / "checkpoint-00000001.pt", pickle.dumps(evil) if wrap == "pickle" else buffer.getvalue())
    with pytest.raises(DataError, match="not a plain state") as refused:
        load_state(tmp_path / "checkpoint-00000001.pt")
    assert len(str(refused.value).splitlines()) == 1 and "delete the folder" in str(refused.value)
    assert latest_checkpoint(tmp_path) is None
    assert not (tmp_path / "owned").exists()


@LITTLE
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8), st.booleans())
def test_no_damage_to_a_checkpoint_gets_past_its_digest(tmp_path: Path, at: int, junk: bytes, cut: bool) -> None:
    path = tmp_path / "s.pt"
    save_state(path, {"step": 1, "w": torch.ones(3)})
    whole = path.read_bytes()
    at %= len(whole)
    content = whole[:at] if cut else whole[:at] + junk + whole[at + len(junk) :]
    path.write_bytes(content)
    if content != whole:
        with pytest.raises(DataError, match=r"damaged.*delete the folder"):
            load_state(path)
    signed(path, content)  # and what is signed all the same is a state or refused
    allowed(lambda: load_state(path))


@LITTLE
@given(STRANGE)
def test_any_digest_file_beside_a_checkpoint_is_refused_or_right(tmp_path: Path, digest: Any) -> None:
    path = tmp_path / "s.pt"
    save_state(path, {"step": 1})
    path.with_name("s.pt.json").write_text(json.dumps(digest))
    assert allowed(lambda: load_state(path)) is None


# Data sets


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(RECIPE, tmp_path_factory.mktemp("made"), workers=1, source=painted).folder


@pytest.fixture(scope="module")
def dataset(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that a test may spoil and must mend."""
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("copy") / "data"))


@settings(LITTLE, max_examples=120)
@given(st.sampled_from(["manifest.json", "split.json"]), st.integers(0, 10**6), STRANGE)
def test_any_value_in_a_manifest_or_a_split_is_refused_or_harmless(
    dataset: Path, made: Path, file: str, where: int, value: Any
) -> None:
    (dataset / file).write_text(json.dumps(spoiled(json.loads((made / file).read_text()), where, value)))
    try:
        opened = allowed(lambda: open_dataset(dataset))
        if opened is not None:
            name = next(iter(opened.entries), "")
            allowed(lambda: opened.read(name) if name else None)
    finally:
        shutil.copy(made / file, dataset / file)


@LITTLE
@given(st.integers(0, 10**6), STRANGE)
def test_any_value_in_a_characters_description_is_refused_or_harmless(made: Path, where: int, value: Any) -> None:
    with zipfile.ZipFile(made / "characters" / "c0000000.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    description = spoiled(json.loads(files["c0000000/frames.json"]), where, value)
    path = made.parent / "c0000000.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, json.dumps(description) if name.endswith("frames.json") else content)
    character = allowed(lambda: read_character(path))
    assert character is None or character.images.shape == (len(character.frames), 32, 32, 4)


@pytest.mark.parametrize("file", ["../../outside.zip", "/etc/hostname", "characters/../../../outside.zip"])
def test_a_manifest_cannot_name_a_file_outside_of_the_data(made: Path, tmp_path: Path, file: str) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "a" / "b"))
    shutil.copy(made / "characters" / "c0000000.zip", tmp_path / "outside.zip")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["characters"]["c0000000"]["file"] = file
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="outside of the data set"):
        open_dataset(folder).read("c0000000")
    with pytest.raises(DataError, match="outside of the data set"):
        build_pack(open_dataset(folder), tmp_path / "pack")
    assert any("outside of the data set" in fault for fault in check(folder))


def test_a_link_out_of_the_data_is_not_followed(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "data"))
    (folder / "characters" / "c0000000.zip").rename(tmp_path / "elsewhere.zip")
    (folder / "characters" / "c0000000.zip").symlink_to(tmp_path / "elsewhere.zip")
    with pytest.raises(DataError, match="outside of the data set"):
        open_dataset(folder).read("c0000000")


def test_a_frame_in_another_folder_is_not_read(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made / "characters" / "c0000000.zip") as archive:
        archive.extractall(tmp_path / "x")
    folder = tmp_path / "x" / "c0000000"
    (folder / "000.webp").rename(tmp_path / "secret.webp")
    description = json.loads((folder / "frames.json").read_text())
    for file in ("../../secret.webp", str(tmp_path / "secret.webp")):
        description["frames"][0]["file"] = file
        (folder / "frames.json").write_text(json.dumps(description))
        with pytest.raises(DataError, match="lies in another folder"):
            read_character(folder)


def test_a_zip_that_unpacks_to_more_than_any_picture_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.layout.LARGEST_MEMBER", 2 << 20)
    path = tmp_path / "c0000000.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c0000000/frames.json", bytes(3 << 20))
    with pytest.raises(DataError, match="more than 2 MiB"):
        read_character(path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stored_pack(tmp_path_factory.mktemp("packed") / "pack").folder


@settings(LITTLE, max_examples=80)
@given(st.integers(0, 10**6), STRANGE)
def test_any_value_in_a_pack_is_refused_or_harmless(packed: Path, where: int, value: Any) -> None:
    whole = (packed / "pack.json").read_text()
    (packed / "pack.json").write_text(json.dumps(spoiled(json.loads(whole), where, value)))
    try:
        pack = allowed(lambda: open_pack(packed))
        if pack is not None:
            assert all(len(pack.characters(part)) for part in ("train", "test")) or value in ("train", "test")
            pack.images([0, len(pack) - 1])
    finally:
        (packed / "pack.json").write_text(whole)


@settings(LITTLE, max_examples=60)
@given(st.sampled_from(["pixels", "keypoints", "index"]), st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_any_damage_to_the_arrays_of_a_pack_is_refused_or_harmless(
    packed: Path, name: str, at: int, junk: bytes
) -> None:
    path = packed / f"{name}.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        pack = allowed(lambda: open_pack(packed))
        if pack is not None:
            pack.images(pack.frames_of(0)[:1])
    finally:
        path.write_bytes(whole)


def test_arrays_that_carry_code_are_refused(packed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(packed, tmp_path / "pack"))
    np.save(folder / "index.npy", np.array([Evil(tmp_path / "owned")] * 48, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a whole pack"):
        open_pack(folder)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["../../evil", "..", "a/b", "a\\b", "C:evil"])
def test_a_bundle_holds_no_name_that_climbs_out(packed: Path, tmp_path: Path, name: str) -> None:
    """Characters' names become names in the zip that `bench export --images` writes."""
    folder = Path(shutil.copytree(packed, tmp_path / "pack"))
    description = json.loads((folder / "pack.json").read_text())
    description["names"][-1] = name
    (folder / "pack.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="leads to another folder"):
        open_pack(folder)


def test_a_bundle_of_a_hostile_title_unpacks_beside_itself(tmp_path: Path) -> None:
    from bench.records import write_record

    write_record(tmp_path / "r" / "quick" / "records" / "x.json", made_up(title="../../evil"))
    export(tmp_path / "r", "quick", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as bundle:
        for name in bundle.namelist():
            assert ".." not in Path(name).parts and not Path(name).is_absolute()


# Records, keypoints, options, weights


@settings(LITTLE, max_examples=250)
@given(st.integers(0, 10**6), STRANGE)
def test_any_value_in_a_record_is_refused_or_stands_in_a_table(tmp_path: Path, where: int, value: Any) -> None:
    record = json.loads(json.dumps(ours().to_dict()))
    (tmp_path / "r.json").write_text(json.dumps(spoiled(record, where, value)))
    read = allowed(lambda: read_record(tmp_path / "r.json"))
    if read is not None:
        allowed(lambda: table1([read]).to_markdown())


@LITTLE
@given(STRANGE)
def test_any_json_is_a_record_or_refused(tmp_path: Path, value: Any) -> None:
    (tmp_path / "r.json").write_text(json.dumps(value))
    assert allowed(lambda: read_record(tmp_path / "r.json")) is None
    assert allowed(lambda: Record.from_dict(value)) is None


def test_the_records_that_are_published_are_read() -> None:
    folders = sorted((Path(__file__).parent.parent / "results").glob("*/records"))
    assert folders and all(read_records(folder) for folder in folders)


COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "annotations": [{"image_id": 1, "keypoints": [1.0, 2.0, 2] * 17}, {"image_id": 2, "keypoints": [3.0, 4.0, 1] * 17}],
}


@settings(LITTLE, max_examples=150)
@given(st.sampled_from([COCO, [[1.0, 2.0, 2]] * 17, [[[1.0, 2.0, 2]] * 17] * 2]), st.integers(0, 10**6), STRANGE)
def test_any_value_among_keypoints_is_refused_or_gives_poses(
    tmp_path: Path, whole: Any, where: int, value: Any
) -> None:
    for content in (spoiled(whole, where, value), value):
        (tmp_path / "k.json").write_text(json.dumps(content))
        poses = allowed(lambda: read_keypoints(tmp_path / "k.json"))
        assert poses is None or (poses.shape[1:] == (17, 3) and np.isfinite(poses).all())


@pytest.mark.parametrize("content", [DEEP.encode(), b"\xff\xfe\x00", b"", b"{", b"\x00" * 40, b"NaN"])
def test_what_is_no_json_is_refused_wherever_json_is_read(
    made: Path, packed: Path, tmp_path: Path, content: bytes
) -> None:
    data = Path(shutil.copytree(made, tmp_path / "data"))
    pack = Path(shutil.copytree(packed, tmp_path / "pack"))
    save_state(tmp_path / "s.pt", {"step": 1})
    readers: dict[Path, Callable[[], Any]] = {
        data / "manifest.json": lambda: open_dataset(data),
        pack / "pack.json": lambda: open_pack(pack),
        tmp_path / "s.pt.json": lambda: load_state(tmp_path / "s.pt"),
        tmp_path / "record.json": lambda: read_record(tmp_path / "record.json"),
        tmp_path / "k.json": lambda: read_keypoints(tmp_path / "k.json"),
    }
    for path, read in readers.items():
        path.write_bytes(content)
        with pytest.raises(DataError):
            read()
    assert check(data)


class Context:
    """As much of click's as `--file` looks at."""

    def __init__(self) -> None:
        from typer.main import get_command

        from bench.cli import app

        self.command = get_command(app).commands["run"]  # type: ignore[attr-defined]
        self.default_map: Any = None


TOML = st.sampled_from(
    ["method", "shots", "seed", "preset", "msl", "no-such", "", "[table]", "=", "1", '"x"', "nan", "[1, 2]", "\n",
     "1979-05-27", "{a = 1}", "'", "\x00", "\ud7ff", "[[x]]", "1e999", "0x"]
)  # fmt: skip


@LITTLE
@given(st.lists(TOML, max_size=8).map(" ".join))
def test_any_toml_file_is_options_or_refused(tmp_path: Path, text: str) -> None:
    from bench.cli.shared import _read_file

    file, context = tmp_path / "run.toml", Context()
    for content in (text, f"method = {text}"):
        file.write_text(content, encoding="utf-8")
        try:
            _read_file(context, file)  # type: ignore[arg-type]
        except UsageError as error:
            assert str(file) in str(error)
        else:
            assert all(not isinstance(value, list | dict) for value in context.default_map.values())


def test_deeply_nested_toml_is_refused(tmp_path: Path) -> None:
    from bench.cli.shared import _read_file

    (tmp_path / "deep.toml").write_text(f"method = {DEEP}")
    with pytest.raises(UsageError, match=r"deep\.toml"):
        _read_file(Context(), tmp_path / "deep.toml")  # type: ignore[arg-type]


@settings(LITTLE, max_examples=80)
@given(st.integers(0, 10**6), STRANGE)
def test_any_note_of_origin_beside_weights_means_that_they_are_fetched_again(
    tmp_path: Path, where: int, value: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path))
        patch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        weights.folder().mkdir(exist_ok=True)
        (weights.folder() / "alexnet.safetensors").write_bytes(b"not weights")
        good = {"name": "alexnet", "source": "upstream", "file": "x", "sha256": "7be5be79" + "0" * 56, "note": "",
                "converted_sha256": "0" * 64, "conversion": 1}  # fmt: skip
        for note in (spoiled(good, where, value), value):
            (weights.folder() / "alexnet.json").write_text(json.dumps(note))
            status = weights.verify("alexnet")
            assert status.origin is None or status.fault
