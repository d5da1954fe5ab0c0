"""The store does each piece of work once, never takes half of one for the whole, and names what is stale."""

import threading
import time
from pathlib import Path

import pytest

from bench.errors import FailedBefore
from bench.store import Stage, remove, stored_stages, superseded


def stage(root: Path, source: str = "code-1", **identity: object) -> Stage:
    return Stage(root, "train", "toy", {"seed": 0, **identity}, source)


def test_work_is_done_once_and_its_summary_kept(tmp_path: Path) -> None:
    calls = []
    for _ in range(2):
        summary = stage(tmp_path).run(lambda folder: calls.append(folder) or {"loss": 1.5})
    assert summary == {"loss": 1.5} and len(calls) == 1


def test_identity_and_source_both_name_the_directory(tmp_path: Path) -> None:
    folders = {stage(tmp_path).folder, stage(tmp_path, seed=1).folder, stage(tmp_path, "code-2").folder}
    assert len(folders) == 3
    assert stage(tmp_path).address == stage(tmp_path, "code-2").address


def test_a_failure_is_kept_and_never_taken_for_a_result(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, object]:
        (folder / "half").write_text("half")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        stage(tmp_path).run(fail)
    assert not stage(tmp_path).done
    found = next(stored_stages(tmp_path))
    assert found.state == "failed" and "disk on fire" in (found.folder / "failed.json").read_text()
    with pytest.raises(FailedBefore, match="disk on fire"):
        stage(tmp_path).run(lambda folder: {})
    stage(tmp_path).run(lambda folder: {}, retry_before=time.time() + 1)
    assert next(stored_stages(tmp_path)).state == "done"


def test_an_interrupted_stage_keeps_what_it_wrote(tmp_path: Path) -> None:
    def stop(folder: Path) -> dict[str, object]:
        (folder / "checkpoint").write_text("step 3")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path).run(stop)
    assert next(stored_stages(tmp_path)).state == "unfinished"
    assert stage(tmp_path).run(lambda folder: {"at": (folder / "checkpoint").read_text()}) == {"at": "step 3"}


def test_two_at_once_do_the_work_once(tmp_path: Path) -> None:
    started, calls = threading.Barrier(4), []

    def work() -> None:
        started.wait()
        stage(tmp_path).run(lambda folder: calls.append(1) or {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


def test_gc_takes_what_newer_code_has_replaced_and_nothing_else(tmp_path: Path) -> None:
    stage(tmp_path, "code-1").run(lambda folder: {})
    stage(tmp_path, "code-2").run(lambda folder: {})
    stage(tmp_path, "code-1", seed=7).run(lambda folder: {})
    going = superseded(tmp_path)
    assert [found.source for found in going] == ["code-1"]
    for found in going:
        remove(found)
    assert stage(tmp_path, "code-2").done and stage(tmp_path, "code-1", seed=7).done
