"""The paper's Table 2: Ours at several numbers of shots, without and with the multi-step loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records import Record, refuse_mixed
from bench.render_table import Table
from bench.tables.assemble import assemble, gain
from bench.tables.common import Line, Section, Tie, pool

HEADINGS = {"": "Without the multi-step loss", "msl": "With the multi-step loss"}
BASELINES = "Baselines with the same fine-tuning"


def table2(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 2 of `records`: Ours unadapted and at each number of shots; what adapting gains, paired over characters.

    Fine-tuned baselines stand in a block of their own. Several seeds of a row are pooled. `missing` says why a row,
    by title, has no record. Raises DataError as `table1` does.
    """
    refuse_mixed(records)
    pooled = pool(records)
    sections = []
    unadapted: dict[str, Record] = {}
    for variant, heading in HEADINGS.items():
        rows = [r for r in pooled if r.cell["method"] == "ours" and r.cell["variant"] == variant]
        rows.sort(key=_shots)
        if rows:
            sections.append(Section(variant or "plain", heading, [Line.of(record) for record in rows]))
        if rows and _shots(rows[0]) == 0:
            unadapted[variant] = rows[0]
    tuned = [record for record in pooled if record.cell["method"] != "ours" and record.kind == "method"]
    if tuned:
        sections.append(Section("baselines", BASELINES, [Line.of(record) for record in tuned]))
    lost = [Line.missing(title, reason) for title, reason in (missing or {}).items()]
    if lost:
        sections.append(Section("missing", "Not made", lost))

    def reference(record: Record) -> Record | None:
        return unadapted.get(record.cell["variant"]) if record.cell["method"] == "ours" else None

    further = [
        gain("ssim_foreground", "gain fg-SSIM", reference, "over w/o FT"),
        gain("l1_foreground", "gain fg-L1", reference, "over w/o FT"),
    ]
    return assemble("Table 2", pooled, sections, tie, further)


def _shots(record: Record) -> int:
    return 0 if record.cell["adaptation"] == "none" else int(record.cell["shots"])
