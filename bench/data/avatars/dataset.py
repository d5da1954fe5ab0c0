"""A folder of avatars as a data set and its pack in one folder, made as far as it is missing.

Beside the files of `data.layout` and `data.pack` the folder holds `render.json`, written first: the options it
is made with. A character's file is taken for good only if it says that it was made of the same avatar, the same
motions, the same options and the same code.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.data.avatars.render import MotionFile, Shots, meta_tags, render_avatar
from bench.data.avatars.sources import (
    DEFAULT_SPLIT,
    AvatarFile,
    find_avatars,
    find_motions,
    nothing_left,
    share_motions,
    shares,
    split_of,
)
from bench.data.avatars.vrm import read_vrm
from bench.data.layout import (
    SPLITS,
    UNREADABLE,
    CharacterEntry,
    entry_of,
    finish_dataset,
    open_character,
    open_dataset,
    read_frames,
    write_character,
)
from bench.data.pack import Pack, build_pack, open_pack
from bench.data.recipe import generator_version
from bench.errors import DataError, UsageError
from bench.files import digest_of, read_json, write_json
from bench.source import source_hash
from bench.workers import in_processes

PACK_FILES = ("pixels.npy", "keypoints.npy", "index.npy", "pack.json")  # the last completes it

OnProgress = Callable[[int, int], None]


@cache
def avatar_version() -> str:
    """A hash of the code that draws avatars: this package and the renderer."""
    modules = sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem != "__init__")
    return digest_of(
        {"avatars": source_hash(f"bench.data.avatars.{m}" for m in modules), "render": generator_version()}
    )


@dataclass(frozen=True)
class Rendered:
    """What came of a folder of avatars."""

    pack: Pack
    skipped: Mapping[str, str]  # file -> why it cannot be used
    notes: tuple[str, ...] = ()  # what a reader of scores on these data should know


def _character(
    folder: Path, shots: Shots, task: tuple[AvatarFile, Sequence[MotionFile]]
) -> tuple[AvatarFile, CharacterEntry | str]:
    """The manifest line of an avatar with its motions, rendered unless it is there, or why it cannot be."""
    avatar, motions = task
    path = folder / "characters" / f"{avatar.name}.zip"
    made_of = digest_of(
        {"avatar": avatar.sha256, "motions": [m.sha256 for m in motions], "code": avatar_version(), **asdict(shots)}
    )
    if path.exists():
        try:
            if read_frames(open_character(path))[0]["tags"]["made_of"] == made_of:
                return avatar, entry_of(path)
        except (DataError, *UNREADABLE):
            pass  # damaged since it was written: made again
        path.unlink()
    try:
        read = read_vrm(avatar.path, shots.largest_texture)
        tags = {"file": avatar.file, "sha256": avatar.sha256, **meta_tags(read.meta), "made_of": made_of}
        character = render_avatar(avatar.name, read.model, shots, motions, avatar.sha256, tags)
    except DataError as error:
        return avatar, str(error)
    return avatar, write_character(path, character)


def render_folder(
    avatars: Path,
    motions: Path | None,
    out: Path,
    shots: Shots,
    split: str = DEFAULT_SPLIT,
    workers: int | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Rendered:
    """Render all avatars below a folder into the data set and pack `out`.

    Files that cannot be used are skipped and named in the result. Raises DataError when none can be used,
    UsageError when `out` holds something else. A killed call leaves nothing that is taken for good; the next
    one goes on where it stopped, also after avatars were added, mended or removed.
    """
    if split not in SPLITS:
        shares(split)
    skipped: dict[str, str] = {}
    usable_motions = find_motions(motions, skipped)
    found = find_avatars(avatars, skipped)
    if not found:
        raise DataError(nothing_left(f"{avatars}: no avatar that can be used (.vrm)", skipped))
    options = {**asdict(shots), "split": split, "motions": {m.name: m.sha256 for m in usable_motions}}
    recipe = {
        "kind": "avatars",
        **options,
        "code": avatar_version(),
        "avatars": {avatar.file: avatar.sha256 for avatar in found},
    }
    _claim(out, options)
    with FileLock(out / "lock"):
        done = _finished(out, recipe)
        if done is not None:
            return done
        for file in ("pack.json", "manifest.json"):  # in this order: nothing half-made is taken for whole
            (out / file).unlink(missing_ok=True)
        return _render_missing(out, found, usable_motions, shots, split, recipe, skipped, workers, on_progress)


def _claim(out: Path, options: Mapping[str, Any]) -> None:
    """Make `out` a folder for data of these options; raises UsageError when it holds something else."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: not a folder")
    if (out / "render.json").exists():
        try:
            held = read_json(out / "render.json")
        except ValueError:
            held = {}
        different = [key for key in options if not isinstance(held, dict) or held.get(key) != options[key]]
        if different:
            raise UsageError(
                f"--out {out}: holds avatars rendered with another {', '.join(different)}; name another folder, "
                "or delete this one"
            )
        return
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"--out {out}: holds other files; name a new or an empty folder")
    write_json(out / "render.json", dict(options))


