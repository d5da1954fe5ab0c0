"""The paper's Table 1: the methods, 1-shot, then others and the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.paper_numbers import TABLE1
from bench.records import Record, refuse_mixed
from bench.render_table import Table
from bench.spec import FLOORS
from bench.tables.assemble import assemble
from bench.tables.common import Line, Section, Tie, pool

ORDER = (("patn", ""), ("pg2", ""), ("pix2pix", ""), ("xinggan", ""), ("ours", ""), ("ours", "msl"))
MORE = "Further methods and settings"


def table1(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 1 of `records`; methods that are no row of it stand in a block of their own, in the order given.

    Several seeds of a row are pooled. `missing` says why a row, by title, has no record. Raises DataError for no
    records, for two records of one row and seed, and for records whose data, FID features, N or preset differ:
    such numbers are never put side by side.
    """
    refuse_mixed(records)
    pooled = pool(records)
    slots: dict[tuple[str, str], Record] = {}
    more: list[Record] = []
    for record in pooled:
        slot = _slot(record)
        if slot is None or slot in slots:
            more.append(record)
        else:
            slots[slot] = record
    preset = records[0].cell["preset"]

    def line(slot: tuple[str, str], title: str) -> Line:
        record = slots.get(slot)
        if record is not None:
            return Line.of(record)
        reason = (missing or {}).get(title, f"bench table1 --preset {preset} has not made it yet")
        return Line.missing(title, reason, TABLE1.get(" ".join(slot).strip()))

    sections = [Section("methods", "", [line(slot, TABLE1[" ".join(slot).strip()].title) for slot in ORDER])]
    if more:
        sections.append(Section("more", MORE, [Line.of(record) for record in more]))
    sections.append(Section("floors", "Without any training", [line((n, ""), title) for n, title in FLOORS.items()]))
    return assemble("Table 1", pooled, sections, tie)


def _slot(record: Record) -> tuple[str, str] | None:
    """The row of Table 1 a record is; None for other methods, shots, adaptations and ablations."""
    method, variant = str(record.cell["method"]), str(record.cell["variant"])
    if record.kind == "floor":
        return method, ""
    adaptation, shots = record.cell["adaptation"], record.cell["shots"]
    by_default = adaptation == "default" or adaptation == ("tuned" if record.finetune else "none")
    if method == "ours":
        fits = bool(record.finetune) and adaptation in ("default", "tuned") and shots == 1
        return (method, variant) if fits and (method, variant) in ORDER else None
    fits = not variant and not record.finetune and by_default
    return (method, variant) if fits and (method, variant) in ORDER else None
