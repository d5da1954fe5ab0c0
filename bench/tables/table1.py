"""The paper's Table 1: the methods, 1-shot, then others and the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.paper_numbers import TABLE1
from bench.records import Record
from bench.render_table import Table
from bench.spec import FLOORS
from bench.tables.assemble import assemble
from bench.tables.compare import Tie
from bench.tables.lines import Line, Section, Slot, command_of, fill, left_out
from bench.tables.rows import RowName, pool

BASELINES = ("patn", "pg2", "pix2pix", "xinggan")
METHODS = [
    *(Slot(TABLE1[name].title, RowName(name), TABLE1[name]) for name in BASELINES),
    Slot(TABLE1["ours"].title, RowName("ours", "", 1), TABLE1["ours"]),
    Slot(TABLE1["ours msl"].title, RowName("ours", "msl", 1), TABLE1["ours msl"]),
]
NOTHING = [Slot(title, RowName(name)) for name, title in FLOORS.items()]
MORE = "Further methods and settings"


def table1(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 1 of `records`; rows that it does not have stand in a block of their own, in the order given.

    Several seeds of a row are pooled. `missing` says why a row, by title, has no record. Raises DataError for no
    records, for two records of one row and seed, and for records whose data, FID features, N or preset differ:
    such numbers are never put side by side.
    """
    rows, reasons = pool(records), missing or {}
    slots = [*METHODS, *NOTHING]
    named = {slot.name for slot in slots}
    more = [Line.of(row) for row in rows if row.name not in named]
    more += left_out(reasons, more, slots)
    command = command_of("table1", records[0])
    sections = [Section("methods", "", fill(METHODS, rows, reasons, command))]
    if more:
        sections.append(Section("more", MORE, more))
    sections.append(Section("floors", "Without any training", fill(NOTHING, rows, reasons, command)))
    return assemble("Table 1", sections, tie)
