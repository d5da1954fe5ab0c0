"""The paper's Table 1 as a pure function of records: rows in its order, floors, ties, footnotes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.paper_numbers import NOT_COMPARABLE, SAMPLE_COUNT, TABLE1, TABLE3_NOTE, Published, published
from bench.records import INTERVALS, Record, refuse_mixed
from bench.render_table import Block, Column, Row, Table, Value
from bench.spec import FLOORS

__all__ = ["Table", "paired_tie", "table1"]

ORDER = (("patn", ""), ("pg2", ""), ("pix2pix", ""), ("xinggan", ""), ("ours", ""), ("ours", "msl"))
MORE = "Further methods and settings"
TRUTH_COLUMNS = ("fid", "kid")
TRUTH_NOTE = (
    "Real images of one clip against those of the other; image by image they would be scored against themselves"
)

Tie = Callable[[Record, Record, str], bool]
"""(best record, other record, metric) -> whether the other one cannot be told from the best."""


@dataclass(frozen=True)
class _Metric:
    """A scored column."""

    key: str
    title: str
    digits: int
    higher_is_better: bool = False
    scale: float = 1.0


METRICS = (
    _Metric("fid", "FID↓", 2),
    _Metric("kid", "KID↓ ×10³", 2, scale=1000),
    _Metric("ssim", "SSIM↑", 3, higher_is_better=True),
    _Metric("ssim_foreground", "fg-SSIM↑", 3, higher_is_better=True),
    _Metric("l1_foreground", "fg-L1↓", 3),
    _Metric("l1_background", "bg-L1↓", 4),
)


class _Footnotes:
    """Numbers footnotes in the order of first use; the same text gets the same number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, *notes: str) -> tuple[int, ...]:
        found = []
        for note in notes:
            text = note[:1].upper() + note[1:].rstrip(".")
            if text not in self.texts:
                self.texts.append(text)
            found.append(self.texts.index(text))
        return tuple(sorted(set(found)))


@dataclass(frozen=True)
class _Place:
    """A row to print: its record, or the title of the row that has none."""

    title: str
    record: Record | None
    paper: Published | None
    notes: tuple[str, ...]


def table1(records: Sequence[Record], missing: Mapping[str, str] | None = None, tie: Tie | None = None) -> Table:
    """Table 1 of `records`; methods that are no row of it stand in a block of their own, in the order given.

    `missing` says why a row, by title, has no record. Bold is the best method and what `tie` cannot tell from it;
    floors do not compete. Raises DataError for no records, for two records of one row and for records whose data, FID
    features, N, preset or seed differ: such numbers are never put side by side.
    """
    refuse_mixed(records)
    blocks = _arrange(records, missing or {})
    shared = iter(_shared_notes([place for _, _, places in blocks for place in places]))
    footnotes = _Footnotes()
    columns = _columns(records, footnotes)
    best = _best([record for record in records if record.kind == "method"], tie or paired_tie)
    rendered = []
    for name, heading, arranged in blocks:
        places = [next(shared) for _ in arranged]
        rendered.append(Block(name, tuple(_row(place, best, footnotes) for place in places), heading))
    facts = _facts(records)
    title = f"Table 1, preset {facts['preset']}"
    return Table(title, columns, tuple(rendered), tuple(footnotes.texts), facts, _caption(facts))


def paired_tie(best: Record, other: Record, metric: str) -> bool:
    """Whether 95 % of the paired bootstrap over characters leaves the sign of the difference open.

    For KID, whether the difference is within 1.96 standard errors of both; they share the reference images, so
    this calls a tie too often rather than too seldom. FID has no error, so only equal values tie.
    """
    if metric not in INTERVALS:
        mine, theirs = best.half_width(metric), other.half_width(metric)
        difference = abs(best.centre(metric) - other.centre(metric))
        return difference <= (0.0 if mine is None or theirs is None else float(np.hypot(mine, theirs)))
    from bench.metrics.bootstrap import paired_difference

    characters = sorted(best.per_character)
    if characters != sorted(other.per_character):
        raise DataError(f"'{best.title}' and '{other.title}' were scored on different characters")
    first, second = (np.array([record.per_character[name][metric] for name in characters]) for record in (best, other))
    if len(characters) < 2:
        return bool(first[0] == second[0])
    return not paired_difference(first, second, characters).excludes_zero


def _arrange(records: Sequence[Record], missing: Mapping[str, str]) -> list[tuple[str, str, list[_Place]]]:
    """(name, heading, rows) of every block: the paper's rows, then other methods, then the floors."""
    slots: dict[tuple[str, str], Record] = {}
    more: list[Record] = []
    for record in records:
        slot = _slot(record)
        if slot is None:
            more.append(record)
        elif slot in slots:
            raise DataError(f"two records of the row '{record.title}', {slots[slot].key} and {record.key}: give one")
        else:
            slots[slot] = record
    preset = records[0].cell["preset"]

    def place(slot: tuple[str, str], title: str) -> _Place:
        record = slots.pop(slot, None)
        if record is not None:
            return _Place(record.title, record, _paper(record), _notes(record))
        reason = missing.get(title, f"bench table1 --preset {preset} has not made it yet")
        paper = TABLE1.get(" ".join(slot).strip())
        return _Place(title, None, paper, (f"No record: {reason}", *(paper.notes if paper else ())))

    methods = [place(slot, TABLE1[" ".join(slot).strip()].title) for slot in ORDER]
    floors = [place((name, ""), title) for name, title in FLOORS.items()]
    others = [("more", MORE, [_Place(r.title, r, _paper(r), _notes(r)) for r in more])] if more else []
    return [("methods", "", methods), *others, ("floors", "Without any training", floors)]


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


