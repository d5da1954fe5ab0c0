"""A folder of pictures -> a data set in the suite's layout and its pack, whole or not at all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bench.data.check import check
from bench.data.imports.faults import Faults, printable
from bench.data.imports.folder import Found, find_pictures
from bench.data.imports.joints import JointSource
from bench.data.imports.options import Imported, ImportFaults, ImportOptions
from bench.data.imports.picture import decode_picture, fitted, moved
from bench.data.imports.roles import Role, Roles, assign_roles, size_faults, split_characters
from bench.data.layout import CharacterEntry, CharacterFrames, FrameInfo, finish_dataset, write_character
from bench.data.pack import build_pack, open_pack
from bench.errors import DataError, UsageError
from bench.progress import Reporter

F32 = NDArray[np.float32]

TASKS_A_STEP = 4  # characters in a step of meta-training at `smoke` and `quick`
STAGING = ".importing"  # inside the target, so that nothing is ever written outside of it


@dataclass
class _Tally:
    """Counts over all pictures, for the notes and the metadata."""

    foreground: Counter[str] = field(default_factory=Counter)
    busy_border: list[str] = field(default_factory=list)
    enlarged: int = 0


def import_folder(source: Path, out: Path, options: ImportOptions, report: Reporter) -> Imported:
    """Import the folder `source` into the new folder `out`.

    Raises ImportFaults with every fault, UsageError, or WeightsMissing; then `out` is as it was before.
    """
    options.check()
    if not source.is_dir():
        raise UsageError(f"{source}: no such folder; unpack archives first")
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"--out {out} lies in {source}; choose a folder elsewhere")
    existed = out.is_dir()
    if out.exists() and (not existed or any(entry.name not in (STAGING, "lock") for entry in out.iterdir())):
        raise UsageError(f"--out {out} is there already; choose another name, or remove it first")
    out.mkdir(parents=True, exist_ok=True)
    staging, lock = out / STAGING, out / "lock"
    try:
        with FileLock(lock, timeout=0):
            shutil.rmtree(staging, ignore_errors=True)  # left by a killed call
            staging.mkdir()
            try:
                imported = _Import(source, options, report).into(staging)
                _move_into_place(staging, out)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except Timeout:
        raise UsageError(f"--out {out}: another import is writing it") from None
    except BaseException:
        lock.unlink(missing_ok=True)
        if not existed and not any(out.iterdir()):
            out.rmdir()
        raise
    lock.unlink(missing_ok=True)
    open_pack(out)
    return Imported(out, *imported)


def _move_into_place(staging: Path, out: Path) -> None:
    """The manifest and the pack's description last: without them there is no data set and no pack."""
    for file in sorted((staging / "pack").iterdir(), key=lambda path: path.name == "pack.json"):
        file.rename(staging / file.name)
    for name in ("characters", "split.json", "annotations.json", "pixels.npy", "keypoints.npy", "index.npy"):
        (staging / name).rename(out / name)
    for name in ("pack.json", "manifest.json"):
        (staging / name).rename(out / name)


