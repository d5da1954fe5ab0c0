"""The pictures of a folder: one folder a character, images directly in it. Nothing outside of the folder is read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.data.imports.faults import Faults, is_regular

SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")
LONGEST_NAME = 150  # bytes of a character's name, which becomes a file's
FORBIDDEN = set('/\\:*?"<>|,')  # in file names of some system, or in the CSV of scores


@dataclass(frozen=True)
class Picture:
    """An image of a character."""

    character: str
    path: Path

    @property
    def key(self) -> str:
        """`character/file`, as annotations name it."""
        return f"{self.character}/{self.path.name}"


@dataclass
class Found:
    """What a folder holds."""

    root: Path
    pictures: dict[str, list[Picture]] = field(default_factory=dict)  # by character, in natural order
    json_files: list[Path] = field(default_factory=list)  # in the folder and in those of the characters
    ignored: list[str] = field(default_factory=list)  # files that are neither

    def __iter__(self) -> Iterator[Picture]:
        return (picture for pictures in self.pictures.values() for picture in pictures)


def natural(name: str) -> tuple[object, ...]:
    """A sort key by which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", unicodedata.normalize("NFC", name).casefold())
    return (*(int(part) if index % 2 else part for index, part in enumerate(parts)), name)


def find_pictures(root: Path, faults: Faults) -> Found:
    """Every picture below `root`; what is in the wrong place or leads out of it is a fault."""
    found = Found(root)
    inside = root.resolve()
    seen: dict[str, str] = {}
    for entry in _entries(root):
        if not _stays_inside(entry, inside):
            faults.add(f"{entry.name}: a link that leads out of the folder; copy what it points to")
        elif entry.is_dir():
            if fault := _name_fault(entry.name, seen):
                faults.add(fault)
            else:
                _read_character(entry, inside, found, faults)
        elif entry.suffix.lower() in SUFFIXES:
            faults.add(f"{entry.name}: an image outside of any folder; put it into one named after its character")
        elif entry.suffix.lower() == ".json":
            found.json_files.append(entry)
        else:
            found.ignored.append(entry.name)
    if not found.pictures and not faults.lines:
        faults.add(f"{root.name}: no images; put those of each character into a folder of its own")
    return found


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, in natural order, without what systems hide in it."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
    return sorted(entries, key=lambda entry: natural(entry.name))


def _stays_inside(path: Path, inside: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(inside)
    except (OSError, RuntimeError):  # dangling, or a circle of links
        return False


def _name_fault(name: str, seen: dict[str, str]) -> str:
    """Why a folder's name cannot be a character's; empty if it can."""
    plain = unicodedata.normalize("NFC", name).casefold()
    if plain in seen:
        return f"{name}: on some systems the same name as {seen[plain]}; rename one of them"
    seen[plain] = name
    bad = (
        not name.isprintable() or FORBIDDEN & set(name) or name != name.strip(" .") or len(name.encode()) > LONGEST_NAME
    )
    if not bad:
        return ""
    return f"{name}: a name that cannot be a file's everywhere; rename the folder to letters, digits, - and _"


def _read_character(folder: Path, inside: Path, found: Found, faults: Faults) -> None:
    pictures, stems = [], dict[str, str]()
    for entry in _entries(folder):
        name = f"{folder.name}/{entry.name}"
        if not _stays_inside(entry, inside):
            faults.add("a link that leads out of the folder; copy the file", name)
        elif entry.is_dir():
            faults.add(f"{name}: a folder in a character's folder; images lie directly in that")
        elif entry.suffix.lower() == ".json":
            found.json_files.append(entry)
        elif entry.suffix.lower() not in SUFFIXES:
            found.ignored.append(name)
        elif not is_regular(entry):
            faults.add("not a file", name)
        elif (stem := entry.stem.casefold()) in stems:
            faults.add(f"another image of the name {stems[stem]}; rename one of them", name)
        else:
            stems[stem] = entry.name
            pictures.append(Picture(folder.name, entry))
    if pictures:
        found.pictures[folder.name] = pictures
    else:
        faults.add(f"{folder.name}: a character without images; add some or remove the folder")
