"""Make a procedural data set: every character in its own process slot, resumable at any point."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from filelock import FileLock

from bench.data.layout import (
    CharacterEntry,
    CharacterFrames,
    Dataset,
    entry_of,
    finish_dataset,
    open_dataset,
    write_character,
)
from bench.data.recipe import Recipe, character_name, render_character
from bench.errors import DataError, Interrupted

FrameSource = Callable[[Recipe, int], CharacterFrames]
"""(recipe, character seed) -> its frames. Must be importable by name when several processes work."""
OnProgress = Callable[[int, int], None]
"""(characters done, characters in all)."""


def _ignore(done: int, total: int) -> None:
    return


def _start_worker() -> None:
    """In a worker, before numba is imported."""
    os.environ["NUMBA_NUM_THREADS"] = "1"  # the processes already fill the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of a terminal's processes: the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's worker would wait for work forever when its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make_character(folder: Path, recipe: Recipe, seed: int, source: FrameSource) -> tuple[str, CharacterEntry]:
    """One character: taken from the disk if it is there and whole, else rendered and written."""
    name = character_name(seed)
    path = folder / "characters" / f"{name}.zip"
    if path.exists():
        try:
            return name, entry_of(path)
        except DataError:
            path.unlink()  # damaged since it was written: files are renamed into place whole
    return name, write_character(path, source(recipe, seed))


def _make_all(folder: Path, recipe: Recipe, workers: int, source: FrameSource) -> Iterator[tuple[str, CharacterEntry]]:
    seeds = recipe.all_seeds()
    if workers == 1:
        for seed in seeds:
            yield _make_character(folder, recipe, seed, source)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
        waiting = [pool.submit(_make_character, folder, recipe, seed, source) for seed in seeds]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BrokenProcessPool as error:
            raise Interrupted(
                "a process that made a character was killed, perhaps for want of memory; the same command goes on, "
                "with --workers 1 in less of it"
            ) from error
        finally:  # on an error or an interrupt, finish what runs and start nothing more
            for future in waiting:
                future.cancel()


def make_dataset(
    recipe: Recipe,
    root: Path,
    workers: int | None = None,
    on_progress: OnProgress = _ignore,
    source: FrameSource = render_character,
) -> Dataset:
    """The data set of `recipe` under `root/<digest>`, made as far as it is missing.

    A character is written to a temporary file and renamed, the manifest comes last: a killed call leaves no
    file that is taken for good, and the next one goes on where it stopped. Two calls at once wait for each
    other.
    `workers` is the number of processes, by default one a core.
    """
    folder = root / recipe.digest[:12]
    if not (folder / "manifest.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "manifest.json").exists():  # nobody made it while we waited
                _make_missing(folder, recipe, workers or os.cpu_count() or 1, on_progress, source)
    return open_dataset(folder)


def _make_missing(folder: Path, recipe: Recipe, workers: int, on_progress: OnProgress, source: FrameSource) -> None:
    total = len(recipe.all_seeds())
    for pattern in (".*", "characters/.*"):  # temporary files of a killed call; we hold the lock
        for leftover in folder.glob(pattern):
            leftover.unlink()
    made: dict[str, CharacterEntry] = {}
    on_progress(0, total)
    for name, entry in _make_all(folder, recipe, min(workers, total), source):
        made[name] = entry
        on_progress(len(made), total)
    entries = {name: made[name] for name in sorted(made)}
    finish_dataset(folder, recipe.image_size, recipe.split(), entries, recipe.as_json(), recipe.digest)
