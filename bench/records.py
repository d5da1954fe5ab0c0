"""The record of a scored cell: one JSON file that says everything tables and figures need."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files import read_json, write_json

SCHEMA = 1
KINDS = ("method", "floor")
OPTIONAL = ("lpips",)
"""Metrics that a record has only where their weights were there when it was made."""
INTERVALS = ("ssim", "ssim_foreground", "l1_foreground", "l1_background", *OPTIONAL)
"""Metrics with a mean over images and the bounds of its 95 % interval (null where there is none)."""

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "cell": ("method", "variant", "shots", "adaptation", "preset", "seed", "data", "protocol"),
    "build": ("options", "width", "batch", "parameters", "precision"),
    "budget": ("pairs", "queries", "warm_start_pairs"),
    "data": ("digest", "pixels", "image_size", "characters", "images", "fid_images"),
    "metrics": (*(name for name in INTERVALS if name not in OPTIONAL), "fid", "kid"),
    "features": ("name", "sha256", "dim", "n"),
    "seconds": ("train", "warm_start", "tune", "generate", "score"),
    "environment": ("python", "torch", "processor", "threads", "device"),
    "git": ("commit", "dirty"),
}
"""What each part must hold; it may hold more."""
TEXTS = ("key", "title", "kind", "created", "command", "cell.method", "cell.variant", "cell.adaptation",
         "cell.preset", "cell.data", "cell.protocol", "build.precision", "data.digest", "data.pixels", "features.name",
         "features.sha256")  # fmt: skip
NUMBERS = ("cell.shots", "cell.seed", "build.width", "budget.pairs", "budget.queries", "budget.warm_start_pairs",
           "data.image_size", "data.characters", "data.images", "data.fid_images", "features.dim", "features.n",
           *(f"seconds.{name}" for name in REQUIRED["seconds"]))  # fmt: skip
OBJECTS = ("build.options", "build.parameters", "metrics", "per_character")
"""Fields by what they are, where that is looked at."""


@dataclass(frozen=True)
class Record:
    """One scored cell. Seconds are wall-clock, L1 is of colours in [0, 1]; KID is not scaled."""

    schema: int
    key: str  # of the score stage
    cell: Mapping[str, Any]
    title: str  # the row's name in a table
    kind: str  # of KINDS
    build: Mapping[str, Any]
    budget: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float | None]]
    features: Mapping[str, Any]
    per_character: Mapping[str, Mapping[str, float]]  # means over the images of one character
    finetune: Mapping[str, Any] | None  # the schedule used, and the curve it was chosen from
    notes: tuple[str, ...]  # footnotes
    seconds: Mapping[str, float]
    environment: Mapping[str, Any]
    git: Mapping[str, Any]
    created: str  # ISO 8601
    command: str
    extra: Mapping[str, Any] = field(default_factory=dict)  # anything a later version adds

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Record:
        """The record in `value`; raises DataError with every missing, unknown or impossible field."""
        if not isinstance(value, Mapping):
            raise DataError(f"not a record but a JSON {type(value).__name__}")
        faults = list(_faults(value))
        if faults:
            raise DataError("not a record: " + "; ".join(faults))
        return cls(**{**value, "notes": tuple(value["notes"])})

    def centre(self, metric: str) -> float:
        """The mean over images, or the one value of a metric that is a distance between sets."""
        value = self.metrics[metric]["mean" if metric in INTERVALS else "value"]
        assert value is not None  # `from_dict` refuses a record without it
        return value

    @property
    def trained_on(self) -> Mapping[str, Any] | None:
        """Name and digests of the training data, where the scores are of another data set; `data` names that one."""
        found: Mapping[str, Any] | None = self.data.get("trained_on")
        return found

    @property
    def joints(self) -> str:
        """Of the test characters: "exact" or "detected"; `data["joints"]` says by what."""
        return str(self.cell.get("joints", "exact"))

    @property
    def trial(self) -> str:
        """Words to put behind a title where it was tested on a second data set or with detected joints."""
        where = f", tested on {self.data['name']}" if self.trained_on else ""
        return where + ("" if self.joints == "exact" else f", {self.joints} joints")

    def has(self, metric: str) -> bool:
        return metric in self.metrics

    def half_width(self, metric: str) -> float | None:
        """Half of the 95 % interval: of the bootstrap, or 1.96 standard errors (KID); None where there is none."""
        value = self.metrics[metric]
        low, high, error = value.get("low"), value.get("high"), value.get("error")
        if low is not None and high is not None:
            return (high - low) / 2
        return None if error is None else 1.96 * error

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; `from_dict` gives the same record back."""
        return {**asdict(self), "notes": list(self.notes)}


