"""Ways to break a run off: every state its folder passes through, and processes to be killed.

Processes are forked from a server that has torch loaded, so that each starts in milliseconds.
"""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.pack import Pack, open_pack
from bench.files import write_json
from tests.example_method import Plain
from tests.made_pack import made_pack

TOUCHES = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.rmdir", "os.truncate")
"""Events of Python's audit hook before a file is made, written, moved or removed."""

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["__main__", "tests.broken_off", "bench.run", "bench.metrics.features"])


class _Watch:
    """The one audit hook of this process: hooks cannot be taken off again."""

    def __init__(self) -> None:
        self.touched: Callable[[Path], None] | None = None
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.touched is not None and event in TOUCHES and isinstance(arguments[0], str | Path):
            touched, self.touched = self.touched, None  # what it does itself is not looked at
            try:
                touched(Path(arguments[0]))
            finally:
                self.touched = touched


_watch = _Watch()


@contextmanager
def every_state(folder: Path, snapshots: Path) -> Iterator[list[Path]]:
    """Copies of `folder` as a kill would leave it, before every touch of a file in it inside the `with`."""
    kept: list[Path] = []

    def touched(path: Path) -> None:
        if folder in path.parents:
            kept.append(snapshots / f"{len(kept):04d}")
            if folder.exists():
                shutil.copytree(folder, kept[-1])
            else:
                kept[-1].mkdir(parents=True)

    _watch.touched = touched
    try:
        yield kept
    finally:
        _watch.touched = None


def heed_interrupts() -> None:
    """As in a terminal: a process that a script starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def stored_pack(folder: Path) -> Pack:
    """`made_pack` on the disk, as `--data` takes it."""
    pack = made_pack()
    folder.mkdir(parents=True)
    np.save(folder / "pixels.npy", pack.pixels)
    np.save(folder / "keypoints.npy", pack.keypoints)
    index = np.stack([pack.character, pack.view, pack.clip], axis=1).astype(np.int32)
    np.save(folder / "index.npy", index)
    names = {"names": list(pack.names), "splits": list(pack.splits), "tags": list(pack.tags)}
    digests = {"digest": pack.digest, "pixel_digest": pack.pixel_digest}
    write_json(folder / "pack.json", {"schema": 1, **digests, "image_size": pack.image_size, **names})
    return open_pack(folder)


def bench_run(
    arguments: list[str], steps: int, step_seconds: float, checkpoint_seconds: float, began: Event, poison: int
) -> None:
    """`bench run` of the README's example: `steps` training steps of at least `step_seconds`.

    Features are mean colours, so no weights are needed. `began` is set at the first step; the loss of step `poison`
    is NaN.
    """
    import bench.cells
    import bench.metrics.features
    import bench.presets
    import bench.run
    from bench.cli import main
    from bench.train import train
    from tests.test_run import MeanColours

    heed_interrupts()
    torch.set_num_threads(1)
    real_step = Plain.train_step

    def slow_step(self: Plain, batch: Any, progress: Any) -> dict[str, torch.Tensor]:
        began.set()
        time.sleep(step_seconds)
        losses = real_step(self, batch, progress)
        return {"l1": torch.tensor(float("nan"))} if progress.step == poison else losses

    Plain.train_step = slow_step  # type: ignore[method-assign]
    bench.cells.extractor_identity = lambda name: {"name": MeanColours.name, "sha256": MeanColours.sha256}  # type: ignore[assignment]
    bench.cells.lpips_identity = lambda: None  # type: ignore[assignment]
    bench.metrics.features.Extractor = MeanColours  # type: ignore[assignment,misc]
    bench.run.train = partial(train, checkpoint_seconds=checkpoint_seconds)  # type: ignore[attr-defined]
    smoke = replace(bench.presets.PRESETS["smoke"], pairs=2 * steps, default_batch=2)
    bench.presets.PRESETS["smoke"] = smoke
    method = ["--method", "tests.example_method:Plain", "--preset", "smoke", "--device", "cpu", "-q"]
    sys.argv = ["bench", "run", *method, *arguments]
    main()
