"""Recomputing a record from its stored images: do the numbers that were published follow from them?

And is the rest of it what the stages behind it say?
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.data.pack import Pack, open_pack
from bench.errors import DataError
from bench.files import read_json
from bench.lineage import disagreements, kept_stage
from bench.metrics.features import Extractor
from bench.metrics.lpips import LPIPS
from bench.progress import Task
from bench.records import Record
from bench.score import score
from bench.store import UNREADABLE, check_stage

COUNTS = ("characters", "images", "fid_images")
"""Fields of a record's `data` that its images give again."""


@dataclass(frozen=True)
class Difference:
    """One number of a record that its images do not give, or one field that its stages do not."""

    field: str
    recorded: Any
    recomputed: Any
    stored: bool = False  # `recomputed` is no number of the images but what the store has of the stages

    def __str__(self) -> str:
        return f"{self.field} {self.recorded}{', in the store' if self.stored else ' recomputed as'} {self.recomputed}"


def stage_folder(store: Path, kind: str, key: str) -> Path | None:
    """The finished stage of that key, whatever code the suite has now."""
    for done in (store / kind).glob("*/done.json"):
        try:
            if read_json(done)["key"] == key:
                return done.parent
        except UNREADABLE:
            continue  # half a file of a killed machine; the stage counts as not there
    return None


class Damaged(DataError):
    """Images that are in the store and are not what was drawn."""


def images_of(record: Record, store: Path) -> Path:
    """The folder with the images a record was scored on; raises DataError that says how to make them again.

    Damaged: their sha256 is not the recorded one.
    """
    again = f"make them again with: {record.command}"
    scored = stage_folder(store, "score", record.key)
    if scored is None:
        raise DataError(f"'{record.title}': its scores are not in {store}; {again}")
    try:
        key = str(read_json(scored / "stage.json")["identity"]["generate"])
    except UNREADABLE as error:
        raise Damaged(
            f"'{record.title}': {scored / 'stage.json'} is damaged ({type(error).__name__}: {error}); delete the "
            f"folder {scored} and {again}"
        ) from error
    drawn = stage_folder(store, "generate", key)
    if drawn is None:
        raise DataError(f"'{record.title}': its images are not in {store}; {again}")
    try:
        check_stage(drawn)
    except DataError as error:
        raise Damaged(f"'{record.title}': {error}: {record.command}") from error
    return drawn


def pack_of(record: Record, store: Path, folders: Sequence[Path] = ()) -> Pack:
    """The data a record was scored on: one of `folders`, or in the store.

    Raises DataError where it is none of them, and where it is damaged.
    """
    digest = str(record.data["digest"])
    for folder in (*folders, store / "packs" / f"{digest[:12]}-{record.data['image_size']}"):
        if folder.is_dir() and (pack := open_pack(folder)).digest == digest:
            pack.check()
            return pack
    option = "--test-data" if record.trained_on else "--data"
    where = ", ".join(map(str, (*folders, store)))
    raise DataError(
        f"'{record.title}' was scored on data {digest[:12]}, which are not in {where}; name their folder with {option}"
    )


def verify(
    record: Record,
    store: Path,
    device: torch.device,
    task: Task,
    folders: Sequence[Path] = (),
    tolerance: float = 1e-4,
    features: Path | None = None,
) -> list[Difference]:
    """Every score of `record` that its stored images do not give again, and what its stages say otherwise.

    Features of the reference frames are computed again, since the file in the store may be damaged; `features` is a
    new folder that keeps them from one record to the next. `tolerance` is relative, with 1e-6 beside it for numbers
    near zero: another machine sums in another order, which moves FID in its fifth digit or so. Raises DataError when
    images or data are not there or are damaged.
    """
    drawn, pack = images_of(record, store), pack_of(record, store, folders)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            lpips = LPIPS(device) if "lpips" in _scored(record, store) else None
            extractor = Extractor(record.features["name"], device)
            found = score(drawn, pack, Path(scratch), extractor, features or Path(scratch), task, lpips)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"'{record.title}': the images in {drawn} are damaged ({error})") from error
    if found["features"]["sha256"] != record.features["sha256"]:
        raise DataError(f"'{record.title}': the weights of {record.features['name']} are others than when it was made")
    recorded = _numbers(record.to_dict()) | {f"data.{name}": record.data[name] for name in COUNTS}
    counts = (found["characters"], found["images"], found["features"]["n"])
    recomputed = _numbers(found) | {f"data.{name}": count for name, count in zip(COUNTS, counts, strict=True)}
    return [Difference(*fields, stored=True) for fields in disagreements(record, store)] + [
        Difference(name, recorded.get(name), recomputed.get(name))
        for name in sorted(recorded.keys() | recomputed.keys())
        if not _same(recorded.get(name), recomputed.get(name), tolerance)
    ]


def _scored(record: Record, store: Path) -> Collection[str]:
    """The metrics that were computed, be they in the record or not."""
    stage = kept_stage(store, "score", record.key)
    found: Collection[str] = stage.summary.get("metrics", record.metrics) if stage else record.metrics
    return found


def _numbers(value: Mapping[str, Any]) -> dict[str, float | None]:
    sizes = {f"features.{name}": value["features"][name] for name in ("dim", "n")}
    return _flat("metrics", value["metrics"]) | _flat("per_character", value["per_character"]) | sizes


def _flat(prefix: str, value: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    return {f"{prefix}.{name}.{part}": number for name, parts in value.items() for part, number in parts.items()}


def _same(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    if isinstance(one, int) and isinstance(other, int):  # counts
        return one == other
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-6)
