"""What the makers of figures work with: the cells they may show, their data, and the words for what is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.cells import Workplace, data_pack, record_name
from bench.data.pack import Pack
from bench.errors import SkippedError
from bench.illustrate.people import Framing, Person, read_people
from bench.illustrate.pictures import Drawn, Model, NotInStore, drawn, model
from bench.plan import BASELINES
from bench.presets import preset
from bench.records import Record, read_record
from bench.run import row_title
from bench.spec import FLOORS, Cell
from bench.store import default_root

METHODS_OF_TABLE1 = (*BASELINES, "ours")


@dataclass(frozen=True)
class Made:
    """A figure that was made: its files, a caption that says what it shows, and what could not be shown."""

    paths: list[Path]
    caption: str
    left_out: list[str] = field(default_factory=list)


class Studio:
    """One preset, seed and store. What is read is read once and kept: several figures show the same."""

    def __init__(self, base: Cell, place: Workplace, people: Path | None = None) -> None:
        self.base, self.place, self.people_folder = base, place, people
        self.folder = place.results / base.preset / "figures"
        self._models: dict[str, Model] = {}

    def ours(self, variant: str = "msl", shots: int = 1, adaptation: str = "default") -> Cell:
        """A cell of Ours."""
        return replace(self.base, method="ours", variant=variant, shots=shots, adaptation=adaptation)

    @cached_property
    def pack(self) -> Pack:
        return data_pack(preset(self.base.preset), self.place)

    @cached_property
    def people(self) -> list[Person]:
        """The people of `--people`, framed as the sources of the test set are."""
        assert self.people_folder is not None
        sources = [self.pack.view_of(int(character), "front") for character in self.pack.characters("test")]
        found = read_people(self.people_folder, self.pack.image_size, Framing.of(self.pack.keypoints[sources]))
        for person in found:
            if not person.white_background:
                self.place.report.line(f"{person.name}: its background is not white; methods expect it removed")
        return found

    @cached_property
    def records(self) -> dict[str, Record]:
        """Records of the preset by file name that can stand side by side: of the data and features most of them have.

        Raises SkippedError where there is none.
        """
        paths = sorted((self.place.results / self.base.preset / "records").glob("*.json"))
        every = {path.stem: read_record(path) for path in paths}
        if not every:
            raise SkippedError(f"no records in {self.place.results / self.base.preset / 'records'}")

        def kind(record: Record) -> tuple[object, ...]:
            return record.data["digest"], record.data["images"], record.features["sha256"]

        usual = Counter(kind(record) for record in every.values()).most_common(1)[0][0]
        return {name: record for name, record in every.items() if kind(record) == usual}

    def further_methods(self) -> list[Cell]:
        """Cells of the methods that have a record and stand in no table by themselves: a user's own, or a newer one."""
        known = {*METHODS_OF_TABLE1, *FLOORS}
        try:
            names = {str(record.cell["method"]) for record in self.records.values()} - known
        except SkippedError:
            return []
        return [replace(self.base, method=name, variant="", shots=1, adaptation="default") for name in sorted(names)]

    def model(self, cell: Cell) -> Model:
        """The trained model of a cell; raises NotInStore."""
        key = record_name(cell)
        if key not in self._models:
            self._models[key] = model(cell, self.place)
        return self._models[key]

    def drawn(self, cells: Iterable[Cell], required: Cell) -> tuple[dict[str, Drawn], list[str]]:
        """What the cells drew, by row title, and the titles of those that drew nothing yet.

        Raises NotInStore if `required` is among these.
        """
        found, missing = {}, []
        for cell in cells:
            try:
                found[row_title(cell)] = drawn(cell, self.place)
            except NotInStore:
                if cell == required:
                    raise
                missing.append(row_title(cell))
        return found, missing

    def command(self, name: str) -> str:
        """The command line that makes what a figure needs, with the options of this one."""
        words = ["bench", name, "--preset", self.base.preset]
        for option, value, usual in (
            ("--seed", self.base.seed, 0),
            ("--data", self.place.data, None),
            ("--store", self.place.store, default_root()),
            ("--results", self.place.results, Path("results")),
        ):
            if value != usual:
                words += [option, str(value)]
        return " ".join(words)