class _Import:
    """One run: what it found, what is wrong, what it counts."""

    def __init__(self, source: Path, options: ImportOptions, report: Reporter) -> None:
        self.source, self.options, self.report = source, options, report
        self.faults, self.tally, self.notes = Faults(), _Tally(), list[str]()
        self._exact: dict[str, bool] = {}  # by picture: is its alpha its own

    def into(self, folder: Path) -> tuple[str, dict[str, int], int, dict[str, Any], list[str], list[str]]:
        """Write layout and pack; returns the fields of `Imported` after the folder."""
        found = find_pictures(self.source, self.faults)
        joints = JointSource(self.source, found, self.options, self.faults)
        labels = joints.labels.by_picture
        split = split_characters(list(found.pictures), self._split(found), self.options.seed, self.faults)
        training = set(split["train"])
        roles = {
            name: assign_roles(
                pictures, labels, self.options.source, self.options.fill_views and name in training, self.faults
            )
            for name, pictures in found.pictures.items()
        }  # fmt: skip
        entries: dict[str, CharacterEntry] = {}
        with self.report.task(f"import {len(roles)} characters") as task:
            for number, (name, assigned) in enumerate(roles.items()):
                character, kept = self._character(name, assigned, joints)
                if self.options.skip_faulty:
                    roles[name] = kept
                if character is not None and not self._hopeless:
                    entries[name] = write_character(folder / "characters" / f"{name}.zip", character)
                task.update(number + 1, len(roles))
        size_faults(split, roles, self.faults)
        if self._hopeless:
            raise ImportFaults(printable(self.source.name), self.faults.lines)
        self._note(found, roles, training, joints)
        recipe = {
            "kind": "imported",
            "name": self.source.resolve().name,
            "joints": joints.description,
            "foreground": dict(self.tally.foreground),
            "skipped": len(self.faults.pictures),
        }
        dataset = finish_dataset(folder, self.options.size, split, entries, recipe)
        build_pack(dataset, folder / "pack")
        self.notes += [f"check: {fault}" for fault in check(folder)]
        counts = {part: len(members) for part, members in split.items()}
        frames = sum(entry.frames for entry in entries.values())
        return dataset.digest, counts, frames, joints.description, self.notes, self.faults.lines

    @property
    def _hopeless(self) -> bool:
        """Whether faults were found that nothing can be imported with."""
        return bool(self.faults.fatal if self.options.skip_faulty else self.faults.lines)

    def _split(self, found: Found) -> str:
        own = next((path for path in found.json_files if path.name == "split.json" and path.parent == found.root), None)
        if self.options.split or own is None:
            return self.options.split
        self.notes.append("split: split.json of the folder")
        return str(own)

    def _character(self, name: str, assigned: Roles, joints: JointSource) -> tuple[CharacterFrames | None, Roles]:
        """The frames of a character and their roles; pictures with a fault are left out of both."""
        frames, images, kept = [], [], []
        times: Counter[str] = Counter()
        for role in assigned.pictures:
            made = self._frame(role, joints)
            if made is None:
                continue
            image, places = made
            clip = role.clip or ""
            frames.append(FrameInfo(role.view, role.clip, float(times[clip]) if clip else 0.0, places))
            images.append(image)
            kept.append(role)
            times[clip] += 1
        front = assigned.pictures[0]
        if self.options.skip_faulty and front not in kept:
            self.faults.add(
                f"{name}: its front view {front.picture.path.name} has a fault; without it there is no source"
            )
        roles = Roles(tuple(kept), assigned.front_by)
        tags: dict[str, object] = {"files": [role.picture.path.name for role in kept]}
        tags["foreground"] = "alpha" if all(self._exact[role.picture.key] for role in kept) else "non-white"
        if roles.stand_ins:
            tags["stand_in_views"] = roles.stand_ins
        return (CharacterFrames(name, tuple(frames), np.stack(images), None, tags) if images else None), roles

    def _frame(self, role: Role, joints: JointSource) -> tuple[NDArray[np.uint8], F32] | None:
        """A picture fitted, [size, size, 4], and its joints [17, 3] in that; None if it has a fault."""
        key = role.picture.key
        try:
            decoded = decode_picture(role.picture.path)
            places = joints.of(key, decoded)
        except DataError as error:
            self.faults.add(str(error), key)
            return None
        if key in self.faults.pictures:
            return None
        self._exact[key] = decoded.exact
        self.tally.foreground["alpha" if decoded.exact else "non-white"] += 1
        self.tally.enlarged += max(decoded.width, decoded.height) < self.options.size
        if not decoded.clear_border:
            self.tally.busy_border.append(key)
        image = fitted(decoded.rgba, self.options.size)
        if not image[..., 3].any():
            self.faults.add("a foreground too small to be seen at this --size", key)
            return None
        return image, moved(places, decoded.width, decoded.height, self.options.size)

    def _note(self, found: Found, roles: Mapping[str, Roles], training: set[str], joints: JointSource) -> None:
        """What a user should know of what was made of the pictures."""
        tally, notes = self.tally, self.notes
        first = [name for name, assigned in roles.items() if assigned.front_by == "first"]
        if first:
            shown = ", ".join(f"{name}/{roles[name].pictures[0].picture.path.name}" for name in first[:3])
            notes.append(
                f"the first image is taken as the front view (the source) of {len(first)} characters: {shown}"
                f"{', …' if len(first) > 3 else ''}; name it front, or give --source"
            )
        if tally.foreground["non-white"]:
            notes.append(
                f"{tally.foreground['non-white']} images have no alpha: what is not white counts as foreground"
            )
        if tally.busy_border:
            notes.append(
                f"{len(tally.busy_border)} images reach the border or have a background, {tally.busy_border[0]} among "
                "them; remove backgrounds, or foreground scores mean nothing"
            )
        standing = sum(bool(roles[name].stand_ins) for name in training)
        if standing:
            notes.append(
                f"{standing} training characters lack basic views; other images stand in for them as sources "
                "(--views named leaves them out)"
            )
        if joints.outside:
            notes.append(f"{joints.outside} joints outside of their image were marked absent")
        if joints.labels.crowded:
            notes.append(
                f"{len(joints.labels.crowded)} images have several people; the largest or most certain was taken"
            )
        if len(training) < TASKS_A_STEP:
            notes.append(f"{len(training)} training characters; a step of meta-training (Ours) takes {TASKS_A_STEP}")
        if tally.enlarged:
            notes.append(f"{tally.enlarged} images are smaller than {self.options.size} px and were enlarged")
        if found.ignored:
            notes.append(f"{len(found.ignored)} other files were left alone: {', '.join(found.ignored[:3])}")
        notes[:] = [printable(note) for note in notes]
