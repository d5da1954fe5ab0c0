"""Cells taken from their records alone: a table printed again, or of records that several machines made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.cells import Workplace, record_path, stages, trial_of
from bench.errors import DataError, SkippedError
from bench.launch.outcome import Failure, Outcome, Row, title_of
from bench.plan import Later
from bench.records import Record, read_record, read_records
from bench.spec import Cell


def from_records(cells: Sequence[Cell | Later], place: Workplace) -> Outcome:
    """The record of each cell under `place.results`; nothing is run.

    A cell without a record, or whose record other code, data, weights or settings made, is left out with the reason.
    Raises WeightsMissing where keys cannot be computed.
    """
    rows = []
    for entry in cells:
        title, cell = title_of(entry), None
        try:
            cell = _measured(entry, place) if isinstance(entry, Later) else entry
            rows.append(Row(title, entry.seed, cell, _record_of(cell, place)))
        except (SkippedError, DataError) as error:
            rows.append(Row(title, entry.seed, cell, failure=Failure.of(error)))
    return Outcome(tuple(rows))


def _record_of(cell: Cell, place: Workplace) -> Record:
    found = stages(cell, place)
    path = record_path(found, place.results)
    if not path.exists():
        raise SkippedError(f"there is no {path}; without --from-records it is made")
    record = read_record(path)
    if record.key != found.score.key:
        raise SkippedError(f"{path} was made by other code, data or settings; without --from-records it is made anew")
    return record


def _measured(entry: Later, place: Workplace) -> Cell:
    """The cell of an entry that is named by measured times, from its record, which has the number of pairs."""
    joint = entry.after[-1]
    folder = place.results / joint.preset / "records"
    for record in trial_of(joint, place).scores_in(read_records(folder)):
        if entry.label in record.title and record.cell["seed"] == entry.seed:
            return replace(joint, extra_pairs=int(record.budget["pairs"]), label=entry.label)
    raise SkippedError(f"{folder} has no record of it; without --from-records it is made")
