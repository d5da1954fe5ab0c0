"""Finding avatars and motions in folders, and dividing characters among splits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.avatars.render import MOTIONS, MotionFile, performance
from bench.data.layout import SPLITS
from bench.errors import DataError, UsageError
from bench.seeds import derive

DEFAULT_SPLIT = "80,10,10"


@dataclass(frozen=True)
class AvatarFile:
    """An avatar on the disk."""

    path: Path
    file: str  # relative to the folder of avatars
    sha256: str
    name: str  # of the character it becomes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files below `folder` of these suffixes, in order; raises UsageError when there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    wanted = set(suffixes)
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in wanted and p.is_file())


def find_avatars(folder: Path, skipped: dict[str, str]) -> list[AvatarFile]:
    """The avatars below a folder. A second file of the same content is skipped: it may land in another split."""
    seen: dict[str, str] = {}
    found: list[tuple[Path, str, str]] = []
    for path in _files(folder, [".vrm"]):
        file = path.relative_to(folder).as_posix()
        try:
            sha256 = _sha256(path)
        except OSError as error:
            skipped[file] = f"cannot be read ({error.strerror})"
            continue
        if sha256 in seen:
            skipped[file] = f"the same file as {seen[sha256]}"
            continue
        seen[sha256] = file
        found.append((path, file, sha256))
    plain = {file: re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-") or "avatar" for path, file, _ in found}
    often = Counter(name.lower() for name in plain.values())  # case makes no other file everywhere
    return [
        AvatarFile(path, file, sha, plain[file] if often[plain[file].lower()] == 1 else f"{plain[file]}-{sha[:8]}")
        for path, file, sha in found
    ]


def find_motions(folder: Path | None, skipped: dict[str, str]) -> list[MotionFile]:
    """The usable clips below a folder; raises DataError when it is given and has none."""
    if folder is None:
        return []
    usable, hashes = [], set()
    for path in _files(folder, MOTIONS):
        file = path.relative_to(folder).as_posix()
        try:
            motion = MotionFile(path, file, _sha256(path))
            performance(motion.path, motion.sha256)
        except DataError as error:
            skipped[file] = str(error)
        except OSError as error:
            skipped[file] = f"cannot be read ({error.strerror})"
        else:
            if motion.sha256 in hashes:
                skipped[file] = "the same file as another clip"
            else:
                usable.append(motion)
                hashes.add(motion.sha256)
    if not usable:
        raise DataError(nothing_left(f"{folder}: no motion that can be used (.bvh, .vrma)", skipped))
    return usable


def nothing_left(what: str, skipped: Mapping[str, str]) -> str:
    """The error that lists why each file cannot be used."""
    return "\n".join([what, *(f"  {file}: {reason}" for file, reason in skipped.items())])


def split_of(avatars: Sequence[AvatarFile], how: str, seed: int) -> dict[str, list[str]]:
    """Character names by split: all in one ("test"), or shares of train, validation and test ("80,10,10").

    Who goes where depends on each file's content and the seed alone. With shares, no split that has a share
    stays empty as long as there are characters: test is served first, then train.
    """
    names = [avatar.name for avatar in sorted(avatars, key=lambda a: derive("split", seed, a.sha256))]
    if how in SPLITS:
        return {part: sorted(names) if part == how else [] for part in SPLITS}
    share_of = shares(how)
    total = sum(share_of.values())
    counts = {part: int(len(names) * share / total) for part, share in share_of.items()}
    served = [part for part in ("test", "train", "validation") if share_of[part]]
    for part in served:
        counts[part] = max(counts[part], 1)
    while sum(counts.values()) > len(names):  # taken from the fullest; of equal ones, from the last served
        counts[max(reversed(served), key=lambda part: counts[part])] -= 1
    while sum(counts.values()) < len(names):
        counts[max(served, key=lambda part: len(names) * share_of[part] / total - counts[part])] += 1
    split, at = {}, 0
    for part in SPLITS:
        split[part] = sorted(names[at : at + counts[part]])
        at += counts[part]
    return split


def shares(how: str) -> dict[str, int]:
    """Shares by split of "80,10,10"; raises UsageError for anything else."""
    parts = how.split(",")
    if len(parts) != len(SPLITS) or not all(part.strip().isdecimal() for part in parts) or not any(map(int, parts)):
        raise UsageError(f"--split {how}: write one of {', '.join(SPLITS)}, or three shares of these as in 80,10,10")
    return {part: int(share) for part, share in zip(SPLITS, parts, strict=True)}


def share_motions(
    motions: Sequence[MotionFile], split: Mapping[str, Sequence[str]], seed: int
) -> tuple[dict[str, list[MotionFile]], list[str]]:
    """The motions of each split, disjoint as far as they go, and notes on what they do not suffice for.

    Every split that has characters gets two, one for each clip, or one if there are no more; a further one goes where
    there are fewest a character. With fewer than one a split, training and validation share, and in need all. Names of
    files decide nothing, their content and the seed do.
    """
    order = sorted(motions, key=lambda motion: derive("motions of splits", seed, motion.sha256))
    held = {part: len(split[part]) for part in SPLITS if split[part]}
    if not motions or len(held) < 2:
        return {part: list(motions) for part in SPLITS}, []
    if len(motions) < len(held):
        return _shared(order, held)
    counts = dict.fromkeys(held, 2 if len(motions) >= 2 * len(held) else 1)
    while sum(counts.values()) < len(motions):
        counts[min(held, key=lambda part: counts[part] / held[part])] += 1
    found, at = dict[str, list[MotionFile]](), 0
    for part in SPLITS:
        found[part] = order[at : at + counts.get(part, 0)]
        at += counts.get(part, 0)
    halved = [part for part in held if counts[part] == 1]
    if not halved:
        return found, []
    note = f"{len(motions)} motions for {len(held)} splits: clips A and B are halves of one in {', '.join(halved)}"
    return found, [f"{note}; {2 * len(held)} motions would keep them apart"]


def _shared(order: Sequence[MotionFile], held: Mapping[str, int]) -> tuple[dict[str, list[MotionFile]], list[str]]:
    """Too few motions for every split to have its own."""
    enough = f"give at least {len(held)} motions, better {2 * len(held)}"
    if len(order) == 2:
        found = {part: [order[0] if part == "test" else order[1]] for part in SPLITS}
        return found, [f"2 motions for 3 splits: train and validation share one, test has its own; {enough}"]
    several = ", ".join(held)
    note = f"{len(order)} motion for {len(held)} splits: {several} share it, so tests show no unseen motion; {enough}"
    return {part: list(order) for part in SPLITS}, [note]
