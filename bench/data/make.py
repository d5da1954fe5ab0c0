"""Make a procedural data set: every character in its own process slot, resumable at any point."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
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
from bench.errors import DataError
from bench.workers import in_processes

FrameSource = Callable[[Recipe, int], CharacterFrames]
"""(recipe, character seed) -> its frames. Must be importable by name when several processes work."""
OnProgress = Callable[[int, int], None]
"""(characters done, characters in all)."""


def _ignore(done: int, total: int) -> None:
    return


def _make_character(folder: Path, recipe: Recipe, source: FrameSource, seed: int) -> tuple[str, CharacterEntry]:
    """One character: taken from the disk if it is there and whole, else rendered and written."""
    name = character_name(seed)
    path = folder / "characters" / f"{name}.zip"
    if path.exists():
        try:
            return name, entry_of(path)
        except DataError:
            path.unlink()  # damaged since it was written: files are renamed into place whole
    return name, write_character(path, source(recipe, seed))


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
    work = partial(_make_character, folder, recipe, source)
    for name, entry in in_processes(work, recipe.all_seeds(), min(workers, total)):
        made[name] = entry
        on_progress(len(made), total)
    entries = {name: made[name] for name in sorted(made)}
    finish_dataset(folder, recipe.image_size, recipe.split(), entries, recipe.as_json(), recipe.digest)
