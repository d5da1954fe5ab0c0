"""JSON of unknown make, read with a check at every step: a wrong value is a DataError that says where it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from bench.errors import DataError

LONGEST_TEXT = 200  # characters of a name, an author, a licence


class Field:
    """A JSON value and where in the document it stands (`nodes[3].rotation`)."""

    def __init__(self, value: Any, place: str) -> None:
        self.value, self.place = value, place

    def fault(self, what: str) -> DataError:
        """The error that this value is `what`."""
        return DataError(f"{self.place or 'the document'} is {what}; export the file again")

    def get(self, key: str) -> Field | None:
        """A member of this object, None where it is not given; raises DataError if this is no object."""
        if not isinstance(self.value, dict):
            raise self.fault("not an object")
        if self.value.get(key) is None:
            return None
        return Field(self.value[key], f"{self.place}.{key}".removeprefix("."))

    def at(self, *keys: str) -> Field:
        """The member under nested keys; raises DataError where one is missing."""
        found = self
        for key in keys:
            inner = found.get(key)
            if inner is None:
                raise DataError(f"{found.place}.{key}".removeprefix(".") + " is missing; export the file again")
            found = inner
        return found

    def find(self, *keys: str) -> Field | None:
        """The member under nested keys, None where one is not given."""
        found: Field | None = self
        for key in keys:
            found = None if found is None else found.get(key)
        return found

    def members(self) -> dict[str, Field]:
        """All members of this object."""
        if not isinstance(self.value, dict):
            raise self.fault("not an object")
        return {key: Field(value, f"{self.place}.{key}") for key, value in self.value.items()}

    def items(self, key: str, most: int | None = None) -> list[Field]:
        """The list under `key`, empty where it is not given; raises DataError when longer than `most`."""
        listed = self.get(key)
        if listed is None:
            return []
        if not isinstance(listed.value, list):
            raise listed.fault("not a list")
        if most is not None and len(listed.value) > most:
            raise listed.fault(f"a list of {len(listed.value)}, more than the {most} that are read")
        return list(listed)

    def __iter__(self) -> Iterator[Field]:
        if not isinstance(self.value, list):
            raise self.fault("not a list")
        return (Field(value, f"{self.place}[{index}]") for index, value in enumerate(self.value))

    def integer(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self.value
        if isinstance(value, float) and value.is_integer():  # some exporters write 3.0
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(f"{_shown(self.value)} where a whole number from {low} to {high} is needed")
        return value

    def number(self, largest: float = 1e6) -> float:
        """A finite number of magnitude up to `largest`."""
        value = self.value
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= largest:
            raise self.fault(f"{_shown(value)} where a number up to ±{largest:g} is needed")
        return float(value)

    def numbers(self, *counts: int, largest: float = 1e6) -> list[float]:
        """A list of finite numbers, as many as one of `counts` says."""
        read = [field.number(largest) for field in self]
        if len(read) not in counts:
            raise self.fault(f"{len(read)} numbers where {' or '.join(map(str, counts))} are needed")
        return read

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fault(f"{_shown(self.value)} where true or false is needed")
        return self.value

    def text(self) -> str:
        """One line of text without control characters, cut at LONGEST_TEXT: it is printed on terminals."""
        if not isinstance(self.value, str):
            raise self.fault(f"{_shown(self.value)} where text is needed")
        return one_line(self.value)


def one_line(text: str) -> str:
    """Text that is safe to print: control and unpaired surrogate characters become spaces; cut at LONGEST_TEXT."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * LONGEST_TEXT])
    return " ".join(printable.split())[:LONGEST_TEXT]


def parse(content: bytes, what: str) -> Field:
    """JSON bytes as a field; raises DataError when they are not JSON."""
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise DataError(f"{what} is not readable JSON ({one_line(str(error))}); export the file again") from error
    return Field(value, "")


def _shown(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "not a finite number"
    if isinstance(value, dict | list):
        return "a list or an object"
    if isinstance(value, int) and abs(value) > 1 << 64:
        return "an enormous number"  # thousands of digits may not even be printable
    return one_line(repr(value))[:40]
