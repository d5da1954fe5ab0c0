"""Making data: killed or stopped wherever it may be, it goes on to the same pixels, and no process is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench.data.check import check
from bench.data.layout import CharacterFrames, open_dataset
from bench.data.make import make_dataset
from bench.data.pack import build_pack, open_pack
from bench.data.recipe import Recipe
from bench.errors import DataError
from tests.broken_off import every_state, heed_interrupts, processes
from tests.test_data import RECIPE, painted

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")


def slowly(recipe: Recipe, seed: int) -> CharacterFrames:
    time.sleep(0.05)
    return painted(recipe, seed)


def make(root: Path, workers: int, began: Any) -> None:
    """`bench data make` of painted characters."""
    import bench.cells
    from bench.cli import main

    def data_pack(*_: object) -> Any:
        made = make_dataset(RECIPE, root, workers, lambda done, total: began.set() if done else None, slowly)
        return build_pack(made, root / "pack")

    heed_interrupts()
    bench.cells.data_pack = data_pack
    sys.argv = ["bench", "data", "make", "--preset", "smoke", "-q"]
    main()


def start(root: Path, workers: int = 1) -> tuple[Any, Any]:
    began = processes.Event()
    process = processes.Process(target=make, args=(root, workers, began))
    process.start()
    return process, began


def test_whatever_the_disk_holds_at_a_kill_the_data_and_their_pack_come_out_the_same(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with every_state(root, tmp_path / "states") as states:
        made = make_dataset(RECIPE, root, workers=1, source=painted)
        build_pack(made, root / "pack")
    assert len(states) > 50
    for state in states[::4]:
        for read, folder in ((open_dataset, state / made.folder.name), (open_pack, state / "pack")):
            with contextlib.suppress(DataError):
                assert read(folder).pixel_digest == made.pixel_digest, "nothing half-made is taken for whole"
        again = make_dataset(RECIPE, state, workers=1, source=painted)
        assert again.pixel_digest == build_pack(again, state / "pack").pixel_digest == made.pixel_digest
        assert check(again.folder) == []
        assert not list(again.folder.rglob(".*")), "half-written files are swept up"


def killed(tmp_path: Path, kills: int) -> int:
    chance, number = random.Random(3), 0
    whole = make_dataset(RECIPE, tmp_path / "whole", workers=1, source=painted)
    for round_ in range(kills):
        root = tmp_path / str(round_ // 4)  # up to four kills of the same making, then a new one
        process, began = start(root)
        if round_ % 4 == 0:
            assert began.wait(900)
        time.sleep(chance.uniform(0, 0.15))
        wanted = signal.SIGKILL if round_ % 2 == 0 else signal.SIGTERM
        os.kill(process.pid, wanted)
        process.join(900)
        number += process.exitcode != 0
    for root in tmp_path.iterdir():
        assert make_dataset(RECIPE, root, workers=1, source=painted).pixel_digest == whole.pixel_digest
        assert check(root / RECIPE.digest[:12]) == []
    return number


@posix
def test_making_killed_at_random_moments_goes_on_to_the_same_pixels(tmp_path: Path) -> None:
    assert killed(tmp_path, 4) >= 2


@posix
@pytest.mark.slow
def test_making_killed_two_dozen_times_goes_on_to_the_same_pixels(tmp_path: Path) -> None:
    assert killed(tmp_path, 24) >= 12


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_a_signal_while_data_are_made_ends_with_75_and_the_same_command_goes_on(tmp_path: Path, number: int) -> None:
    process, began = start(tmp_path)
    assert began.wait(900)
    os.kill(process.pid, number)
    process.join(900)
    assert process.exitcode == 75
    assert list(tmp_path.rglob("*.zip")) and not list(tmp_path.rglob("manifest.json"))
    process, _ = start(tmp_path)
    process.join(900)
    assert process.exitcode == 0


def workers_of(root: Path) -> list[int]:
    """Processes that are at work in `root`, by what `note_worker` left there."""
    return [int(path.name) for path in root.glob("workers/*") if Path(f"/proc/{path.name}").exists()]


def noted(recipe: Recipe, seed: int) -> CharacterFrames:
    """Leaves the worker's number in the folder named by the environment."""
    (Path(os.environ["WORKERS"]) / str(os.getpid())).touch()
    return slowly(recipe, seed)


def make_in_a_pool(root: Path, began: Any) -> None:
    os.environ["WORKERS"] = str(root / "workers")
    make_dataset(RECIPE, root, 2, lambda done, total: began.set() if done else None, noted)


@pytest.mark.slow  # the workers load torch
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
def test_workers_of_a_killed_parent_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    began = processes.Event()
    process = processes.Process(target=make_in_a_pool, args=(tmp_path, began))
    process.start()
    assert began.wait(900) and workers_of(tmp_path)
    process.kill()
    process.join(900)
    deadline = time.monotonic() + 60
    while workers_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers_of(tmp_path) == []
