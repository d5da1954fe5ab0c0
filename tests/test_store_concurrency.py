"""Many processes on one store: each piece of work is done once, whoever dies; a failure is repeated on request only."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.cells import Workplace
from bench.errors import DataError, DeviceError, DiskFull, FailedBefore, Interrupted, NonFiniteLoss, WeightsMissing
from bench.files import read_json, write_json
from bench.launch import one_after_the_other
from bench.progress import SilentReporter
from bench.spec import Cell
from bench.store import Stage, remove, stored_stages, superseded, would_fail_again
from tests.broken_off import every_state, processes, stored_pack
from tests.test_run import MeanColours

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
STAGES, PROCESSES = 50, 8


def stage(root: Path, number: int = 0) -> Stage:
    return Stage(root, "train", f"toy-{number}", {"number": number}, "code")


def note(folder: Path, what: str) -> None:
    """Append a line; whole lines of several processes never mix."""
    handle = os.open(folder / "lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{what}\n".encode())
    os.close(handle)


def do_all(root: Path, number: int, dies_at: int) -> None:
    """Do every stage in an order of one's own; the process kills itself in the middle of its `dies_at`-th."""
    order, mine = random.Random(number).sample(range(STAGES), STAGES), [0]

    def work(folder: Path) -> dict[str, Any]:
        note(folder, "begun")
        mine[0] += 1
        if mine[0] == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.001)
        note(folder, "ended")
        return {"by": number}

    for which in order:
        assert stage(root, which).run(work)["by"] in range(PROCESSES)


@posix
def test_eight_processes_do_fifty_pieces_of_work_once_though_three_of_them_die(tmp_path: Path) -> None:
    deaths = {1: 1, 4: 2, 6: 3}  # process -> in which of its works
    started = [processes.Process(target=do_all, args=(tmp_path, n, deaths.get(n, 0))) for n in range(PROCESSES)]
    for process in started:
        process.start()
    for process in started:
        process.join(900)
    killed = [number for number, process in enumerate(started) if process.exitcode == -signal.SIGKILL]
    assert all(process.exitcode == 0 for number, process in enumerate(started) if number not in killed)
    assert set(killed) <= set(deaths) and killed, "a process that finds little left to do may outlive its death"
    lines = [(stage(tmp_path, n).folder / "lines").read_text().split() for n in range(STAGES)]
    assert all(line.count("ended") == 1 for line in lines), "each done exactly once"
    assert sum(line.count("begun") for line in lines) == STAGES + len(killed), "begun again where the holder died only"
    assert [found.state for found in stored_stages(tmp_path)] == ["done"] * STAGES


def hold(root: Path, holding: Any) -> None:
    def work(folder: Path) -> dict[str, Any]:
        (folder / ".half-written").write_text("half")
        holding.set()
        time.sleep(600)
        return {}

    stage(root).run(work)


@posix
def test_the_lock_of_a_killed_holder_frees_itself_and_a_held_stage_is_not_collected(tmp_path: Path) -> None:
    holding = processes.Event()
    holder = processes.Process(target=hold, args=(tmp_path, holding))
    holder.start()
    assert holding.wait(900)
    (held,) = stored_stages(tmp_path)
    assert not remove(held) and (held.folder / "stage.json").exists(), "in use"
    holder.kill()
    holder.join(900)
    assert next(stored_stages(tmp_path)).state == "unfinished"
    assert stage(tmp_path).run(lambda folder: {"half": len(list(folder.glob(".*")))}) == {"half": 0}
    assert remove(held) and not held.folder.exists()


def test_a_stage_is_done_only_when_its_marker_is_whole_and_last(tmp_path: Path) -> None:
    def work(folder: Path) -> dict[str, Any]:
        write_json(folder / "result.json", {"whole": True})
        return {"n": 1}

    with every_state(tmp_path / "store", tmp_path / "states") as states:
        stage(tmp_path / "store").run(work)
    assert len(states) > 8
    for state in states:
        broken_off = stage(state)
        if broken_off.done:
            assert broken_off.summary() == {"n": 1} and read_json(broken_off.folder / "result.json")["whole"]
        assert broken_off.run(work) == {"n": 1}


def test_what_the_marker_vouches_for_is_flushed_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, real = list[int](), os.fsync
    monkeypatch.setattr("os.fsync", lambda handle: (flushed.append(os.fstat(handle).st_ino), real(handle)))

    def work(folder: Path) -> dict[str, Any]:
        (folder / "images.npy").write_bytes(b"written without a flush")
        return {}

    stage(tmp_path).run(work)
    images, marker = ((stage(tmp_path).folder / name).stat().st_ino for name in ("images.npy", "done.json"))
    assert flushed.index(images) < flushed.index(marker)