def _faults(value: Mapping[str, Any]) -> Iterator[str]:
    known = [f.name for f in fields(Record)]
    for name in sorted(set(known) - {"extra"} - set(value)):
        yield f"no field '{name}'"
    for name in sorted(set(value) - set(known)):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "what is new goes in 'extra'"
        yield f"unknown field '{name}' ({hint})"
    if value.get("schema", SCHEMA) != SCHEMA:
        yield f"schema {value['schema']}, this version reads {SCHEMA}: run the cell again"
    if value.get("kind", "method") not in KINDS:
        yield f"kind '{value['kind']}', known: {', '.join(KINDS)}"
    for part, names in REQUIRED.items():
        if part not in value:
            continue
        if not isinstance(value[part], Mapping):
            yield f"'{part}' is not an object"
            continue
        for name in names:
            if name not in value[part]:
                yield f"no field '{part}.{name}'"
    yield from _type_faults(value)
    if isinstance(value.get("metrics"), Mapping):
        yield from _metric_faults(value["metrics"])
    for name, scores in _mapping(value.get("per_character")).items():
        for metric, score in _mapping(scores).items():
            if not _is_number(score):
                yield f"'per_character.{name}.{metric}' is {score!r}, not a finite number"


def _type_faults(value: Mapping[str, Any]) -> Iterator[str]:
    def at(path: str) -> Any:
        part, _, name = path.partition(".")
        return _mapping(value.get(part)).get(name, missing) if name else value.get(part, missing)

    missing = object()  # said elsewhere
    for paths, fits, what in (
        (TEXTS, lambda found: isinstance(found, str), "text"),
        (NUMBERS, _is_number, "a finite number"),
        (OBJECTS, lambda found: isinstance(found, Mapping), "an object"),
        (("finetune",), _is_schedule, "a schedule or null"),
        (("notes",), lambda found: isinstance(found, list | tuple) and all(isinstance(n, str) for n in found), "texts"),
    ):
        for path in paths:
            found = at(path)
            if found is not missing and not fits(found):
                yield f"'{path}' is {found!r:.80}, not {what}"
    for name, scores in _mapping(value.get("per_character")).items():
        if not isinstance(scores, Mapping):
            yield f"'per_character.{name}' is not an object"


def _metric_faults(metrics: Mapping[str, Any]) -> Iterator[str]:
    for name, metric in metrics.items():
        if not isinstance(metric, Mapping):
            yield f"'metrics.{name}' is not an object"
            continue
        centre = "mean" if name in INTERVALS else "value"
        for needed in (centre, "low", "high") if name in INTERVALS else (centre,):
            if needed not in metric:
                yield f"no field 'metrics.{name}.{needed}'"
        for part, number in metric.items():
            absent = number is None and part != centre
            if not (absent or _is_number(number)):
                yield f"'metrics.{name}.{part}' is {number!r}, not a finite number"


def _is_schedule(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and all(_is_number(value.get(n)) for n in ("lr", "passes")))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    # a comparison, since NaN fails it and a whole number too large for a float does not raise
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def write_record(path: Path, record: Record) -> None:
    """Write `record` atomically; raises DataError for one that could not be read back."""
    value = record.to_dict()
    Record.from_dict(value)
    write_json(path, value)


