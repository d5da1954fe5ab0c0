"""The store: one directory for each finished piece of work, named by everything that determines it.

A stage (train, tune, generate, score) has an *identity*: plain JSON that says what was asked for, and a
*source* hash that says by which code. Together they make its key. The done marker is written last; a directory
without it is unfinished and is gone on with; one of the same identity but another source is stale. A failure that
the same work would meet again is kept, and the work is done again on request only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import BenchError, DataError, FailedBefore, Interrupted, NonFiniteLoss, of_the_machine
from bench.files import digest_of, read_json, sha256_of, write_json

SCHEMA = 1
STAGES = ("train", "tune", "generate", "score")

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a damaged JSON file of the store can raise."""


def default_root() -> Path:
    """`$BENCH_STORE`, or `.store` in the working directory."""
    return Path(os.environ.get("BENCH_STORE", ".store"))


@dataclass(frozen=True)
class Stage:
    """One piece of work and the directory its output lives in."""

    root: Path
    kind: str
    label: str  # for people; not part of the key
    identity: Mapping[str, Any]
    source: str

    @property
    def address(self) -> str:
        """What was asked for, whatever code does it."""
        return digest_of({"schema": SCHEMA, "kind": self.kind, "identity": dict(self.identity)})

    @property
    def key(self) -> str:
        return digest_of({"address": self.address, "source": self.source})

    @property
    def folder(self) -> Path:
        return self.root / self.kind / f"{self.label}-{self.key[:12]}"

    @property
    def done(self) -> bool:
        return (self.folder / "done.json").exists()

    def summary(self) -> dict[str, Any]:
        """What the finished stage recorded about itself. Raises DataError where that is damaged.

        Asking marks it as used now: among stages of the same identity the one used last is the one in use.
        """
        value: dict[str, Any] = self._marker()["summary"]
        with contextlib.suppress(OSError):  # a store may be read-only
            os.utime(self.folder / "done.json")
        return value

    def environment(self) -> dict[str, Any] | None:
        """Where the finished stage was done; None: a store of before that was kept."""
        found: dict[str, Any] | None = self._marker().get("environment")
        return found

    def check(self) -> None:
        """Raises DataError where a file of the finished stage is not what it was when the stage was finished."""
        check_stage(self.folder)

    def _marker(self) -> dict[str, Any]:
        return _marker_of(self.folder)

    def run(
        self,
        work: Callable[[Path], dict[str, Any]],
        environment: Mapping[str, Any] | None = None,
        retry: str = "",
    ) -> dict[str, Any]:
        """The summary of this stage, from the store or by doing `work(folder)` now; one process at a time.

        Work that failed and would fail again is not repeated: raises NonFiniteLoss or FailedBefore, with what was
        raised then. `retry`, the name of a run that repeats such work, has it repeated unless it failed in that run.
        """
        if self.done:
            return self.summary()
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            if self.done:  # another process did it while we waited
                return self.summary()
            self._refuse_to_repeat(retry)
            (self.folder / "failed.json").unlink(missing_ok=True)
            for half in self.folder.glob(".*"):  # being written when a process was killed; we hold the lock
                if half.is_file():
                    half.unlink()
            stage = {"kind": self.kind, "label": self.label, "address": self.address, "source": self.source}
            write_json(self.folder / "stage.json", {**stage, "identity": dict(self.identity)})
            try:
                summary = work(self.folder)
            except Interrupted:
                raise
            except Exception as error:
                self._keep(error, retry)
                raise
            _flush(self.folder)
            where = {"environment": dict(environment)} if environment else {}
            files = {path.name: sha256_of(path) for path in sorted(self.folder.iterdir()) if _vouched_for(path)}
            write_json(self.folder / "done.json", {"key": self.key, "summary": summary, "files": files, **where})
            return summary

    def _keep(self, error: Exception, retry: str) -> None:
        """Write down a failure with its traceback; a full disk does not hide what it was."""
        failure = {
            "type": type(error).__name__,
            "message": str(error),
            "again": would_fail_again(error),
            "retry": retry,
            "time": time.time(),
            "traceback": traceback.format_exc(),
        }
        with contextlib.suppress(BenchError, OSError):
            write_json(self.folder / "failed.json", failure)

    def _refuse_to_repeat(self, retry: str) -> None:
        file = self.folder / "failed.json"
        try:
            failure = read_json(file)
            # by the run, not by the clock, which another machine may have set otherwise; older stores said neither
            repeat = not failure.get("again") or (retry and failure.get("retry") != retry)
            said = f"{failure['type']}: {failure['message']}"
        except UNREADABLE:  # none is kept, or none that says anything
            return
        if repeat:
            return
        if failure["type"] == NonFiniteLoss.__name__:
            raise NonFiniteLoss(f"{failure['message']} (from the store; --retry goes on from the checkpoint)")
        what = said.strip().splitlines()[0]
        raise FailedBefore(
            f"{self.kind} {self.label} failed before with {what}; traceback in {file}, --retry repeats it"
        )


