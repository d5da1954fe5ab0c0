"""The store: one directory for each finished piece of work, named by everything that determines it.

A stage (train, tune, generate, score) has an *identity*: plain JSON that says what was asked for, and a
*source* hash that says by which code. Together they make its key. The done marker is written last; a directory
without it is unfinished and is gone on with; one of the same identity but another source is stale.
"""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.errors import Interrupted
from bench.files import digest_of, read_json, write_json

SCHEMA = 1
STAGES = ("train", "tune", "generate", "score")


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
        """What the finished stage recorded about itself."""
        value: dict[str, Any] = read_json(self.folder / "done.json")["summary"]
        return value

    def environment(self) -> dict[str, Any] | None:
        """Where the finished stage was done; None: a store of before that was kept."""
        found: dict[str, Any] | None = read_json(self.folder / "done.json").get("environment")
        return found

    def run(
        self, work: Callable[[Path], dict[str, Any]], environment: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The summary of this stage, from the store or by doing `work(folder)` now; one process at a time."""
        if self.done:
            return self.summary()
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            if self.done:  # another process did it while we waited
                return self.summary()
            stage = {"kind": self.kind, "label": self.label, "address": self.address, "source": self.source}
            write_json(self.folder / "stage.json", {**stage, "identity": dict(self.identity)})
            try:
                summary = work(self.folder)
            except (Interrupted, KeyboardInterrupt):
                raise
            except Exception as error:
                write_json(
                    self.folder / "failed.json",
                    {"error": repr(error), "traceback": traceback.format_exc(), "time": time.time()},
                )
                raise
            (self.folder / "failed.json").unlink(missing_ok=True)
            where = {"environment": dict(environment)} if environment else {}
            write_json(self.folder / "done.json", {"key": self.key, "summary": summary, **where})
            return summary


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
    used: float  # time of last change


def stored_stages(root: Path) -> Iterator[StoredStage]:
    """Every stage directory in the store, oldest first."""
    found = []
    for kind in STAGES:
        for file in (root / kind).glob("*/stage.json"):
            folder, stage = file.parent, read_json(file)
            state = (
                "done"
                if (folder / "done.json").exists()
                else "failed"
                if (folder / "failed.json").exists()
                else "unfinished"
            )
            size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
            used = max(f.stat().st_mtime for f in folder.rglob("*") if f.is_file())
            found.append(
                StoredStage(folder, kind, stage["label"], stage["address"], stage["source"], state, size, used)
            )
    yield from sorted(found, key=lambda stage: stage.used)


def superseded(root: Path) -> list[StoredStage]:
    """Stages a later run of the same identity by other code has replaced, and failed ones."""
    newest: dict[str, StoredStage] = {}
    stages = list(stored_stages(root))
    for stage in stages:
        if stage.state == "done":
            newest[stage.address] = stage  # oldest first, so the last one stays
    return [
        stage
        for stage in stages
        if stage.state == "failed" or (stage.address in newest and newest[stage.address].folder != stage.folder)
    ]


def remove(stage: StoredStage) -> None:
    """Delete a stage: its done marker first, so that a half-deleted one is never taken for finished."""
    (stage.folder / "done.json").unlink(missing_ok=True)
    shutil.rmtree(stage.folder)
