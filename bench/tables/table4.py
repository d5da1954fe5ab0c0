"""The paper's Table 4: Ours without its parts, 4-shot, and the rows that take apart what it changes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.errors import DataError
from bench.paper_numbers import TABLE4
from bench.records import Record
from bench.render_table import Table
from bench.tables.assemble import Compared, assemble
from bench.tables.compare import Tie
from bench.tables.lines import Line, Section, Slot, command_of, fill, left_out
from bench.tables.rows import JOINT, Pooled, RowName, by_name, pool

FULL = RowName("ours", "msl", 4)
EQUAL_SECONDS = RowName("ours", JOINT, 4, budget="seconds")
NEAR = 0.1  # how far, of the seconds it is to equal, a training may be off and pass for equal
ABLATIONS = [
    Slot("w/o ML (equal samples)", RowName("ours", JOINT, 4, budget="samples"), TABLE4["w/o ML"]),
    Slot("w/o FT", RowName("ours", "msl"), TABLE4["w/o FT"]),
    Slot("w/o FRM", RowName("ours", "wo-frm", 4), TABLE4["w/o FRM"]),
    Slot("w/o MSL", RowName("ours", "", 4), TABLE4["w/o MSL"]),
    Slot("Ours (MSL)", FULL, TABLE4["Ours (MSL)"]),
]
# METHODS §8, 26 and 29: the paper gives no budget of w/o ML, and its w/o MSL changes K too
APART = [
    Slot("w/o ML (equal queries)", RowName("ours", JOINT, 4, budget="queries")),
    Slot("w/o ML (equal seconds)", EQUAL_SECONDS),
    Slot("w/o ML & FT", RowName("ours", JOINT, budget="samples")),
    Slot("K=2 w/o MSL", RowName("ours", "k2", 4)),
]


def table4(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 4 of those `records` that belong to it, each row with its difference to the full method.

    The difference is paired over characters; positive is better than the full method. Several seeds of a row are
    pooled. `missing` says why a row, by title, has no record. Raises DataError as `table1` does, and where no record
    belongs to it.
    """
    rows, reasons = pool(records), missing or {}
    command = command_of("table4", records[0])
    slots = [*ABLATIONS, *APART]
    found = by_name(rows)
    if not any(slot.name in found for slot in slots):
        raise DataError(f"none of these records is a row of Table 4; make them with `{command}`")
    sections = [
        Section("ablations", "", fill(ABLATIONS, rows, reasons, command)),
        Section("apart", "One change at a time", [_timed(line, found) for line in fill(APART, rows, reasons, command)]),
    ]
    lost: list[Line] = left_out(reasons, [], slots)
    if lost:
        sections.append(Section("missing", "Not made", lost))

    def full(row: Pooled) -> Pooled | None:
        return found.get(FULL)

    compared = Compared(("ssim_foreground", "l1_foreground"), "to Ours (MSL)", full)
    return assemble("Table 4", sections, tie, compared)


def _timed(line: Line, found: Mapping[RowName, Pooled]) -> Line:
    """The line; of w/o ML at equal seconds with the seconds of each seed that missed those of the full method.

    Its pairs are planned by the seconds a pair took in another training, and steps are not always as quick.
    """
    if line.row is None or line.row.name != EQUAL_SECONDS or FULL not in found:
        return line
    wanted = {int(member.cell["seed"]): float(member.seconds["train"]) for member in found[FULL].members}
    missed = []
    for seed, member in zip(line.row.seeds, line.row.members, strict=True):
        took, target = float(member.seconds["train"]), wanted.get(seed)
        if target is not None and abs(took - target) > NEAR * target:
            missed.append(f"Not quite equal: it trained for {took:.0f} s, Ours (MSL) for {target:.0f} s (seed {seed})")
    return replace(line, notes=(*line.notes, *missed))
