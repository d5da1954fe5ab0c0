"""The paper's Table 4: Ours without its parts, 4-shot, and the rows that unconfound it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.paper_numbers import TABLE4
from bench.records import Record, refuse_mixed
from bench.render_table import Table
from bench.tables.assemble import assemble, gain
from bench.tables.common import Line, Section, Tie, pool

FULL = "Ours (MSL)"
PAPER = {"w/o ML (equal samples)": "w/o ML"}
"""Our name of a row of the paper's, where it differs."""


def table4(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 4 of `records`, in the order given: the full method last, each row with its difference to it.

    The difference is paired over characters; positive means better than the full method. Several seeds of a row are
    pooled. `missing` says why a row, by title, has no record. Raises DataError as `table1` does.
    """
    refuse_mixed(records)
    pooled = sorted(pool(records), key=lambda record: record.title == FULL)
    full = next((record for record in pooled if record.title == FULL), None)
    lines = [Line.of(record, TABLE4.get(PAPER.get(record.title, record.title))) for record in pooled]
    lines += [Line.missing(title, reason, TABLE4.get(title)) for title, reason in (missing or {}).items()]
    further = [
        gain("ssim_foreground", "Δ fg-SSIM", lambda _: full, "to Ours (MSL)"),
        gain("l1_foreground", "Δ fg-L1", lambda _: full, "to Ours (MSL)"),
    ]
    return assemble("Table 4", pooled, [Section("ablations", "", lines)], tie, further)
