"""How a data set came to be, and so by which command its owner mends it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.files import read_json

MAKE, RENDER, IMPORT = "bench data make", "bench data render", "bench data import"

TRACES = ("manifest.json", "render.json", "pixels.npy", "characters")
"""What any of them leaves in a folder, be it stopped halfway."""


def made_by(folder: Path) -> str:
    """The command that made the data set in `folder`, whole or not; `bench data make` where nothing says otherwise."""
    try:
        kind = read_json(folder / "manifest.json")["recipe"].get("kind")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        kind = None  # no manifest yet, or none that can be read
    if kind == "avatars" or (folder / "render.json").exists():
        return RENDER
    # an import puts its pack beside the characters, the suite's own data keep it elsewhere
    return IMPORT if kind == "imported" or (folder / "pixels.npy").exists() else MAKE


def how_to_make(folder: Path) -> str:
    """What to do about a folder without a whole data set: the command that began it, or what makes one at all."""
    if (folder / "pack.json").exists() and not (folder / "manifest.json").exists():
        whole = folder.resolve().parent.parent / "data" / folder.resolve().name.partition("-")[0]
        if (whole / "manifest.json").exists():
            return f"it is the pack of {whole}: name that folder"
    if any((folder / name).exists() for name in TRACES):
        return f"run `{made_by(folder)}`"
    return f"make one with `{IMPORT}` (pictures), `{RENDER}` (avatars) or `{MAKE}` (the suite's own)"


@dataclass(frozen=True)
class Remedy:
    """What a fault's owner is told to do."""

    file: str  # where a file is damaged or missing
    whole: str  # where the set does not fit together

    @classmethod
    def of(cls, folder: Path) -> Remedy:
        """Rendered sets make what is missing once the manifest is gone; an import starts anew."""
        command = made_by(folder)
        if command == IMPORT:
            again = f"import the pictures again into a new folder with `{command}`"
            return cls(again, again)
        again = f"run {'the same ' if command == RENDER else ''}`{command}` again"
        return cls(f"delete the file and manifest.json and {again}", f"delete manifest.json and {again}")
