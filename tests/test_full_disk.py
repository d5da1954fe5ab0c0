"""A full disk ends a run in one line with exit code 8, and costs nothing that was there before."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.checkpoint import latest_checkpoint, load_state, save_checkpoint
from bench.conformance import changed
from bench.data.layout import open_dataset
from bench.data.make import make_dataset
from bench.data.pack import build_pack
from bench.errors import DiskFull
from bench.files import write_array
from bench.store import Stage
from tests.test_data import RECIPE, painted
from tests.test_resume import result, spec, trained

SMALL = 1 << 20  # bytes of the small disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB; skips where none can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_wherever_the_disk_fills_up_the_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec("tests.example_method:Plain")

    def stage(root: Path) -> Stage:
        return Stage(root, "train", "toy", {}, "code")

    def work(folder: Path) -> dict[str, Any]:
        return trained(wanted, folder)["losses"]

    stage(tmp_path / "whole").run(work)
    flushes, room = [0], [10**6]
    real = os.fsync

    def fsync(handle: int) -> None:
        flushes[0] += 1
        if flushes[0] > room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)
    held, room[0] = 0, 0
    while True:
        flushes[0] = 0
        try:
            stage(tmp_path / "full").run(work)
            break
        except DiskFull as full:
            assert full.exit_code == 8 and len(str(full).splitlines()) == 1 and "free some room" in str(full)
        except OSError as full:  # the last flush, of files written without one; the command line says the same of it
            assert full.errno == errno.ENOSPC
        assert not stage(tmp_path / "full").done
        assert not list(stage(tmp_path / "full").folder.glob(".*")), "no half-written file takes up the room"
        found = (latest_checkpoint(stage(tmp_path / "full").folder) or {"step": 0})["step"]
        assert found >= held, "the checkpoint before is kept"
        held, room[0] = found, room[0] + 1
    assert held == 4 and room[0] > 4
    assert changed(result(stage(tmp_path / "full").folder), result(stage(tmp_path / "whole").folder)) == []


def test_a_real_full_disk_keeps_the_previous_checkpoint(small_disk: Path) -> None:
    import torch

    save_checkpoint(small_disk, 1, {"step": 1, "w": torch.ones(SMALL // 16)})
    with pytest.raises(DiskFull, match="checkpoint-00000002"):
        save_checkpoint(small_disk, 2, {"step": 2, "w": torch.ones(SMALL)})
    assert load_state(small_disk / "checkpoint-00000001.pt")["step"] == 1
    assert sorted(path.name for path in small_disk.iterdir()) == [
        "checkpoint-00000001.pt",
        "checkpoint-00000001.pt.json",
    ]
    save_checkpoint(small_disk, 2, {"step": 2, "w": torch.ones(SMALL // 16)})
    found = latest_checkpoint(small_disk)
    assert found is not None and found["step"] == 2


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be taken beforehand here")
def test_a_pack_that_does_not_fit_is_an_error_and_no_bus_error(tmp_path: Path, small_disk: Path) -> None:
    """In a process of its own: writing to a map beyond the end of a disk kills the process that does it."""
    data = make_dataset(RECIPE, tmp_path / "data", workers=1, source=painted).folder
    (small_disk / "ballast").write_bytes(b"x" * (SMALL - 100_000))
    program = (
        "import sys; from pathlib import Path; import bench.cells; from bench.cli import main\n"
        "from bench.data.layout import open_dataset; from bench.data.pack import build_pack\n"
        "data, pack = map(Path, sys.argv[1:])\n"
        "bench.cells.data_pack = lambda *_: build_pack(open_dataset(data), pack)\n"
        "sys.argv = ['bench', 'data', 'make', '--quiet']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(data), str(small_disk / "pack")], capture_output=True, text=True
    )
    assert done.returncode == 8, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "the disk is full" in done.stderr
    (small_disk / "ballast").unlink()
    assert len(build_pack(open_dataset(data), small_disk / "pack")) == 56


def test_an_array_that_does_not_fit_says_so_and_leaves_nothing(small_disk: Path) -> None:
    write_array(small_disk / "images.npy", np.zeros(SMALL // 8, np.uint8))
    with pytest.raises(DiskFull, match=r"cannot write .*images\.npy"):
        write_array(small_disk / "images.npy", np.ones(SMALL, np.uint8))
    assert [path.name for path in small_disk.iterdir()] == ["images.npy"]
    assert not np.load(small_disk / "images.npy").any()