def failing(error: Exception) -> tuple[Callable[[Path], dict[str, Any]], list[int]]:
    """Work that raises `error`, and a list that grows by one a call."""
    calls: list[int] = []

    def work(folder: Path) -> dict[str, Any]:
        calls.append(1)
        raise error

    return work, calls


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (RuntimeError("The size of tensor a (3) must match"), True),
        (ZeroDivisionError("division by zero"), True),
        (NonFiniteLoss("loss l1 is not finite at step 5"), True),
        (Interrupted("stopped at step 3"), False),
        (WeightsMissing("no weights"), False),
        (DeviceError("no GPU"), False),
        (DataError("the checkpoint is damaged"), False),
        (DiskFull("file"), False),
        (OSError(5, "Input/output error"), False),
        (MemoryError(), False),
        (ModuleNotFoundError("No module named 'x'"), False),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
    ],
)
def test_a_failure_of_the_work_is_repeated_on_request_and_one_of_the_machine_always(
    tmp_path: Path, error: Exception, again: bool
) -> None:
    assert would_fail_again(error) is again
    work, calls = failing(error)
    for _ in range(2):
        with pytest.raises((type(error), FailedBefore)) as raised:
            stage(tmp_path).run(work)
    assert len(calls) == (1 if again else 2)
    if not again:
        assert raised.value is error
        return
    assert isinstance(raised.value, NonFiniteLoss if isinstance(error, NonFiniteLoss) else FailedBefore)
    assert str(error) in str(raised.value) and "--retry" in str(raised.value), "what it was, and the way out"
    failure = read_json(stage(tmp_path).folder / "failed.json")
    assert "in work" in failure["traceback"] and next(stored_stages(tmp_path)).state == "failed"
    with pytest.raises(type(error)):
        stage(tmp_path).run(work, retry="one")
    assert len(calls) == 2
    assert stage(tmp_path).run(lambda folder: {"n": 1}, retry="another") == {"n": 1}
    assert next(stored_stages(tmp_path)).state == "done"


def test_what_fails_in_a_retry_is_not_repeated_in_the_same_run(tmp_path: Path) -> None:
    """Rows of a table share trainings: `--retry` repeats each once."""
    work, calls = failing(ValueError("wrong"))
    for _ in range(3):
        with pytest.raises((ValueError, FailedBefore)):
            stage(tmp_path).run(work, retry="one")
    assert len(calls) == 1


def test_a_failure_kept_by_an_older_version_is_repeated_once(tmp_path: Path) -> None:
    write_json(stage(tmp_path).folder / "failed.json", {"error": "ValueError()", "traceback": "", "time": time.time()})
    work, calls = failing(ValueError("wrong"))
    for expected in (ValueError, FailedBefore):
        with pytest.raises(expected):
            stage(tmp_path).run(work)
    assert len(calls) == 1


def test_a_table_leaves_out_a_row_that_failed_before_and_makes_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench.cells
    import bench.metrics.features
    import bench.ranks.jobs

    identity = {"name": MeanColours.name, "sha256": MeanColours.sha256}
    monkeypatch.setattr(bench.cells, "extractor_identity", lambda name: identity)
    monkeypatch.setattr(bench.cells, "lpips_identity", lambda: None)
    monkeypatch.setattr(bench.metrics.features, "Extractor", MeanColours)
    stored_pack(tmp_path / "pack")
    place = Workplace(tmp_path / "store", tmp_path / "results", SilentReporter(), tmp_path / "pack")

    def broken(*_: object) -> None:
        raise ValueError("a mistake of the method")

    cells = [Cell("tests.example_method:Plain", "smoke", seed=5, device="cpu"), Cell("white", "smoke", device="cpu")]
    with monkeypatch.context() as patch:
        patch.setattr(bench.ranks.jobs, "train", broken)
        first = one_after_the_other(cells, place)
    outcome = one_after_the_other(cells, place)
    assert [record.title for _, record in first.done] == [record.title for _, record in outcome.done] == ["White image"]
    assert first.missing["Plain"] == "ValueError: a mistake of the method"
    assert "failed before with ValueError: a mistake of the method" in outcome.missing["Plain"]


def test_listing_a_store_survives_files_and_stages_that_vanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        stage(tmp_path, number).run(lambda folder: {})
    real = Path.iterdir

    def iterdir(folder: Path) -> Any:
        yield from real(folder)
        yield folder / ".done.json.gone"  # renamed between being listed and being looked at

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert [found.state for found in stored_stages(tmp_path)] == ["done"] * 3
    real_read = read_json

    def vanished(path: Path) -> Any:
        if path.parent.name.startswith("toy-1"):
            raise FileNotFoundError(path)
        return real_read(path)

    monkeypatch.setattr("bench.store.read_json", vanished)
    assert [found.label for found in stored_stages(tmp_path)] == ["toy-0", "toy-2"]
    assert superseded(tmp_path) == []
