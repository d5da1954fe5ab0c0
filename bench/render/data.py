"""A table for other programs: CSV and JSON, with numbers in full."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from bench.render_table import Table, Value


def comma_separated(table: Table) -> str:
    """One line a row, numbers in full; half widths, bounds and spreads in columns of their own; footnotes as text."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = {column.key: _parts(table, column.key) for column in table.columns}
    names = [key if part == "number" else f"{key}_{part}" for key, found in parts.items() for part in found]
    writer.writerow(["block", "method", *names, "record", "notes"])
    for block, row in table.rows():
        line = [block.name, row.title]
        for key, found in parts.items():
            value = row.values.get(key)
            fields = {} if value is None else _fields(value)
            line += ["" if fields.get(part) is None else _exact(fields[part]) for part in found]
        writer.writerow([*line, row.record, "; ".join(table.footnotes[i] for i in row.footnotes)])
    return file.getvalue()


def _parts(table: Table, key: str) -> list[str]:
    """Which fields of a column hold anything in any row; the number, or the text for it, always."""
    used = {"number"}
    for _, row in table.rows():
        value = row.values.get(key)
        if value is not None:
            used |= {name for name, found in _fields(value).items() if found is not None}
    return [name for name in ("number", "half_width", "low", "high", "spread") if name in used]


def _fields(value: Value) -> dict[str, float | str | None]:
    low, high = value.bounds or (None, None)
    number = value.text or value.number
    return {"number": number, "half_width": value.half_width, "low": low, "high": high, "spread": value.spread}


def _exact(value: float | str | None) -> str:
    return value if isinstance(value, str) else repr(value)


def json_text(table: Table) -> str:
    return json.dumps(as_dict(table), indent=1, ensure_ascii=False, allow_nan=False)


def as_dict(table: Table) -> dict[str, Any]:
    """Plain JSON. Footnotes are numbered from 1, as printed."""
    return {
        "title": table.title,
        "caption": table.caption,
        "facts": dict(table.facts),
        "columns": [
            {
                "key": column.key,
                "title": column.title,
                "detail": column.detail,
                "digits": column.digits,
                "footnotes": [index + 1 for index in column.footnotes],
            }
            for column in table.columns
        ],
        "rows": [
            {
                "block": block.name,
                "method": row.title,
                "record": row.record,
                "values": {key: _plain(value) if value else None for key, value in row.values.items()},
                "footnotes": [index + 1 for index in row.footnotes],
                **row.facts,
            }
            for block, row in table.rows()
        ],
        "footnotes": list(table.footnotes),
    }


def _plain(value: Value) -> dict[str, Any]:
    """Its fields; those that few values have only where they are."""
    rare: dict[str, Any] = {"text": value.text} if value.text else {}
    if value.bounds is not None:
        rare |= {"low": value.bounds[0], "high": value.bounds[1]}
    if value.spread is not None:
        rare["spread"] = value.spread
    return {"number": value.number, "half_width": value.half_width, "best": value.best, **rare}
