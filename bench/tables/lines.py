"""What is printed: the rows of a table with their titles, footnotes and the paper's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.paper_numbers import Published, published
from bench.records import Record
from bench.tables.rows import Pooled, RowName, by_name

TRUTH_NOTE = (
    "Real images of one clip against those of the other; image by image they would be scored against themselves"
)


class Footnotes:
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
class Line:
    """A row to print: what was measured, None for a row that has no record, and its footnotes."""

    title: str
    row: Pooled | None
    paper: Published | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, row: Pooled) -> Line:
        """A row under its own title, beside the paper's if it has one."""
        cell = row.record.cell
        paper = published(cell["method"], cell["variant"], cell["shots"], cell["adaptation"])
        return cls(row.title, row, paper, notes_of(row) + (paper.notes if paper else ()))


@dataclass(frozen=True)
class Section:
    """Rows under one heading."""

    name: str
    heading: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Slot:
    """A row a table always has, under the title the paper gives it."""

    title: str
    name: RowName
    paper: Published | None = None
    known_as: tuple[str, ...] = ()  # further titles under which a reason for its absence may come


def command_of(table: str, record: Record) -> str:
    """The command that makes the rows of a table that stand beside a record."""
    second = f" --test-data {record.data['name']}" if record.trained_on else ""
    joints = "" if record.joints == "exact" else f" --joints {record.joints}"
    return f"bench {table} --preset {record.cell['preset']}{second}{joints}"


def fill(slots: Sequence[Slot], rows: Sequence[Pooled], missing: Mapping[str, str], command: str) -> list[Line]:
    """The slots with what was measured. `missing`: title -> why a row, or one seed of it, has no record."""
    found = by_name(rows)
    return [_filled(slot, found.get(slot.name), missing, command) for slot in slots]


def _filled(slot: Slot, row: Pooled | None, missing: Mapping[str, str], command: str) -> Line:
    reason = next((missing[title] for title in (slot.title, *slot.known_as) if title in missing), None)
    paper = slot.paper.notes if slot.paper else ()
    if row is None:
        notes = (f"No record: {reason or f'{command} has not made it yet'}", *paper)
    else:
        notes = (*notes_of(row), *([f"A seed is missing: {reason}"] if reason else []), *paper)
    return Line(slot.title, row, slot.paper, notes)


def left_out(missing: Mapping[str, str], printed: Sequence[Line], slots: Sequence[Slot]) -> list[Line]:
    """A line for every missing row that no slot speaks of."""
    known = {title for slot in slots for title in (slot.title, *slot.known_as)} | {line.title for line in printed}
    return [
        Line(title, None, None, (f"No record: {reason}",)) for title, reason in missing.items() if title not in known
    ]


def notes_of(row: Pooled) -> tuple[str, ...]:
    """Its own notes, how it was fine-tuned, and what its minutes hold."""
    record = row.record
    notes = [*record.notes, *_floor_notes(record), *_schedules(row)]
    if record.seconds["warm_start"]:
        notes.append(
            f"Its minutes include {record.seconds['warm_start'] / 60:.1f} of a warm start, "
            "trained once for all rows that start from it"
        )
    return tuple(notes)


def _floor_notes(record: Record) -> list[str]:
    """What the scores of a floor do not mean."""
    method = record.cell["method"]
    if method == "truth":
        return [TRUTH_NOTE]
    if method not in ("copy-source", "white"):
        return []
    distinct = "one image" if method == "white" else f"{record.data['characters']} distinct ones"
    return [
        f"Its {record.features['n']} images are copies of {distinct}, and KID takes them for independent: "
        "copies are compared with themselves, which biases it, and its ± is too narrow"
    ]


def _schedules(row: Pooled) -> Iterator[str]:
    """How it was fine-tuned; every seed chooses a schedule of its own."""
    chosen: dict[str, list[str]] = {}
    rule = ""
    for seed, member in zip(row.seeds, row.members, strict=True):
        schedule = member.finetune
        if not schedule:
            continue
        chosen.setdefault(_schedule(schedule), []).append(str(seed))
        rule = f", chosen on {schedule['chosen_on']}" if schedule.get("chosen_on") else ""
    if chosen:
        several = [f"{text} (seed {', '.join(seeds)})" for text, seeds in chosen.items()]
        yield f"Fine-tuned on the support set: {'; '.join(several if len(chosen) > 1 else chosen)}{rule}"


def _schedule(schedule: Mapping[str, Any]) -> str:
    """A schedule, and where it is the first or last of those tried: what lies beyond might be better still."""
    tried = [point for point in schedule.get("curve", ()) if point["passes"] > 0]
    rate, passes = schedule["lr"], schedule["passes"]
    rates, counts = sorted({point["lr"] for point in tried}), sorted({point["passes"] for point in tried})
    ends = ""
    if len(rates) > 1 and rate in (rates[0], rates[-1]):
        ends += f" (the {'lowest' if rate == rates[0] else 'highest'} tried)"
    most = " (the most tried)" if len(counts) > 1 and passes == counts[-1] else ""
    return f"learning rate {rate:g}{ends}, {passes} {'pass' if passes == 1 else 'passes'}{most}"


def shared_notes(lines: Sequence[Line]) -> list[Line]:
    """The same lines; notes that differ between them by the method's name alone are made the same."""
    users: dict[str, set[str]] = {}
    for line in lines:
        for note in line.notes:
            users.setdefault(_bare(line, note), set()).add(line.title)

    def share(line: Line, note: str) -> str:
        bare = _bare(line, note)
        return bare if len(users[bare]) > 1 else note

    return [replace(line, notes=tuple(share(line, note) for note in line.notes)) for line in lines]


def _bare(line: Line, note: str) -> str:
    """The note without the method's name in front: `PATN channels × 0.25` -> `Channels × 0.25`."""
    for name in (line.title, line.title.split(" (")[0]):
        if note.startswith(f"{name} "):
            rest = note[len(name) + 1 :]
            return rest[:1].upper() + rest[1:]
    return note
