"""What `bench time` has measured, as values and as the JSON file that Table 3 is printed from.

All times are wall-clock seconds, memory is in bytes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.files import read_json

SCHEMA = 1


@dataclass(frozen=True)
class Spread:
    """Seconds of one operation over its timed repetitions."""

    median: float
    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        if not all(isinstance(seconds, int | float) for seconds in (self.median, self.low, self.high)):
            raise TypeError(f"seconds are numbers, not {self.median!r}")

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        return cls(statistics.median(seconds), min(seconds), max(seconds), len(seconds))

    def times(self, factor: float) -> Spread:
        """The same repetitions of an operation `factor` times as long."""
        return Spread(self.median * factor, self.low * factor, self.high * factor, self.count)


@dataclass(frozen=True)
class Part:
    """A part of training whose steps all cost the same: a phase, or a stretch of one."""

    name: str
    share: float  # of the pairs, or queries, that the whole training sees
    pairs: int  # pairs, or queries, a step
    samples: int  # a step; queries and the support samples of the inner steps
    step: Spread
    data: Spread  # making the batch of a step


@dataclass(frozen=True)
class Measurement:
    """One method, at the networks and the batch of a preset."""

    method: str
    variant: str
    title: str
    parts: tuple[Part, ...]
    adapt: Spread | None  # a character; None: the method was not asked to adapt, or `notes` says why not
    generate: Spread  # an image
    memory: int | None  # what training steps added at their peak; None: this system does not tell
    parameters: int  # trainable, of all networks
    macs: int  # multiply-accumulates of generating one image
    notes: tuple[str, ...]  # footnotes

    @property
    def samples_a_pair(self) -> float:
        """1, or how many samples a query costs a method with inner steps."""
        return sum(part.share * part.samples / part.pairs for part in self.parts)

    def step(self, of: Callable[[Part], float]) -> float:
        """Mean over the training's steps of a number that each part has."""
        steps = [part.share / part.pairs for part in self.parts]
        return sum(n * of(part) for n, part in zip(steps, self.parts, strict=True)) / sum(steps)

    @property
    def seconds_a_pair(self) -> float:
        """Mean over the training's pairs, or queries, by the median of each part."""
        return sum(part.share * part.step.median / part.pairs for part in self.parts)


@dataclass(frozen=True)
class Timings:
    """Everything one `bench time` has measured, and where."""

    schema: int
    preset: str
    data: Mapping[str, Any]  # name, digest, image_size, train_frames
    settings: Mapping[str, Any]  # shots, passes, lr, finetune, repetitions, seconds, precision, images_at_once
    environment: Mapping[str, Any]  # of bench.environment.describe
    load: float | None  # 1-minute load average before the start; None: this system has none
    git: Mapping[str, Any]
    created: str  # ISO 8601
    command: str
    rows: tuple[Measurement, ...]
    missing: Mapping[str, str]  # title -> why it was not measured

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Timings:
        """Inverse of `to_dict`, from JSON too; raises DataError for anything else."""
        try:
            if value["schema"] != SCHEMA:
                raise DataError(f"timings of schema {value['schema']}, not {SCHEMA}: run `bench time` again")
            timings = cls(**{**value, "rows": tuple(_measurement(row) for row in value["rows"])})
            _ = timings.device
            return timings
        except (LookupError, TypeError) as error:
            raise DataError(f"not a file of timings ({error}): run `bench time` again") from error

    @classmethod
    def read(cls, path: Path) -> Timings:
        """The timings of a file; raises DataError, which names the file, where it is damaged."""
        try:
            return cls.from_dict(read_json(path))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: not JSON ({error}); run `bench time` again") from error

    @property
    def device(self) -> str:
        """As torch names it: cpu, cuda:0, …"""
        return str(self.environment["device"])


def _measurement(value: Mapping[str, Any]) -> Measurement:
    parts = tuple(Part(**{**part, "step": Spread(**part["step"]), "data": Spread(**part["data"])})
                  for part in value["parts"])  # fmt: skip
    return Measurement(
        **{
            **value,
            "parts": parts,
            "adapt": Spread(**value["adapt"]) if value["adapt"] else None,
            "generate": Spread(**value["generate"]),
            "notes": tuple(value["notes"]),
        }
    )


def busy(load: float | None, cores: int) -> bool:
    """Whether something else kept the machine busy: a 1-minute load average above half of its cores."""
    return load is not None and load > cores / 2
