"""From rows of records to a printed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.paper_numbers import NOT_COMPARABLE, SAMPLE_COUNT, TABLE3_NOTE
from bench.records import INTERVALS, Record
from bench.render_table import Block, Column, Row, Table, Value
from bench.spec import FLOORS
from bench.tables.common import (
    METRICS,
    TRUTH_COLUMNS,
    Footnotes,
    Line,
    Section,
    Tie,
    difference,
    paired_tie,
    seeds_of,
)


@dataclass(frozen=True)
class Further:
    """A column beyond the scores: what it prints for a record, None for nothing."""

    column: Column
    value: Callable[[Record], Value | None]


def gain(metric: str, title: str, reference: Callable[[Record], Record | None], detail: str) -> Further:
    """The difference of a metric to a row's reference, paired over characters: positive is better than it."""
    sign = -1 if metric.startswith("l1") else 1

    def value(record: Record) -> Value | None:
        other = reference(record)
        if other is None or other is record or record.kind != "method":
            return None
        found = difference(record, other, metric)
        half = (found.high - found.low) / 2 if found.characters > 1 else None
        return Value(sign * found.mean, half)

    return Further(Column(f"gain_{metric}", title, 3, detail), value)


def assemble(
    title: str,
    records: Sequence[Record],
    sections: Sequence[Section],
    tie: Tie | None = None,
    further: Sequence[Further] = (),
) -> Table:
    """The table of `sections`, whose rows show `records` (pooled over seeds).

    Bold is the best method and what `tie` cannot tell from it; floors do not compete.
    """
    shared = iter(shared_notes([line for section in sections for line in section.lines]))
    footnotes = Footnotes()
    scores, rest = _columns(records, footnotes)
    columns = (*scores, *(extra.column for extra in further), *rest)
    printed = [line.record for section in sections for line in section.lines if line.record is not None]
    methods = [record for record in printed if record.kind == "method"]
    rank = Ranking.of(methods, tie or paired_tie)
    everyone = sorted({seed for record in methods for seed in seeds_of(record)})
    blocks = []
    for section in sections:
        rows = tuple(_row(next(shared), rank, footnotes, further, everyone) for _ in section.lines)
        blocks.append(Block(section.name, rows, section.heading))
    facts = _facts(records, everyone)
    facts["differences_to_best"] = rank.differences
    full = f"{title}, preset {facts['preset']}"
    return Table(full, columns, tuple(blocks), tuple(footnotes.texts), facts, _caption(facts))


def bare_note(line: Line, note: str) -> str:
    """The note without the method's name in front: `PATN channels × 0.25` -> `Channels × 0.25`."""
    for name in (line.title, line.title.split(" (")[0]):
        if note.startswith(f"{name} "):
            rest = note[len(name) + 1 :]
            return rest[:1].upper() + rest[1:]
    return note


def shared_notes(lines: Sequence[Line]) -> list[Line]:
    """The same rows; notes that differ between them by the method's name alone are made the same."""
    users: dict[str, set[str]] = {}
    for line in lines:
        for note in line.notes:
            users.setdefault(bare_note(line, note), set()).add(line.title)

    def share(line: Line, note: str) -> str:
        bare = bare_note(line, note)
        return bare if len(users[bare]) > 1 else note

    return [replace(line, notes=tuple(share(line, note) for note in line.notes)) for line in lines]


def _columns(records: Sequence[Record], footnotes: Footnotes) -> tuple[list[Column], list[Column]]:
    features = records[0].features
    extractor = f"{features['name']}, d={features['dim']}, N={features['n']}"
    details = {"fid": extractor, "kid": "the same"}
    columns = [Column(m.key, m.title, m.digits, details.get(m.key, "")) for m in METRICS]
    trained = [record for record in records if record.kind == "method"]
    where = sorted({f"{r.environment['processor']}, {r.environment['threads']} threads" for r in trained})
    timing = [f"In training steps, on {' and on '.join(where)}"] if where else []
    if len(where) > 1:
        timing.append("Rows were timed on different machines, so their minutes cannot be compared")
    columns.append(Column("minutes", "training", 1, "minutes", footnotes(*timing, TABLE3_NOTE)))
    rest = []
    paper = footnotes(NOT_COMPARABLE, SAMPLE_COUNT)
    rest.append(Column("paper_fid", "paper's FID↓", 2, "other data", paper))
    rest.append(Column("paper_ssim", "paper's SSIM↑", 3, "other data", paper))
    return columns, rest


