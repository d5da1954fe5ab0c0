"""What detected joints cost: rows with exact joints of the test characters, and the same rows with detected ones."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import DataError
from bench.records import Record, joints_of, refuse_mixed
from bench.render_table import Block, Column, Row, Table, Value
from bench.spec import JOINTS
from bench.tables.assemble import facts_of, features_of, members_of, origin_of, scored_set, seeds_sentence, setting
from bench.tables.compare import gain_of
from bench.tables.lines import Footnotes, command_of
from bench.tables.metrics import BY_KEY, scored
from bench.tables.rows import Pooled, RowName, by_name, pool, settings_of
from bench.tables.table1 import METHODS, NOTHING

COMPARED = ("ssim_foreground", "l1_foreground", "lpips", "fid")
BLIND = ("copy-source", "white", "truth")
"""Floors that look at no joint, so that there is nothing to compare."""
LOSS_NOTE = "Negative: detected joints cost so much. In parentheses the 95 % interval, paired over characters"
FID_NOTE = "FID has no interval"


def joints(exact: Sequence[Record], detected: Sequence[Record]) -> Table:
    """The rows of Table 1, and further methods at one shot, that both have: each score with either joints, and what
    detected ones lose of it.

    Seeds that only one side has are left out, and so are rows; footnotes name these with the command that makes them.
    Raises DataError for no row in common, for records that cannot stand side by side but for their joints, and for
    rows that were trained differently.
    """
    refuse_mixed([*exact, *detected], any_joints=True)
    known, found = by_name(pool(exact)), by_name(pool(detected))
    names = [name for name in _in_order([*known, *found]) if name.method not in BLIND]
    both = [pair for name in names if name in known and name in found and (pair := _common(known[name], found[name]))]
    if not both:
        raise DataError(
            f"no row has records with exact and with detected joints of one seed; {_remedy(exact, detected)}"
        )
    measured = {metric.key for metric in scored(row.record for pair in both for row in pair)}
    metrics = [key for key in COMPARED if key in measured]
    footnotes, columns = Footnotes(), list[Column]()
    for metric in (BY_KEY[key] for key in metrics):
        notes = footnotes(LOSS_NOTE, *([FID_NOTE] if metric.key == "fid" else []))
        columns += [
            Column(f"{metric.key}_{side}", metric.heading, metric.digits, side) for side in ("exact", "detected")
        ]
        columns.append(Column(f"gain_{metric.key}", metric.gain_heading, metric.digits, "detected − exact", notes))
    rows = [_row(one, other, metrics) for one, other in both]
    shown = {one.name for one, _ in both}
    alone = [(known.get(name) or found[name]).title for name in names if name not in shown]
    if alone:
        footnotes(f"Without records of one seed with either joints: {', '.join(alone)}; {_remedy(exact, detected)}")
    sides = [row for pair in both for row in pair]
    facts = facts_of([one for one, _ in both]) | {
        "commands": facts_of(sides)["commands"],
        "commits": facts_of(sides)["commits"],
        "detected": joints_of(members_of([both[0][1]])[0]),
    }
    caption = (
        f"{scored_set(facts)}; exact: joints of the test characters as they were drawn; detected: those of "
        f"sources and targets {facts['detected']}; trainings are the same; {seeds_sentence(facts['seeds'])}. "
        f"{features_of(facts)} "
        f"± is half of a 95 % interval (bootstrap over characters). {origin_of(facts)}"
    )
    title = f"What detected joints cost, {setting(facts)}"
    return Table(title, tuple(columns), (Block("rows", tuple(rows)),), tuple(footnotes.texts), facts, caption)


def _in_order(names: Sequence[RowName]) -> list[RowName]:
    """Table 1's methods, further ones at one shot or as trained, floors; each once."""
    methods, floors = [slot.name for slot in METHODS], [slot.name for slot in NOTHING]
    more = [name for name in names if name not in [*methods, *floors] and name.method != "ours" and name.shots <= 1]
    return [name for name in dict.fromkeys([*methods, *more, *floors]) if name in names]


def _common(exact: Pooled, detected: Pooled) -> tuple[Pooled, Pooled] | None:
    """Both rows of the seeds that both have; None where there is none. Raises DataError for different trainings."""
    seeds = set(exact.seeds) & set(detected.seeds)
    if not seeds:
        return None
    one, other = settings_of(exact.record), settings_of(detected.record)
    if unequal := sorted(part for part, value in one.items() if other.get(part) != value):
        raise DataError(
            f"'{exact.title}' with exact and with detected joints differ in {', '.join(unequal)}; run both again"
        )
    return exact.of_seeds(seeds), detected.of_seeds(seeds)


def _row(exact: Pooled, detected: Pooled, metrics: Sequence[str]) -> Row:
    values: dict[str, Value | None] = {}
    for key in metrics:
        scale = BY_KEY[key].scale
        for side, row in zip(JOINTS, (exact, detected), strict=True):
            half, spread = row.record.half_width(key), row.spread.get(key)
            values[f"{key}_{side}"] = Value(
                scale * row.record.centre(key),
                None if half is None else scale * half,
                spread=None if spread is None else scale * spread,
            )
        values[f"gain_{key}"] = gain_of(detected, exact, key).value(scale)
    facts = {"detected_record": detected.record.key, **({"seeds": list(exact.seeds)} if exact.trained else {})}
    return Row(exact.title, values, (), exact.record.key, facts)


def _remedy(exact: Sequence[Record], detected: Sequence[Record]) -> str:
    command = command_of("table1", (*exact, *detected)[0]).replace(" --joints detected", "")
    return f"`{command}` and `{command} --joints detected` make them"