def _finished(out: Path, recipe: Mapping[str, Any]) -> Rendered | None:
    """What `out` holds if it is complete and just this."""
    try:
        manifest = read_json(out / "manifest.json")["recipe"]
        outcome = {key: manifest.pop(key) for key in ("skipped", "motions_of", "notes")}
        if manifest != recipe:
            return None
        return Rendered(open_pack(out), outcome["skipped"], tuple(outcome["notes"]))
    except (DataError, OSError, KeyError, TypeError, ValueError):
        return None


def _render_missing(
    out: Path,
    found: Sequence[AvatarFile],
    motions: Sequence[MotionFile],
    shots: Shots,
    split: str,
    recipe: Mapping[str, Any],
    skipped: dict[str, str],
    workers: int | None,
    on_progress: OnProgress,
) -> Rendered:
    """Render what is missing, then finish the data set and its pack. The caller holds the lock."""
    wanted = {f"{avatar.name}.zip" for avatar in found}
    for leftover in out.glob("characters/*"):  # of a killed call, and of avatars that are gone
        if leftover.name not in wanted:
            leftover.unlink()
    usable = list(found)
    while usable:  # again where some cannot be drawn: who is left decides the split, and so the motions
        parts = split_of(usable, split, shots.seed)
        motions_of, notes = share_motions(motions, parts, shots.seed)
        part_of = {name: part for part, names in parts.items() for name in names}
        tasks = [(avatar, motions_of[part_of[avatar.name]]) for avatar in usable]
        made, faulty = _rendered(out, shots, tasks, workers, on_progress)
        if not faulty:
            break
        skipped |= {avatar.file: reason for avatar, reason in faulty}
        usable = [avatar for avatar in usable if avatar.file not in skipped]
    skipped = dict(sorted(skipped.items()))
    if not usable:
        raise DataError(nothing_left("no avatar can be used", skipped))
    outcome = {
        "skipped": skipped,
        "motions_of": {part: [motion.name for motion in motions_of[part]] for part in SPLITS if parts[part]},
        "notes": notes,
    }
    entries = {name: made[name] for name in sorted(made)}
    finish_dataset(out, shots.image_size, parts, entries, {**recipe, **outcome})
    return Rendered(_packed(out), skipped, tuple(notes))


def _rendered(
    out: Path,
    shots: Shots,
    tasks: Sequence[tuple[AvatarFile, Sequence[MotionFile]]],
    workers: int | None,
    on_progress: OnProgress,
) -> tuple[dict[str, CharacterEntry], list[tuple[AvatarFile, str]]]:
    """Manifest lines by character, and the avatars that cannot be drawn with the reason."""
    made: dict[str, CharacterEntry] = {}
    faulty: list[tuple[AvatarFile, str]] = []
    on_progress(0, len(tasks))
    processes = min(workers or os.cpu_count() or 1, len(tasks))
    for number, (avatar, result) in enumerate(in_processes(partial(_character, out, shots), tasks, processes), start=1):
        if isinstance(result, str):
            faulty.append((avatar, result))
        else:
            made[avatar.name] = result
        on_progress(number, len(tasks))
    return made, faulty


def _packed(out: Path) -> Pack:
    """The pack of the complete data set in `out`, in the same folder."""
    apart = out / "packed"
    for leftover in (apart, apart.with_name("packed.building")):
        shutil.rmtree(leftover, ignore_errors=True)
    build_pack(open_dataset(out), apart)  # its arrays are closed again before they are moved
    for file in PACK_FILES:
        (apart / file).replace(out / file)
    apart.rmdir()
    apart.with_name("packed.lock").unlink(missing_ok=True)
    return open_pack(out)
