"""Quality against cost: what every method saw, how long it trained, and how good it is."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import DataError
from bench.records import Record
from bench.render_table import Block, Column, Row, Table, Value
from bench.tables.assemble import (
    facts_of,
    features_of,
    origin_of,
    score_values,
    scored_set,
    seed_note,
    seeds_sentence,
    setting,
    shared_seeds,
    timing_notes,
)
from bench.tables.compare import lead
from bench.tables.lines import Footnotes, notes_of, shared_notes
from bench.tables.lines import Line as PrintedLine
from bench.tables.metrics import BY_KEY
from bench.tables.rows import Pooled, pool

SCORES = ("l1_foreground", "ssim_foreground", "fid")
INNER_STEPS = 4
"""Of Ours where its options do not say: one for every support sample (METHODS §8, 15)."""

PAIRS_NOTE = "Source and target pairs; of meta-training queries. A warm start counts"
SAMPLES_NOTE = "Pairs, and the support samples that the inner steps of meta-training adapt to"
ADAPT_NOTE = "Fine-tuning on the support set of one test character; empty for a row that is used as trained"


def pairs_of(record: Record) -> int:
    """Pairs a training saw, its warm start included; of meta-training its queries."""
    return int(sum(record.budget[part] for part in ("warm_start_pairs", "pairs", "queries")))


def samples_of(record: Record) -> int:
    """Pairs and the support samples of the inner steps."""
    inner = int(record.build["options"].get("inner_steps", INNER_STEPS))
    return pairs_of(record) + inner * int(record.budget["queries"])


def steps_of(record: Record) -> int | None:
    """Optimiser steps, of the outer loop where there are two; None where the record does not say."""
    phases = record.budget.get("phases")
    return sum(int(phase["steps"]) for phase in phases) if phases else None


def seconds_of(record: Record) -> float:
    """Training seconds, the warm start included."""
    return record.seconds["train"] + record.seconds["warm_start"]


def budget(records: Sequence[Record]) -> Table:
    """Every method among `records` by training seconds, with what it saw and how good it is.

    Reading down is comparing at more compute; the columns of pairs and samples compare at equal data. Bold is a score
    better than that of every row as fast or faster: the bold cells are what a given time can buy. Several seeds are
    pooled: means of seconds and scores; rows of unequal seeds are compared on those they share. Raises DataError as
    `table1` does, and where no method was trained.
    """
    rows = [row for row in pool(records) if row.trained and seconds_of(row.record) > 0]
    if not rows:
        raise DataError("no record of a trained method, so there are no costs; make them with `bench table1`")
    rows.sort(key=lambda row: (seconds_of(row.record), row.title))
    facts, footnotes = facts_of(rows), Footnotes()
    columns = (
        Column("minutes", "training", 1, "minutes", footnotes(*timing_notes(rows))),
        Column("pairs", "pairs", 0, "seen", footnotes(PAIRS_NOTE)),
        Column("samples", "samples", 0, "seen", footnotes(SAMPLES_NOTE)),
        Column("steps", "steps", 0),
        Column("adapt", "fine-tune", 2, "s a character", footnotes(ADAPT_NOTE)),
        *(Column(key, BY_KEY[key].heading, BY_KEY[key].digits) for key in SCORES),
    )
    lines = shared_notes([PrintedLine(row.title, row, None, notes_of(row)) for row in rows])
    printed = []
    for row, line in zip(rows, lines, strict=True):
        as_fast = [other for other in rows if other is not row and seconds_of(other.record) <= seconds_of(row.record)]
        values = {**_costs(row), **_scores(row, as_fast)}
        printed.append(Row(line.title, values, footnotes(*line.notes, *seed_note(row, facts["seeds"])), row.record.key))
    caption = (
        f"Rows by training time. {scored_set(facts)}; {seeds_sentence(facts['seeds'])}. {features_of(facts)} "
        "± is half of a 95 % interval (bootstrap over characters); FID has none. Bold: better, as a number, than every "
        f"row that took as long or less{shared_seeds(rows)}. {origin_of(facts)}"
    )
    title = f"Quality against cost, {setting(facts)}"
    return Table(title, columns, (Block("methods", tuple(printed)),), tuple(footnotes.texts), facts, caption)


def _costs(row: Pooled) -> dict[str, Value | None]:
    record, steps = row.record, [steps_of(member) for member in row.members]
    known = [count for count in steps if count is not None]
    costs: dict[str, Value | None] = {
        "minutes": Value(seconds_of(record) / 60),
        "pairs": Value(_mean([pairs_of(member) for member in row.members])),
        "samples": Value(_mean([samples_of(member) for member in row.members])),
        "steps": Value(_mean(known)) if len(known) == len(steps) else None,
    }
    adapt = record.seconds.get("adapt_per_character")
    if record.finetune and adapt is not None:
        costs["adapt"] = Value(adapt)
    return costs


def _mean(counts: Sequence[int]) -> float:
    """Of the seeds; they differ only where a budget was measured."""
    return sum(counts) / len(counts)


def _scores(row: Pooled, as_fast: Sequence[Pooled]) -> dict[str, Value | None]:
    better = frozenset((row.name, key) for key in SCORES if all(lead(row, other, key) > 0 for other in as_fast))
    values = score_values(row, better)
    return {key: values[key] for key in SCORES}