def check_stage(folder: Path) -> None:
    """Raises DataError where a file of the finished stage there is not what it was when the stage was finished.

    States have a digest of their own (bench/checkpoint.py). A store of before files were vouched for passes.
    """
    for name, digest in _marker_of(folder).get("files", {}).items():
        try:
            same = sha256_of(folder / name) == digest
        except OSError as error:
            raise DataError(f"{folder / name} cannot be read ({error}); {_way_out(folder)}") from error
        if not same:
            raise DataError(f"{folder / name} is damaged: its sha256 is not the recorded one; {_way_out(folder)}")


def _marker_of(folder: Path) -> dict[str, Any]:
    file = folder / "done.json"
    try:
        marker: dict[str, Any] = read_json(file)
        whole = isinstance(marker["summary"], dict) and isinstance(marker.get("files", {}), dict)
    except UNREADABLE as error:
        raise DataError(f"{file} is damaged ({type(error).__name__}: {error}); {_way_out(folder)}") from error
    if not whole:
        raise DataError(f"{file} is damaged; {_way_out(folder)}")
    return marker


def _way_out(folder: Path) -> str:
    return f"delete the folder {folder} and run the same command again"


def would_fail_again(error: Exception) -> bool:
    """Whether the same work would fail the same way, and not for want of something that a machine may lack.

    Of the suite's own errors only a diverged training is: the others are checked quickly and name what to mend.
    """
    if isinstance(error, BenchError):
        return isinstance(error, NonFiniteLoss)
    return not of_the_machine(error)


def _vouched_for(path: Path) -> bool:
    """Images, tables and logs: what later stages read, but for states, and nothing that comes and goes."""
    return (
        path.is_file()
        and path.suffix in (".npy", ".csv", ".json")
        and path.name not in ("stage.json", "failed.json", "done.json")
    )


def _flush(folder: Path) -> None:
    """Everything the done marker vouches for is on the disk before it is: power may fail."""
    for path in folder.iterdir():
        if path.is_file():
            with path.open("r+b") as file:  # Windows flushes what may be written to, and nothing else
                os.fsync(file.fileno())


@dataclass(frozen=True)
class StoredStage:
    """A directory found in the store."""

    folder: Path
    kind: str
    label: str
    address: str
    source: str
    state: str  # "done", "failed" or "unfinished"
    size: int  # bytes
    used: float  # time of last change or use


def stored_stages(root: Path) -> Iterator[StoredStage]:
    """Every stage directory in the store, oldest first."""
    found = []
    for kind in STAGES:
        for file in (root / kind).glob("*/stage.json"):
            folder = file.parent
            try:
                stage, sizes = read_json(file), list(_sizes(folder))
                label, address, source = (str(stage[name]) for name in ("label", "address", "source"))
            except UNREADABLE:  # removed meanwhile, or damaged: then only its name says what it is
                continue
            state = (
                "done"
                if (folder / "done.json").exists()
                else "failed"
                if (folder / "failed.json").exists()
                else "unfinished"
            )
            size, used = sum(size for size, _ in sizes), max((changed for _, changed in sizes), default=0.0)
            found.append(StoredStage(folder, kind, label, address, source, state, size, used))
    yield from sorted(found, key=lambda stage: stage.used)


def _sizes(folder: Path) -> Iterator[tuple[int, float]]:
    """Bytes and time of change of every file; others may be writing and removing files there."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            yield found.st_size, found.st_mtime


def superseded(root: Path) -> list[StoredStage]:
    """Stages of an identity that was asked for of other code since, and failed ones."""
    newest: dict[str, StoredStage] = {}
    stages = list(stored_stages(root))
    for stage in stages:
        if stage.state == "done":
            newest[stage.address] = stage  # in order of use, so the one used last stays
    return [
        stage
        for stage in stages
        if stage.state == "failed" or (stage.address in newest and newest[stage.address].source != stage.source)
    ]


def remove(stage: StoredStage) -> bool:
    """Delete a stage, unless a process is at work in it; whether it was deleted.

    The done marker goes first, so that a half-deleted one is never taken for finished.
    """
    try:
        with FileLock(stage.folder / "lock", timeout=0):
            (stage.folder / "done.json").unlink(missing_ok=True)
            shutil.rmtree(stage.folder)
    except Timeout:
        return False
    return True
