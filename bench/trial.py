"""What rows are put to: whose test characters, under which joints. Rows of two trials never stand in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.pack import Pack
from bench.errors import UsageError
from bench.records import Record, read_record, scored_on
from bench.spec import EXACT


def slug(text: str) -> str:
    """`text` as a part of a file's name."""
    return "".join(c if c.isalnum() or c in "-." else "_" for c in text)


def crossed_suffix(tested: Pack | None) -> str:
    """What names of files about a second data set end in: `-on-NAME`, NAME being its folder's; else nothing."""
    return "" if tested is None else f"-on-{slug(tested.folder.resolve().name)}"


@dataclass(frozen=True)
class Trial:
    """A test set and the joints that its characters have."""

    tested: Pack | None = None  # a second data set; None: the training data's test characters
    joints: str = EXACT  # of JOINTS

    @property
    def suffix(self) -> str:
        """What names of its files end in: `-detected-joints-on-NAME`, `-on-NAME`, or nothing."""
        return ("" if self.joints == EXACT else f"-{self.joints}-joints") + crossed_suffix(self.tested)

    def figures(self, results: Path, preset: str) -> Path:
        """Where its figures of a preset go: a folder of their own but for the usual trial."""
        return results / preset / "figures" / self.suffix.removeprefix("-")

    def scores_in(self, records: Sequence[Record]) -> list[Record]:
        """The records whose scores are of this trial."""
        return scored_on(records, self.tested.digest if self.tested else None, self.joints)


def refuse_taken_name(tested: Pack, records: Path, given: Path) -> None:
    """Raises UsageError where records of other data bear the name of `tested`, and would be overwritten."""
    suffix = crossed_suffix(tested)
    for path in sorted(records.glob(f"*{suffix}.json")):
        record = read_record(path)
        same_name = record.trained_on is not None and f"-on-{slug(record.data['name'])}" == suffix
        if same_name and record.data["digest"] != tested.digest:
            raise UsageError(
                f"--test-data {given}: {path} is of another data set of that name ({record.data['digest'][:12]}, and "
                f"this one is {tested.digest[:12]}); rename this folder, or remove *{suffix}.json there if these data "
                "replace those"
            )
