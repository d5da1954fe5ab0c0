"""From rows to a printed table of scores: columns, numbers, bold, caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.paper_numbers import NOT_COMPARABLE, SAMPLE_COUNT, TABLE3_NOTE
from bench.records import Record, joints_of
from bench.render_table import Block, Column, Row, Table, Value
from bench.spec import FLOORS
from bench.tables.compare import Ranking, Tie, gain_of, paired_tie
from bench.tables.lines import Footnotes, Line, Section, shared_notes
from bench.tables.metrics import BY_KEY, scored
from bench.tables.rows import Pooled

TRUTH_COLUMNS = ("fid", "kid")
GAIN_NOTE = "Positive is better. In parentheses the 95 % interval of the difference, paired over characters"


@dataclass(frozen=True)
class Compared:
    """Columns with the gain of every row over another one in some metrics; None: nothing to compare it with."""

    metrics: tuple[str, ...]
    detail: str  # over what
    other: Callable[[Pooled], Pooled | None]

    def columns(self, footnotes: Footnotes) -> list[Column]:
        note = footnotes(GAIN_NOTE)
        found = (BY_KEY[key] for key in self.metrics)
        return [Column(f"gain_{m.key}", m.gain_heading, m.digits, self.detail, note) for m in found]

    def values(self, row: Pooled) -> dict[str, Value]:
        other = self.other(row)
        if other is None or other is row:
            return {}
        return {f"gain_{key}": gain_of(row, other, key).value(BY_KEY[key].scale) for key in self.metrics}


def assemble(
    title: str, sections: Sequence[Section], tie: Tie | None = None, compared: Compared | None = None
) -> Table:
    """The table of `sections`. Bold is the best method and what `tie` cannot tell from it; floors do not compete."""
    lines = [line for section in sections for line in section.lines]
    rows = [line.row for line in lines if line.row is not None]
    methods = [row for row in rows if row.trained]
    ranking = Ranking(methods, tie or paired_tie)
    everyone = tuple(sorted({seed for row in methods for seed in row.seeds}))
    footnotes, shared = Footnotes(), iter(shared_notes(lines))
    columns = _columns(rows, footnotes, compared)
    blocks = []
    for section in sections:
        printed = tuple(_row(next(shared), ranking, footnotes, compared, everyone) for _ in section.lines)
        blocks.append(Block(section.name, printed, section.heading))
    facts = facts_of(rows)
    full = f"{title}, {setting(facts)}"
    caption = _caption(facts, shared_seeds(methods))
    return Table(full, tuple(columns), tuple(blocks), tuple(footnotes.texts), facts, caption)


def members_of(rows: Sequence[Pooled]) -> list[Record]:
    """The records behind rows, every seed of them."""
    return [member for row in rows for member in row.members]


def timing_notes(rows: Sequence[Pooled]) -> list[str]:
    """Where the trainings were timed, and whether their times can be compared."""
    trained = members_of([row for row in rows if row.trained])
    where = sorted({f"{r.environment['processor']}, {r.environment['threads']} threads" for r in trained})
    notes = [f"In training steps, on {' and on '.join(where)}"] if where else []
    if len(where) > 1:
        notes.append("Rows were timed on different machines, so their minutes cannot be compared")
    return notes


def _columns(rows: Sequence[Pooled], footnotes: Footnotes, compared: Compared | None) -> list[Column]:
    features = rows[0].record.features
    details = {"fid": f"{features['name']}, d={features['dim']}, N={features['n']}", "kid": "the same"}
    measured = scored(row.record for row in rows)
    columns = [Column(m.key, m.heading, m.digits, details.get(m.key, "")) for m in measured]
    columns += compared.columns(footnotes) if compared else []
    columns.append(Column("minutes", "training", 1, "minutes", footnotes(*timing_notes(rows), TABLE3_NOTE)))
    paper = footnotes(NOT_COMPARABLE, SAMPLE_COUNT)
    columns.append(Column("paper_fid", "paper's FID↓", 2, "other data", paper))
    columns.append(Column("paper_ssim", "paper's SSIM↑", 3, "other data", paper))
    return columns


def score_values(row: Pooled, bold: frozenset[Any] = frozenset()) -> dict[str, Value | None]:
    """Every metric a row has, as printed: scaled, with its half width and its spread over seeds."""
    values: dict[str, Value | None] = {}
    for metric in scored([row.record]):
        if row.name.method == "truth" and metric.key not in TRUTH_COLUMNS:
            values[metric.key] = None
            continue
        half, spread = row.record.half_width(metric.key), row.spread.get(metric.key)
        values[metric.key] = Value(
            metric.scale * row.record.centre(metric.key),
            None if half is None else metric.scale * half,
            (row.name, metric.key) in bold,
            None if spread is None else metric.scale * spread,
        )
    return values


def seed_note(row: Pooled, everyone: Sequence[int]) -> list[str]:
    """What to say of a row that was not trained with all seeds of the table."""
    if not row.trained or row.seeds == tuple(everyone):
        return []
    return [f"Seed {', '.join(map(str, row.seeds))} only"]


def _row(line: Line, ranking: Ranking, footnotes: Footnotes, compared: Compared | None, everyone: Sequence[int]) -> Row:
    row, notes = line.row, list(line.notes)
    values: dict[str, Value | None]
    if row is None:
        values = {metric.key: None for metric in ranking.metrics}
        if line.title not in FLOORS.values():
            values["minutes"] = None
    else:
        values = score_values(row, ranking.bold)
        if row.trained:
            seconds = row.record.seconds["train"] + row.record.seconds["warm_start"]
            values["minutes"] = Value(seconds / 60) if seconds else None
            values |= compared.values(row) if compared else {}
        notes += seed_note(row, everyone)
    if line.paper is not None:
        values["paper_fid"], values["paper_ssim"] = Value(line.paper.fid), Value(line.paper.ssim)
    competes = row is not None and row.trained and len(ranking.rows) > 1
    facts: dict[str, Any] = {"difference_to_best": ranking.to_best(row)} if row and competes else {}
    if row is not None and row.trained:
        facts["seeds"] = list(row.seeds)
    return Row(line.title, values, footnotes(*notes), row.record.key if row else "", facts)


def facts_of(rows: Sequence[Pooled]) -> dict[str, Any]:
    """What the numbers depend on, for captions and JSON."""
    first, records = rows[0].record, members_of(rows)
    second = {"test_data": first.data["name"], "test_data_digest": first.data["digest"]} if first.trained_on else {}
    return {
        "preset": first.cell["preset"],
        "data": first.cell["data"],
        **second,
        **({} if first.joints == "exact" else {"joints": joints_of(first)}),
        "seeds": sorted({seed for row in rows if row.trained for seed in row.seeds}),
        "data_digest": (first.trained_on or first.data)["digest"],
        "image_size": first.data["image_size"],
        "characters": first.data["characters"],
        "images": first.data["images"],
        "features": dict(first.features),
        "commits": sorted({r.git["commit"][:12] + (" with changes" if r.git["dirty"] else "") for r in records}),
        "commands": sorted({record.command for record in records}),
    }


def setting(facts: Mapping[str, Any]) -> str:
    """Of which preset a table is, of which data sets where there are two, and that joints are not the exact ones."""
    two = f", trained on {facts['data']}, tested on {facts['test_data']}" if "test_data" in facts else ""
    joints = ", detected joints" if "joints" in facts else ""
    return f"preset {facts['preset']}{two}{joints}"


def scored_set(facts: Mapping[str, Any]) -> str:
    """What was scored, as a sentence without its full stop."""
    data = f"{facts['data']} data {facts['data_digest'][:12]}"
    if "test_data" in facts:
        data = f"trained on {data}, tested on {facts['test_data']} data {facts['test_data_digest'][:12]}"
    joints = f", the joints of test characters {facts['joints']}" if "joints" in facts else ""
    return (
        f"{facts['images']} images of {facts['characters']} unseen characters, {facts['image_size']} px, "
        f"{data}, preset {facts['preset']}{joints}"
    )


def features_of(facts: Mapping[str, Any]) -> str:
    features = facts["features"]
    return f"FID and KID: {features['name']} features, d={features['dim']}, of N={features['n']} of these images."


def seeds_sentence(seeds: Sequence[int]) -> str:
    """Over how many seeds the numbers are means."""
    if len(seeds) > 1:
        listed = ", ".join(map(str, seeds))
        return f"means over n={len(seeds)} seeds ({listed}), in brackets their standard deviation"
    return f"one seed ({seeds[0]}), so no interval holds the noise of training" if seeds else "no training"


def origin_of(facts: Mapping[str, Any]) -> str:
    return f"Made by {'; '.join(facts['commands'])} at commit {', '.join(facts['commits'])}."


def shared_seeds(rows: Sequence[Pooled]) -> str:
    """What a caption adds to how rows are compared, where not all of them have the same seeds."""
    return ", on the seeds that both have" if len({row.seeds for row in rows}) > 1 else ""


def _caption(facts: Mapping[str, Any], on_seeds: str) -> str:
    return (
        f"{scored_set(facts)}; {seeds_sentence(facts['seeds'])}. {features_of(facts)} "
        "fg and bg: inside and outside the character. ± is half of a 95 % interval (bootstrap over characters; "
        "KID: jackknife); FID has none. Bold: the best method of a column, and those that a paired bootstrap over "
        f"characters (KID: its standard errors) cannot tell from it{on_seeds}. {origin_of(facts)}"
    )
