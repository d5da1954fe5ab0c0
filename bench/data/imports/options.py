"""What a user chooses of an import, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.imports.faults import listed
from bench.data.imports.labels import KINDS
from bench.errors import DataError, UsageError, unknown
from bench.pose.detector import THRESHOLD

JOINTS = ("auto", *KINDS, "detect")


@dataclass(frozen=True)
class ImportOptions:
    """What a user can choose."""

    size: int = 64  # pixels a side
    joints: str = "auto"  # of JOINTS
    annotations: Path | None = None  # a file of joints, wherever it lies; None: those in the folder
    detector: str = "movenet"
    threshold: float = THRESHOLD  # detector's score from which a joint is present
    source: str = ""  # a pattern that the file of each character's front view matches
    split: str = ""  # a .json file, or shares; empty: the folder's split.json, or seeded 0.8,0.1,0.1
    seed: int = 0
    fill_views: bool = True  # let other pictures stand in for views that training characters lack
    skip_faulty: bool = False  # leave pictures with a fault out instead of giving up

    def check(self) -> None:
        """Raises UsageError for what makes no sense."""
        if self.joints not in JOINTS:
            raise unknown("source of joints", self.joints, JOINTS)
        if self.size % 32 or not 32 <= self.size <= 1024:
            raise UsageError(f"--size {self.size}: give a multiple of 32 from 32 to 1024")
        if not 0 < self.threshold < 1:
            raise UsageError(f"--threshold {self.threshold}: give a score between 0 and 1")
        if self.annotations is not None and not self.annotations.is_file():
            raise UsageError(f"--annotations {self.annotations}: no such file")


class ImportFaults(DataError):
    """Nothing was imported; `faults` are all lines."""

    def __init__(self, source: str, faults: list[str]) -> None:
        self.faults = faults
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        super().__init__("\n  ".join([f"{source}: {count}, nothing imported", *listed(faults)]))


@dataclass(frozen=True)
class Imported:
    """What was made."""

    folder: Path
    digest: str
    characters: dict[str, int]  # by split
    frames: int
    joints: dict[str, Any]  # where they come from
    notes: list[str]  # what a user should know
    skipped: list[str]  # faults of pictures that were left out
