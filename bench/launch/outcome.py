"""What became of a list of cells, whichever launcher did them; and the plainest launcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cells import Workplace
from bench.errors import FULL, BenchError, DiskFull, Interrupted, RankFailed
from bench.plan import Later
from bench.records import Record
from bench.run import row_title, run_cell
from bench.spec import Cell


@dataclass(frozen=True)
class Failure:
    """Why a cell could not be done."""

    message: str
    exit_code: int
    stops_all: bool = False  # the other cells would fail of it too: tried, and left out of a table that has them

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """An error of ours says what to do; of any other, its type belongs to what it says."""
        if isinstance(error, OSError) and error.errno in FULL:
            error = DiskFull(error.filename or "a file")
        if isinstance(error, BenchError):
            return cls(str(error), error.exit_code, isinstance(error, DiskFull | RankFailed))
        return cls(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", BenchError.exit_code)

    def error(self) -> BenchError:
        """To end a command with."""
        raised = BenchError(self.message)
        raised.exit_code = self.exit_code
        return raised


@dataclass(frozen=True)
class Row:
    """One cell of the list: its record, or why there is none."""

    title: str
    seed: int
    cell: Cell | None = None  # None: it could not even be named
    record: Record | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of each cell of a list, in its order."""

    rows: tuple[Row, ...]

    @property
    def done(self) -> list[tuple[Cell, Record]]:
        return [(row.cell, row.record) for row in self.rows if row.cell is not None and row.record is not None]

    @property
    def missing(self) -> dict[str, str]:
        """Row title -> why a seed of it has no record."""
        return {row.title: row.failure.message for row in self.rows if row.failure is not None}

    def require_any(self) -> None:
        """Raises the first failure when no cell at all was done."""
        failures = [row.failure for row in self.rows if row.failure is not None]
        if failures and len(failures) == len(self.rows):
            raise failures[0].error()


def title_of(entry: Cell | Later) -> str:
    return entry.label if isinstance(entry, Later) else row_title(entry)


def one_after_the_other(cells: Sequence[Cell | Later], place: Workplace) -> Outcome:
    """Do all cells in this process, in order. One that fails is said aloud and left out; the rest goes on.

    Raises Interrupted after a signal, and what ends all of them, such as a full disk.
    """
    rows = []
    for number, entry in enumerate(cells):
        title, cell = title_of(entry), None
        place.report.line(f"[{number + 1}/{len(cells)}] {title}, seed {entry.seed}")
        try:
            cell = entry.name(place) if isinstance(entry, Later) else entry
            rows.append(Row(title, entry.seed, cell, run_cell(cell, place)))
        except Interrupted:
            raise
        except Exception as error:  # a method of anybody's may raise anything
            failure = Failure.of(error)
            if failure.stops_all:
                raise failure.error() from error
            place.report.line(f"FAILED: {title}, seed {entry.seed}: {failure.message}")
            rows.append(Row(title, entry.seed, cell, failure=failure))
    return Outcome(tuple(rows))
