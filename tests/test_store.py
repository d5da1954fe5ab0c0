"""The store does each piece of work once, never takes half of one for the whole, and names what is stale."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import DataError, FailedBefore
from bench.files import write_json
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
    stage(tmp_path).run(lambda folder: {}, retry="again")
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


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"summary": 3}', '{"summary": {}, "files": []}'])
def test_a_damaged_marker_names_the_folder_to_delete(tmp_path: Path, content: str) -> None:
    stage(tmp_path).run(lambda folder: {})
    (stage(tmp_path).folder / "done.json").write_text(content)
    with pytest.raises(DataError, match=r"done\.json is damaged.*delete the folder"):
        stage(tmp_path).summary()


def test_files_of_a_finished_stage_are_vouched_for(tmp_path: Path) -> None:
    def work(folder: Path) -> dict[str, object]:
        (folder / "images.npy").write_bytes(bytes(100))
        (folder / "checkpoint-3.pt").write_bytes(bytes(100))  # goes afterwards
        return {}

    made = stage(tmp_path)
    made.run(work)
    (made.folder / "checkpoint-3.pt").unlink()
    made.check()
    (made.folder / "images.npy").write_bytes(bytes(99) + b"x")
    with pytest.raises(DataError, match=r"images\.npy is damaged.*delete the folder"):
        made.check()
    (made.folder / "images.npy").unlink()
    with pytest.raises(DataError, match=r"images\.npy cannot be read.*delete the folder"):
        made.check()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"again": true}', '{"again": true, "time": "x"}'])
def test_a_failure_that_says_nothing_is_none(tmp_path: Path, content: str) -> None:
    stage(tmp_path).folder.mkdir(parents=True)
    (stage(tmp_path).folder / "failed.json").write_text(content)
    (stage(tmp_path).folder / ".hidden").mkdir()  # somebody else's
    assert stage(tmp_path).run(lambda folder: {"done": True}) == {"done": True}


def test_a_damaged_description_hides_no_other_stage_from_whoever_lists_them(tmp_path: Path) -> None:
    stage(tmp_path).run(lambda folder: {})
    stage(tmp_path, seed=1).run(lambda folder: {})
    for content in ("", "[]", "{}"):
        (stage(tmp_path).folder / "stage.json").write_text(content)
        assert [found.folder for found in stored_stages(tmp_path)] == [stage(tmp_path, seed=1).folder]
        assert superseded(tmp_path) == []


def test_gc_keeps_what_was_used_last_and_not_what_was_made_last(tmp_path: Path) -> None:
    for source in ("code-1", "code-2", "code-1"):  # back to the code of before, on another branch
        stage(tmp_path, source).run(lambda folder: {})
    assert [found.source for found in superseded(tmp_path)] == ["code-2"]


def test_gc_keeps_the_same_work_of_two_rows(tmp_path: Path) -> None:
    for label in ("ours-1shot-none", "ours-1shot-default"):
        replace(stage(tmp_path), label=label).run(lambda folder: {})
    assert not superseded(tmp_path) and len(list(stored_stages(tmp_path))) == 2


def test_a_retry_repeats_what_failed_on_a_machine_whose_clock_is_ahead(tmp_path: Path) -> None:
    failure = {"type": "ValueError", "message": "wrong", "again": True, "time": time.time() + 1e6, "traceback": ""}
    write_json(stage(tmp_path).folder / "failed.json", failure)
    with pytest.raises(FailedBefore, match="--retry repeats it"):
        stage(tmp_path).run(lambda folder: {})
    assert stage(tmp_path).run(lambda folder: {"n": 1}, retry="this run") == {"n": 1}