def read_record(path: Path) -> Record:
    """The record in a JSON file; raises DataError that names the file."""
    try:
        return Record.from_dict(read_json(path))
    except (OSError, ValueError, RecursionError, DataError) as error:  # JSONDecodeError is a ValueError
        raise DataError(f"{path}: {error}") from error


def read_records(folder: Path) -> list[Record]:
    """Every record of a folder, by file name."""
    return [read_record(path) for path in sorted(folder.glob("*.json"))]


def scored_on(records: Sequence[Record], digest: str | None, joints: str = "exact") -> list[Record]:
    """The records whose scores are of the second data set of that digest, with these joints of its test characters.

    None: of their own training data's.
    """
    return [
        record
        for record in records
        if record.joints == joints and (record.data["digest"] if record.trained_on else None) == digest
    ]


def joints_of(record: Record) -> str:
    """Of the test characters, in words: `exact`, or `detected by movenet (weights a2925747, score from 0.2)`."""
    if record.joints == "exact":
        return "exact"
    by = record.data.get("joints")
    return detected_by(by) if by else "detected"


def detected_by(identity: Mapping[str, Any]) -> str:
    """What was used, in words, of what `bench.pose.joints.joints_identity` gives."""
    return (
        f"detected by {identity['detector']} (weights {identity['weights'][:8]}, score from {identity['threshold']:g})"
    )


def comparable(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The records that can stand beside the newest one, and the titles of those that cannot.

    A folder of records keeps those of an earlier data set or of other FID features until they are made again. Those
    of detected joints stand beside none of exact ones, however new they are, and so do those of a second data set
    beside none that were tested on the data they were trained on.
    """
    if not records:
        return [], []

    def side(record: Record) -> tuple[Any, ...]:
        return (
            record.joints,
            str(record.data.get("joints")),
            str(record.trained_on),
            *(record.data[part] for part in ("digest", "image_size", "images")),
            *map(str, record.features.values()),
        )

    def rank(record: Record) -> tuple[Any, ...]:
        return record.joints == "exact", record.trained_on is None, record.created

    newest = side(max(records, key=rank))
    return [r for r in records if side(r) == newest], [r.title for r in records if side(r) != newest]


def refuse_mixed(records: Sequence[Record], any_joints: bool = False) -> None:
    """Raises DataError, naming what differs and whose it is, unless the scores can stand side by side.

    They can with one preset, training and test data, joints of the test characters (unless `any_joints`), image size,
    number of images, FID features and N; seeds are pooled.
    """
    if not records:
        raise DataError("a table needs at least one record; make them with `bench table1`")
    what: dict[str, Callable[[Record], Any]] = {
        "preset": lambda r: r.cell["preset"],
        "data digest": lambda r: r.data["digest"],
        "training data": lambda r: (
            f"{r.trained_on['name']} {r.trained_on['digest'][:12]}" if r.trained_on else "its own"
        ),
        "joints": lambda r: "any" if any_joints else joints_of(r),
        "image size": lambda r: r.data["image_size"],
        "number of images": lambda r: r.data["images"],
        "FID features": lambda r: f"{r.features['name']} {r.features['sha256'][:12]} d={r.features['dim']}",
        "N of FID": lambda r: r.features["n"],
    }
    faults = []
    for name, value_of in what.items():
        found: dict[Any, list[str]] = {}
        for record in records:
            found.setdefault(value_of(record), []).append(record.title)
        if len(found) > 1:
            sides = " / ".join(f"{value}: {', '.join(titles)}" for value, titles in found.items())
            faults.append(f"{name} ({sides})")
    if faults:
        raise DataError(
            f"these records cannot stand in one table; they differ in {'; '.join(faults)}. "
            "Run the cells again with the same --preset, --data, --test-data, --joints and --features"
        )
