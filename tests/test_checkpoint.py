"""Checkpoints: whole or not there, and never code."""

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

import bench.checkpoint
from bench.checkpoint import clear_checkpoints, latest_checkpoint, load_state, save_checkpoint, save_state
from bench.errors import DataError, DiskFull, Stopped
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


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("torch.load", torch.OutOfMemoryError("CUDA out of memory")),
        ("torch.load", MemoryError()),
        ("torch.load", RuntimeError("DefaultCPUAllocator: can't allocate memory")),
        ("torch.load", Stopped()),
        ("pathlib.Path.read_bytes", OSError(5, "Input/output error")),
        ("pathlib.Path.read_bytes", PermissionError(13, "Permission denied")),
    ],
)
def test_what_says_nothing_of_a_checkpoint_does_not_pass_it_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException
) -> None:
    """Else the training would begin again, and its first checkpoint take the place of both."""
    for step in (100, 200):
        save_checkpoint(tmp_path, step, {"step": step})

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        with pytest.raises(type(error)):
            latest_checkpoint(tmp_path)
    found = latest_checkpoint(tmp_path)
    assert found is not None and found["step"] == 200


def test_two_processes_may_forget_the_same_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, 1, {"step": 1})
    listed = [tmp_path / "checkpoint-00000001.pt"]
    monkeypatch.setattr(bench.checkpoint, "_checkpoints", lambda folder: listed)
    for _ in range(2):
        clear_checkpoints(tmp_path, keep=0)
    assert not any(tmp_path.iterdir())