@dataclass(frozen=True)
class Ranking:
    """The best method of every column, what cannot be told from it, and how far each is from it."""

    bold: frozenset[tuple[str, str]]  # (record key, metric)
    differences: Mapping[str, Mapping[str, Any]]  # row title -> metric -> mean, low, high of best - row

    @classmethod
    def of(cls, records: Sequence[Record], tie: Tie) -> Ranking:
        """A row alone has won nothing."""
        bold: set[tuple[str, str]] = set()
        apart: dict[str, dict[str, Any]] = {record.title: {} for record in records}
        for metric in METRICS if len(records) > 1 else ():
            sign = -1 if metric.higher_is_better else 1
            best = min(records, key=lambda record: sign * record.centre(metric.key))
            for record in records:
                if record is best or tie(best, record, metric.key):
                    bold.add((record.key, metric.key))
                if record is not best and metric.key in INTERVALS:
                    found = difference(best, record, metric.key)
                    bounded = found.characters > 1
                    apart[record.title][metric.key] = {
                        "best": best.title,
                        "mean": found.mean,
                        "low": found.low if bounded else None,
                        "high": found.high if bounded else None,
                    }
        return cls(frozenset(bold), apart)


def _row(line: Line, rank: Ranking, footnotes: Footnotes, further: Sequence[Further], everyone: Sequence[int]) -> Row:
    record, values = line.record, dict[str, Value | None]()
    notes = list(line.notes)
    if record is None:
        values = {metric.key: None for metric in METRICS}
        if line.title not in FLOORS.values():
            values["minutes"] = None
    else:
        spread = record.extra.get("spread", {})
        for metric in METRICS:
            if record.cell["method"] == "truth" and metric.key not in TRUTH_COLUMNS:
                values[metric.key] = None
                continue
            half, between = record.half_width(metric.key), spread.get(metric.key)
            values[metric.key] = Value(
                metric.scale * record.centre(metric.key),
                None if half is None else metric.scale * half,
                (record.key, metric.key) in rank.bold,
                None if between is None else metric.scale * between,
            )
        if record.kind == "method":
            seconds = record.seconds["train"] + record.seconds["warm_start"]
            values["minutes"] = Value(seconds / 60) if seconds else None
            if seeds_of(record) != tuple(everyone):
                notes.append(f"Seed {', '.join(map(str, seeds_of(record)))} only")
        values |= {extra.column.key: found for extra in further if (found := extra.value(record)) is not None}
    if line.paper is not None:
        values["paper_fid"], values["paper_ssim"] = Value(line.paper.fid), Value(line.paper.ssim)
    return Row(line.title, values, footnotes(*notes), record.key if record else "")


def _facts(records: Sequence[Record], seeds: Sequence[int]) -> dict[str, Any]:
    first = records[0]
    return {
        "preset": first.cell["preset"],
        "data": first.cell["data"],
        "seeds": list(seeds),
        "data_digest": first.data["digest"],
        "image_size": first.data["image_size"],
        "characters": first.data["characters"],
        "images": first.data["images"],
        "features": dict(first.features),
        "commits": sorted({r.git["commit"][:12] + (" with changes" if r.git["dirty"] else "") for r in records}),
        "commands": sorted({record.command for record in records}),
    }


def _caption(facts: Mapping[str, Any]) -> str:
    features, seeds = facts["features"], facts["seeds"]
    several = (
        f"means over seeds {', '.join(map(str, seeds))}, in brackets their standard deviation"
        if len(seeds) > 1
        else f"seed {seeds[0]} alone, so ± does not hold the noise of training"
        if seeds
        else "no training"
    )
    return (
        f"{facts['images']} images of {facts['characters']} unseen characters, {facts['image_size']} px, "
        f"{facts['data']} data {facts['data_digest'][:12]}, preset {facts['preset']}; {several}. "
        f"FID and KID: {features['name']} features, d={features['dim']}, of N={features['n']} of these images. "
        "fg and bg: inside and outside the character. ± is half of a 95 % interval (bootstrap over characters; "
        "KID: jackknife); FID has none. Bold: the best method of a column, and those that a paired bootstrap over "
        "characters (KID: its standard errors) cannot tell from it. "
        f"Made by {'; '.join(facts['commands'])} at commit {', '.join(facts['commits'])}."
    )