def _paper(record: Record) -> Published | None:
    cell = record.cell
    return published(cell["method"], cell["variant"], cell["shots"], cell["adaptation"])


def _notes(record: Record) -> tuple[str, ...]:
    notes = [*record.notes, *([TRUTH_NOTE] if record.cell["method"] == "truth" else [])]
    schedule = record.finetune
    if schedule:
        chosen = f", chosen on {schedule['chosen_on']}" if schedule.get("chosen_on") else ""
        passes = "pass" if schedule["passes"] == 1 else "passes"
        notes.append(
            f"Fine-tuned on the support set: learning rate {schedule['lr']:g}, {schedule['passes']} {passes}{chosen}"
        )
    if record.seconds["warm_start"]:
        notes.append(
            f"Its minutes include {record.seconds['warm_start'] / 60:.1f} of a warm start, "
            "trained once for all rows that start from it"
        )
    paper = _paper(record)
    return (*notes, *(paper.notes if paper else ()))


def _bare(place: _Place, note: str) -> str:
    """The note without the method's name in front: `PATN channels × 0.25` -> `Channels × 0.25`."""
    for name in (place.title, place.title.split(" (")[0]):
        if note.startswith(f"{name} "):
            rest = note[len(name) + 1 :]
            return rest[:1].upper() + rest[1:]
    return note


def _shared_notes(places: Sequence[_Place]) -> list[_Place]:
    """The same rows; notes that differ between them by the method's name alone are made the same."""
    users: dict[str, set[str]] = {}
    for place in places:
        for note in place.notes:
            users.setdefault(_bare(place, note), set()).add(place.title)

    def share(place: _Place, note: str) -> str:
        bare = _bare(place, note)
        return bare if len(users[bare]) > 1 else note

    return [replace(place, notes=tuple(share(place, note) for note in place.notes)) for place in places]


def _columns(records: Sequence[Record], footnotes: _Footnotes) -> tuple[Column, ...]:
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
    paper = footnotes(NOT_COMPARABLE, SAMPLE_COUNT)
    columns.append(Column("paper_fid", "paper's FID↓", 2, "other data", paper))
    columns.append(Column("paper_ssim", "paper's SSIM↑", 3, "other data", paper))
    return tuple(columns)


def _best(records: Sequence[Record], tie: Tie) -> set[tuple[str, str]]:
    """(record key, metric) of what is printed bold: the best and its ties. A row alone has won nothing."""
    if len(records) < 2:
        return set()
    bold = set()
    for metric in METRICS:
        sign = -1 if metric.higher_is_better else 1
        best = min(records, key=lambda record: sign * record.centre(metric.key))
        for record in records:
            if record is best or tie(best, record, metric.key):
                bold.add((record.key, metric.key))
    return bold


def _row(place: _Place, best: set[tuple[str, str]], footnotes: _Footnotes) -> Row:
    record, values = place.record, dict[str, Value | None]()
    if record is None:
        values = {metric.key: None for metric in METRICS}
        if place.title not in FLOORS.values():
            values["minutes"] = None
    else:
        for metric in METRICS:
            if record.cell["method"] == "truth" and metric.key not in TRUTH_COLUMNS:
                values[metric.key] = None
                continue
            half = record.half_width(metric.key)
            values[metric.key] = Value(
                metric.scale * record.centre(metric.key),
                None if half is None else metric.scale * half,
                (record.key, metric.key) in best,
            )
        if record.kind == "method":
            values["minutes"] = Value((record.seconds["train"] + record.seconds["warm_start"]) / 60)
    if place.paper is not None:
        values["paper_fid"], values["paper_ssim"] = Value(place.paper.fid), Value(place.paper.ssim)
    return Row(place.title, values, footnotes(*place.notes), record.key if record else "")


def _facts(records: Sequence[Record]) -> dict[str, Any]:
    first = records[0]
    methods = [record for record in records if record.kind == "method"] or list(records)
    return {
        "preset": first.cell["preset"],
        "data": first.cell["data"],
        "seed": methods[0].cell["seed"],
        "data_digest": first.data["digest"],
        "image_size": first.data["image_size"],
        "characters": first.data["characters"],
        "images": first.data["images"],
        "features": dict(first.features),
        "commits": sorted({r.git["commit"][:12] + (" with changes" if r.git["dirty"] else "") for r in records}),
        "commands": sorted({record.command for record in records}),
    }


def _caption(facts: Mapping[str, Any]) -> str:
    features = facts["features"]
    return (
        f"{facts['images']} images of {facts['characters']} unseen characters, {facts['image_size']} px, "
        f"{facts['data']} data {facts['data_digest'][:12]}, preset {facts['preset']}, seed {facts['seed']}. "
        f"FID and KID: {features['name']} features, d={features['dim']}, of N={features['n']} of these images. "
        "fg and bg: inside and outside the character. ± is half of a 95 % interval (bootstrap over characters; "
        "KID: jackknife); FID has none. Bold: the best method of a column, and those that a paired bootstrap over "
        "characters (KID: its standard errors) cannot tell from it. "
        f"Made by {'; '.join(facts['commands'])} at commit {', '.join(facts['commits'])}."
    )
