"""Checkpoints: whole or not there, and never code."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from bench.checkpoint import latest_checkpoint, load_state, save_checkpoint, save_state
from bench.errors import DataError, DiskFull
from bench.files import write_bytes


def test_a_state_comes_back_as_it_went(tmp_path: Path) -> None:
    state = {"step": 3, "net": {"w": torch.arange(4.0)}, "log": [{"loss": 0.5}]}
    save_state(tmp_path / "s.pt", state)
    back = load_state(tmp_path / "s.pt")
    assert back["step"] == 3 and torch.equal(back["net"]["w"], state["net"]["w"]) and back["log"] == state["log"]


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step})
    newest = tmp_path / "checkpoint-00000003.pt"
    newest.write_bytes(newest.read_bytes()[:-10])
    assert not (tmp_path / "checkpoint-00000001.pt").exists(), "two are kept"
    found = latest_checkpoint(tmp_path)
    assert found is not None and found["step"] == 2
    with pytest.raises(DataError, match="damaged"):
        load_state(newest)


def test_a_checkpoint_that_carries_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "owned",)  # type: ignore[return-value]

    content = pickle.dumps(Evil())
    (tmp_path / "evil.pt").write_bytes(content)
    (tmp_path / "evil.pt.json").write_text(json.dumps({"sha256": hashlib.sha256(content).hexdigest()}))
    with pytest.raises(DataError, match="not a plain state"):
        load_state(tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_bytes(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
