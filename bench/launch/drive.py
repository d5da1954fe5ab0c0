"""The loop behind the launchers: start what can start, the longest first; write the records of cells that are done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.cells import Workplace, stages
from bench.errors import Interrupted
from bench.launch.outcome import Failure, Outcome, Row, title_of
from bench.launch.schedule import Node, ranks
from bench.plan import Later, NotYet, PlannedStage, plan, stage_name
from bench.run import record_cell
from bench.spec import Cell
from bench.train import stop_requested

SAMPLE_SECONDS = 0.1  # of a training that no record tells of; only the order depends on it
QUERY_SAMPLES = 5
STEP_SECONDS = 30.0  # of any other such stage
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Finished:
    """Stages that were started together have ended: well, with a failure, or stopped by a signal."""

    names: tuple[str, ...]
    failure: Failure | None = None
    interrupted: bool = False


class Pool(Protocol):
    """Where stages are done, several at once."""

    whole_chains: bool  # whether stages that wait for nothing but each other are started together

    def has_room(self) -> bool: ...

    def start(self, work: Sequence[PlannedStage]) -> None:
        """Begin stages, to be done one after the other; what the first needs is in the store."""

    def wait(self, seconds: float) -> list[Finished]:
        """What has ended, after so many seconds at the latest."""

    def stop(self, signals: Sequence[int]) -> None:
        """Have all that runs write a checkpoint and end. `signals` grows when the user sends another: end it now."""


def expected(stage: PlannedStage) -> float:
    """Seconds by the records, or a guess that is good enough for an order."""
    if stage.seconds is not None:
        return stage.seconds
    budget: Mapping[str, int] | None = stage.stage.identity.get("budget")
    if budget is None:
        return STEP_SECONDS
    return SAMPLE_SECONDS * (budget["pairs"] + QUERY_SAMPLES * budget["queries"])


def graph(
    planned: Mapping[str, PlannedStage],
    unnamed: Sequence[Later],
    place: Workplace,
    seconds: Callable[[PlannedStage], float],
) -> list[Node]:
    """Planned stages as nodes, and one for the training of each cell that cannot be named yet."""
    nodes = [Node(stage.name, stage.needs, seconds(stage)) for stage in planned.values()]
    for entry in unnamed:
        trained = [stages(cell, place).train for cell in entry.after]
        names = [name for stage in trained if stage is not None and (name := stage_name(stage)) in planned]
        taken = seconds(planned[names[0]]) if names else 0.0
        nodes.append(Node(f"{entry.label}, seed {entry.seed}", tuple(names), taken))
    return nodes


def drive(cells: Sequence[Cell | Later], place: Workplace, pool: Pool) -> Outcome:
    """Do all cells on a pool and write their records. A failure costs the cells that need what failed, no other.

    Raises Interrupted after a signal, and what a full disk raised, when all that ran has written its checkpoint.
    """
    board = _Board(cells, place)
    with stop_requested() as signals, place.report.task("stages") as task:
        try:
            while True:
                for chain in board.ready(pool.whole_chains):
                    if not pool.has_room():
                        break
                    board.start(chain, pool)
                task.update(len(board.done), len(board.planned))
                if not board.running:
                    return board.outcome()
                ended = pool.wait(POLL_SECONDS)
                if signals or any(finished.interrupted for finished in ended):
                    place.report.line("stopping: waiting for checkpoints; once more to stop without them")
                    raise Interrupted("stopped; the same command goes on from the store")
                failures = [finished.failure for finished in ended if finished.failure is not None]
                if fatal := next((failure for failure in failures if failure.stops_all), None):
                    raise fatal.error()
                for finished in ended:
                    board.end(finished)
        except BaseException:
            pool.stop(signals)  # jobs of a cluster would go on without anybody
            raise


class _Board:
    """What is left to do of a list of cells, what runs, and what became of each cell."""

    def __init__(self, cells: Sequence[Cell | Later], place: Workplace) -> None:
        self.planned: dict[str, PlannedStage] = {}
        self.running: set[str] = set()
        self.done: set[str] = set()
        self._entries, self._place = list(cells), place
        self._failed: dict[str, Failure] = {}
        self._named: dict[int, tuple[Cell, str]] = {}  # with the name of its last stage
        self._rows: dict[int, Row] = {}
        self._rank: dict[str, float] = {}
        self._look()

    def ready(self, whole_chains: bool) -> list[list[PlannedStage]]:
        """What can start now, what has most to follow first."""
        free = [
            stage
            for name, stage in self.planned.items()
            if name not in self.done | self.running | self._failed.keys() and self.done.issuperset(stage.needs)
        ]
        free.sort(key=lambda stage: -self._rank[stage.name])
        return [self._chain(stage) if whole_chains else [stage] for stage in free]

    def _chain(self, stage: PlannedStage) -> list[PlannedStage]:
        """`stage` and those behind it, as long as there is exactly one behind it."""
        found = [stage]
        while True:
            behind = [other for other in self.planned.values() if found[-1].name in other.needs]
            if len(behind) != 1:
                return found
            found.append(behind[0])

    def start(self, chain: list[PlannedStage], pool: Pool) -> None:
        """Give stages to the pool; what it does not take has failed."""
        names = tuple(stage.name for stage in chain)
        self.running |= set(names)
        try:
            pool.start(chain)
        except Exception as error:  # whatever a cluster says
            self.end(Finished(names, Failure.of(error)))

    def end(self, finished: Finished) -> None:
        """Stages that were started have ended. A stage of them without a result in the store has failed."""
        self.running -= set(finished.names)
        failure = finished.failure
        for name in finished.names:
            if not self.planned[name].stage.done:
                self._failed[name] = failure or Failure("it ended and left no result in the store", 1)
        self._look()

    def _look(self) -> None:
        """See what is done, name what now can be, settle what is done or has failed."""
        if self._name():
            self._plan()
        self.done |= {name for name, stage in self.planned.items() if name not in self.running and stage.stage.done}
        for stage in self.planned.values():  # each comes after what it needs
            failure = next((self._failed[need] for need in stage.needs if need in self._failed), None)
            if failure is not None:
                self._failed.setdefault(stage.name, failure)
        for number, (cell, last) in self._named.items():
            if number in self._rows:
                continue
            if last in self._failed:
                self._give_up(number, self._failed[last], cell)
            elif last in self.done:
                self._record(number, cell)

    def _record(self, number: int, cell: Cell) -> None:
        try:
            self._rows[number] = Row(title_of(cell), cell.seed, cell, record_cell(cell, self._place))
        except Exception as error:  # a damaged stage costs its own row
            failure = Failure.of(error)
            if failure.stops_all:
                raise
            self._give_up(number, failure, cell)
        else:
            self._place.report.line(f"done: {title_of(cell)}, seed {cell.seed}")

    def _name(self) -> bool:
        """Name the cells that now can be; whether there were any."""
        before = len(self._named)
        for number, entry in enumerate(self._entries):
            if number in self._named or number in self._rows:
                continue
            try:
                cell = entry.name(self._place) if isinstance(entry, Later) else entry
                self._named[number] = (cell, stage_name(stages(cell, self._place).score))
            except NotYet:
                continue
            except Exception as error:  # weights that cannot be had, a method that cannot be imported
                self._give_up(number, Failure.of(error))
        return len(self._named) > before

    def _plan(self) -> None:
        cells = [cell for cell, _ in self._named.values()]
        for stage in plan(cells, self._place):
            self.planned.setdefault(stage.name, stage)
        nodes = graph(self.planned, self._unnamed(), self._place, expected)
        self._rank = ranks(nodes)

    def _unnamed(self) -> list[Later]:
        left = (entry for number, entry in enumerate(self._entries) if number not in self._named.keys() | self._rows)
        return [entry for entry in left if isinstance(entry, Later)]

    def _give_up(self, number: int, failure: Failure, cell: Cell | None = None) -> None:
        entry = self._entries[number]
        self._rows[number] = Row(title_of(entry), entry.seed, cell, failure=failure)
        self._place.report.line(f"FAILED: {title_of(entry)}, seed {entry.seed}: {failure.message}")

    def outcome(self) -> Outcome:
        """What became of every cell, in the order they were given. Nothing runs and nothing can start."""
        for number, entry in enumerate(self._entries):
            if number not in self._rows:
                assert isinstance(entry, Later), "a cell that is named is done or has failed"
                needed = ", ".join(title_of(cell) for cell in entry.after)
                self._give_up(number, Failure(f"it needs trainings that failed: {needed}", 4))
        return Outcome(tuple(self._rows[number] for number in range(len(self._entries))))
