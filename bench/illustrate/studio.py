"""What the makers of figures work with: the cells they may show, their data, and the words for what is not there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.build import method_class
from bench.cells import Workplace, data_pack, record_name, trial_of
from bench.data.pack import Pack
from bench.data.people import Framing, Person, read_people
from bench.errors import SkippedError, UsageError
from bench.illustrate.pictures import Drawn, Model, NotInStore, drawn, model
from bench.plan import BASELINES
from bench.pose.joints import joints_identity, with_detected_joints
from bench.presets import preset
from bench.records import Record, comparable, detected_by, read_record
from bench.run import row_title
from bench.spec import EXACT, FLOORS, Cell
from bench.store import default_root


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
        self.trial = trial_of(base, place)
        self.folder = self.trial.figures(place.results, base.preset)
        self._models: dict[str, Model] = {}
        self._pictures: dict[str, Drawn] = {}

    @property
    def trial_note(self) -> str:
        """What a caption says of a second data set and of detected joints."""
        tested = self.trial.tested
        data = f" Tested on other data than trained on: {tested.folder.resolve().name}." if tested else ""
        if self.base.joints == EXACT:
            return data
        by = joints_identity()
        return f"{data} Joints of the test characters {detected_by(by)}."

    def ours(self, variant: str = "msl", shots: int = 1, adaptation: str = "default") -> Cell:
        """A cell of Ours."""
        return replace(self.base, method="ours", variant=variant, shots=shots, adaptation=adaptation)

    @cached_property
    def exact(self) -> Pack:
        """The data whose test characters are shown, under their own joints."""
        return self.trial.tested or data_pack(preset(self.base.preset), self.place)

    @cached_property
    def pack(self) -> Pack:
        """The same under the joints that the methods were given."""
        if self.base.joints == EXACT:
            return self.exact
        with self.place.report.task("detect the joints of the test characters") as task:
            return with_detected_joints(self.exact, self.place.store, task)

    @cached_property
    def people(self) -> list[Person]:
        """The people of `--people`, framed as the sources of the test set are."""
        assert self.people_folder is not None
        sources = [self.exact.view_of(int(character), "front") for character in self.exact.characters("test")]
        found = read_people(self.people_folder, self.exact.image_size, Framing.of(self.exact.keypoints[sources]))
        for person in found:
            if not person.white_background:
                self.place.report.line(f"{person.name}: its background is not white; methods expect it removed")
        return found

    @cached_property
    def records(self) -> dict[str, Record]:
        """Records of the preset and trial by file name, without those that cannot stand beside the newest one.

        Raises SkippedError where there is none.
        """
        folder = self.place.results / self.base.preset / "records"
        every = {path.stem: read_record(path) for path in sorted(folder.glob("*.json"))}
        if not every:
            raise SkippedError(f"no records in {folder}")
        kept, _ = comparable(self.trial.scores_in(list(every.values())))
        return {name: record for name, record in every.items() if record in kept}

    def further_methods(self) -> list[Cell]:
        """Cells of the methods that have a record and stand in no table by themselves: a user's own, or a newer one."""
        try:
            names = {str(record.cell["method"]) for record in self.records.values()} - {*BASELINES, "ours", *FLOORS}
        except SkippedError:
            return []
        found = []
        for name in sorted(names):
            # pictures made elsewhere have a record too, but no method that drew them
            with contextlib.suppress(UsageError):
                method_class(name)
                found.append(replace(self.base, method=name, variant="", shots=1, adaptation="default"))
        return found

    def model(self, cell: Cell) -> Model:
        """The trained model of a cell; raises NotInStore."""
        key = record_name(cell)
        if key not in self._models:
            self._models[key] = model(cell, self.place)
        return self._models[key]

    def pictures(self, cell: Cell) -> Drawn:
        """What a cell drew; raises NotInStore, and DataError for what is damaged."""
        key = record_name(cell)
        if key not in self._pictures:
            self._pictures[key] = drawn(cell, self.place)
        return self._pictures[key]

    def drawn(self, cells: Iterable[Cell], required: Cell) -> tuple[dict[str, Drawn], list[str]]:
        """What the cells drew, by row title, and the titles of those that drew nothing yet.

        Raises NotInStore if `required` is among these.
        """
        found, missing = {}, []
        for cell in cells:
            try:
                found[row_title(cell)] = self.pictures(cell)
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
            ("--test-data", self.place.test_data, None),
            ("--joints", self.base.joints, EXACT),
            ("--store", self.place.store, default_root()),
            ("--results", self.place.results, Path("results")),
        ):
            if value != usual:
                words += [option, str(value)]
        return " ".join(words)
