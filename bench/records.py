"""A record: one JSON file that says everything about one scored cell. Tables are pure functions of records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files import read_json, write_json

SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """One cell's result and all that is needed to make it again."""

    schema: int
    key: str  # of the score stage
    cell: dict[str, Any]  # what was asked for
    title: str  # the row's name in a table
    kind: str  # "method" or "floor"
    build: dict[str, Any]  # options, width, batch, precision, parameters
    budget: dict[str, Any]
    data: dict[str, Any]  # digest, size, counts
    metrics: dict[str, Any]
    features: dict[str, Any]  # of FID: name, sha256, dim, n
    per_character: dict[str, dict[str, float]]
    finetune: dict[str, Any] | None
    notes: list[str]
    seconds: dict[str, float]
    environment: dict[str, Any]
    git: dict[str, Any]
    created: str
    command: str

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Record:
        """Raises DataError naming a missing or unknown field, or another schema."""
        if not isinstance(value, Mapping):
            raise DataError("a record is a JSON object")
        if value.get("schema") != SCHEMA:
            raise DataError(f"the record's schema is {value.get('schema')}, this suite reads {SCHEMA}")
        names = {field.name for field in fields(cls)}
        if missing := sorted(names - set(value)):
            raise DataError(f"the record lacks {', '.join(missing)}")
        if extra := sorted(set(value) - names):
            raise DataError(f"the record has unknown fields {', '.join(extra)}")
        return cls(**value)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def write_record(path: Path, record: Record) -> None:
    """Atomically; the same record written twice gives the same file."""
    write_json(path, record.to_dict())


def read_records(folder: Path) -> list[Record]:
    """Every record of a folder, by file name; a file that is none is a DataError naming it."""
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(Record.from_dict(read_json(path)))
        except (ValueError, DataError) as error:
            raise DataError(f"{path}: {error}") from error
    return records
