"""What is wrong with what was brought, collected so that all of it is told at once."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import DataError

LISTED = 50  # faults that are printed; more are counted
LONGEST_LINE = 400  # characters
LARGEST_JSON = 1 << 30  # bytes


def printable(text: str) -> str:
    """`text` with control characters, lone surrogates and the like escaped: names come from files of anybody."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


@dataclass
class Faults:
    """Faults so far. One of a picture can be cured by leaving the picture out; one without cannot."""

    lines: list[str] = field(default_factory=list)
    pictures: set[str] = field(default_factory=set)  # keys of pictures with a fault
    fatal: int = 0
    _told: set[str] = field(default_factory=set)

    def add(self, text: str, picture: str | None = None) -> None:
        """A fault and its fix, on one line."""
        line = printable(text if picture is None else f"{picture}: {text}")
        line = line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
        if line not in self._told:
            self._told.add(line)
            self.lines.append(line)
        if picture is None:
            self.fatal += 1
        else:
            self.pictures.add(picture)


def listed(lines: Iterable[str]) -> list[str]:
    """The first LISTED lines, and how many more there are."""
    lines = list(lines)
    more = len(lines) - LISTED
    return [*lines[:LISTED], f"… and {more} more"] if more > 0 else lines


def is_regular(path: Path) -> bool:
    """Whether a path is a file that can be read without waiting: no pipe, no device, no dangling link."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_json_of_anybody(path: Path) -> Any:
    """JSON that may be broken or hostile; raises DataError, one line."""
    try:
        if not is_regular(path):
            raise DataError(f"{printable(path.name)}: not a file")
        if path.stat().st_size > LARGEST_JSON:
            raise DataError(f"{printable(path.name)}: larger than {LARGEST_JSON >> 20} MiB; split it by character")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise DataError(f"{printable(path.name)}: no readable JSON ({printable(str(error))})") from error
