"""The paper's Table 2: Ours at several numbers of shots, without and with the multi-step loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.errors import DataError
from bench.paper_numbers import TABLE1, TABLE2, TABLE4
from bench.records import Record
from bench.render_table import Table
from bench.tables.assemble import Compared, assemble
from bench.tables.compare import Tie
from bench.tables.lines import Line, Section, Slot, command_of, fill, left_out
from bench.tables.rows import Pooled, RowName, pool

SHOTS = (0, 1, 4, 10)
HEADINGS = {"": "Without the multi-step loss", "msl": "With the multi-step loss"}
BASELINES = "Baselines with the same fine-tuning"


def table2(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 2 of those `records` that belong to it: Ours unadapted and at each number of shots.

    Beside each row what it gains over the row of the next fewer shots, paired over characters. Fine-tuned baselines
    stand in a block of their own, after themselves unadapted where there is a record. Several seeds of a row are
    pooled. `missing` says why a row, by title, has no record. Raises DataError as `table1` does, and where no record
    belongs to it.
    """
    rows, reasons = pool(records), missing or {}
    command = command_of("table2", records[0])
    ours = [row for row in rows if row.name.method == "ours" and row.name.variant in HEADINGS and _by_default(row)]
    tuned = sorted((row for row in rows if _is_baseline(row, rows)), key=_in_the_papers_order)
    if not ours and not tuned:
        raise DataError(f"none of these records is a row of Table 2; make them with `{command}`")
    sections, slots = [], list[Slot]()
    for variant, heading in HEADINGS.items():
        further = {row.name.shots for row in ours if row.name.variant == variant}
        block = [_slot(variant, shots) for shots in sorted({*SHOTS, *further})]
        sections.append(Section(variant or "plain", heading, fill(block, ours, reasons, command)))
        slots += block
    more = [Line.of(row) for row in tuned]
    more += left_out(reasons, more, slots)
    if more:
        sections.append(Section("baselines", BASELINES, more))

    def fewer_shots(row: Pooled) -> Pooled | None:
        other = [r for r in rows if r.name.shots < row.name.shots and _method(r) == _method(row) and _by_default(r)]
        return max(other, key=lambda r: r.name.shots, default=None)

    compared = Compared(("ssim_foreground", "l1_foreground"), "over fewer shots", fewer_shots)
    return assemble("Table 2", sections, tie, compared)


def _slot(variant: str, shots: int) -> Slot:
    mark = " (MSL)" if variant else ""
    name = RowName("ours", variant, shots)
    if not shots:
        # the paper has no such row here, but the one with MSL is its w/o FT of Table 4
        paper = TABLE4["w/o FT"] if variant else None
        return Slot(f"Ours w/o FT{mark}", name, paper, (f"Ours (1-shot){mark} w/o FT",))
    return Slot(f"Ours ({shots}-shot){mark}", name, TABLE2.get(f"{shots} {variant}".strip()))


def _method(row: Pooled) -> tuple[str, str]:
    return row.name.method, row.name.variant


def _by_default(row: Pooled) -> bool:
    return not row.name.schedule and not row.name.protocol


def _is_baseline(row: Pooled, rows: Sequence[Pooled]) -> bool:
    """A fine-tuned baseline, or what one was before it was fine-tuned."""
    if row.name.method == "ours" or not row.trained or not _by_default(row):
        return False
    return row.name.shots > 0 or any(r.name.shots and _method(r) == _method(row) and _by_default(r) for r in rows)


def _in_the_papers_order(row: Pooled) -> tuple[int, str, int]:
    order = list(TABLE1)
    method = row.name.method
    return order.index(method) if method in order else len(order), method, row.name.shots
