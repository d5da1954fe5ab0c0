"""What a run of `bench speed` may do, and what it has measured: lines in groups, each beside its group's base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from bench.cells import DataIdentity, train_spec
from bench.presets import Preset, preset
from bench.progress import Reporter, SilentReporter
from bench.spec import Cell, TrainSpec
from bench.speed.clock import Clock, Operation, Quartiles, Timed, interleave

MADE_UP = "pictures made up on the spot"


@dataclass(frozen=True)
class Scope:
    """How much is measured, and where."""

    preset_name: str  # its networks, batches and image size
    device: torch.device
    threads: int
    rounds: int  # timed, of each group
    seconds: float  # a group; rounds beyond the third stop at its end
    quick: bool = False  # the smallest sizes that go the whole way
    compiles: bool = False  # networks too, which takes minutes each
    methods: tuple[str, ...] = ()
    authors: Path | None = None  # a folder with clones of the baselines' own code
    report: Reporter = field(default_factory=SilentReporter)

    @property
    def preset(self) -> Preset:
        return preset(self.preset_name)

    @property
    def image_size(self) -> int:
        return 32 if self.quick else self.preset.data.image_size

    @property
    def clock(self) -> Clock:
        return Clock(self.device, self.threads)

    def time(self, operations: Mapping[str, Operation]) -> Timed:
        """All of them, interleaved; the first is the base, which must work."""
        return interleave(operations, self.clock, self.rounds, self.seconds)

    def cell(self, method: str, variant: str = "", **overrides: object) -> Cell:
        return Cell(method, self.preset_name, variant, device=str(self.device), precision="fp32", overrides=overrides)

    def spec(self, cell: Cell) -> TrainSpec:
        """A cell's training at the preset's sizes, on made-up data: no time depends on what a picture shows.

        Quick runs have batches of 2, and no perceptual networks, which come in one size only.
        """
        data = DataIdentity(MADE_UP, MADE_UP, self.image_size)
        spec = train_spec(cell, cell.check(), data, self.device, self.report)
        return replace(spec, batch=2, perceptual={}) if self.quick else spec


@dataclass(frozen=True)
class Line:
    """One operation. `seconds` None: not available, for the reason that `notes` give."""

    name: str
    seconds: Quartiles | None = None
    ratio: Quartiles | None = None  # to the base of its group
    rate: float | None = None  # images or frames a second, at the median
    macs_rate: float | None = None  # multiply-accumulates a second, at the median
    memory: int | None = None  # bytes at the peak
    apart: float | None = None  # largest difference of its results to the base's; the group says of which
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Lines that were measured in turn, under one heading, which names the base."""

    name: str
    heading: str
    lines: tuple[Line, ...]


def line(
    timed: Timed,
    name: str,
    base: str,
    images: int = 0,
    base_images: int = 0,
    scale: float = 1.0,
    notes: tuple[str, ...] = (),
    apart: float | None = None,
) -> Line:
    """The line of one operation; one that makes `images` by the image, its ratio too, any other `scale` times as long.

    `base_images`: how many the base makes, if not as many.
    """
    seconds = timed.quartiles(name, 1 / images if images else scale)
    if seconds is None:
        return Line(name, notes=(f"Not available: {timed.failed[name]}",))
    rate = 1 / seconds.median if images else None
    ratio = timed.ratio(name, base)
    if ratio is not None and images:
        ratio = ratio.times((base_images or images) / images)
    return Line(name, seconds, ratio, rate, apart=apart, notes=notes)
