"""What a run is: a cell of a table as a value, and the identity of each of its stages.

    train ⊂ tune ⊂ generate ⊂ score

Each identity contains the one before, so cells that differ only in shots or adaptation share a training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bench.errors import UsageError, unknown
from bench.presets import Preset, preset
from methods import METHODS
from methods.interface import Budget, FineTune

VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "ours": {
        "": {},
        "msl": {"msl": True, "support": 2},  # METHODS §8, 15: S stays 4, the two samples are cycled
        "k2": {"support": 2},  # K = 2 without MSL, which unconfounds the paper's w/o MSL row
        "wo-ml": {"training": "joint"},
        "wo-frm": {"msl": True, "support": 2, "frm": False},
    }
}
"""Named variants of a method: option overrides."""

FLOORS = {
    "copy-source": "Copy of the source",
    "white": "White image",
    "nearest-pose": "Nearest training pose",
    "truth": "Real vs real",
}
"""Rows that need no training: what a score is worth."""

EXACT, DETECTED = "exact", "detected"
JOINTS = (EXACT, DETECTED)
"""Of test characters: as they were drawn, or found in their pictures by a detector, as in the paper."""

ADAPTATIONS = ("default", "none", "tuned", "paper")
PAPER_FINETUNE = FineTune(lr=0.03, passes=10)  # the paper gives the rate (§5.1) and "< 1 min", not the length


@dataclass(frozen=True)
class TrainSpec:
    """One training: everything that determines its weights."""

    method: str
    variant: str
    options: Mapping[str, Any]
    preset: str
    image_size: int
    width: float
    batch: int | None
    seed: int
    precision: str
    data: str  # digest of the data set
    budget: Budget
    perceptual: Mapping[str, str]  # net -> sha256 of its weights
    warm_start: TrainSpec | None = None
    adapting: Mapping[str, Any] = field(default_factory=dict)  # options of adapting alone, which change no training

    @property
    def when_adapting(self) -> TrainSpec:
        """What the trained model is built by to be adapted."""
        return replace(self, options={**self.options, **self.adapting}, adapting={})

    def identity(self) -> dict[str, Any]:
        value = asdict(replace(self, warm_start=None))
        value["options"], value["perceptual"] = dict(self.options), dict(self.perceptual)
        # the preset's and the variant's names decide nothing: their values stand in the other fields
        del value["preset"], value["variant"], value["adapting"]
        value["warm_start"] = self.warm_start.identity() if self.warm_start else None
        return value

    @property
    def label(self) -> str:
        name = self.method.replace(":", ".")
        return "-".join(part for part in (name, self.variant, self.preset, f"s{self.seed}") if part)


@dataclass(frozen=True)
class Cell:
    """One row of a table for one seed: what a person asks for."""

    method: str  # a built-in name, "package.module:Class", or a floor
    preset: str
    variant: str = ""
    shots: int = 1
    adaptation: str = "default"  # of ADAPTATIONS, or "lr=0.01,passes=5"
    seed: int = 0
    protocol: str = "shift"
    joints: str = EXACT  # of the test characters; one of JOINTS
    extractor: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    extra_pairs: int = 0  # joint training beyond the preset's warm start (rows without meta-learning)
    label: str = ""  # row title, when it is not the method's own
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_floor(self) -> bool:
        return self.method in FLOORS

    def check(self) -> Preset:
        """Raises UsageError for a request that makes no sense; returns the preset."""
        size = preset(self.preset)
        if not self.is_floor and ":" not in self.method and self.method not in METHODS:
            raise unknown("method", self.method, [*METHODS, *FLOORS])
        if self.variant and self.variant not in VARIANTS.get(self.method, {}):
            known = [v for v in VARIANTS.get(self.method, {}) if v]
            if not known:
                raise UsageError(f"method '{self.method}' has no variant '{self.variant}' (it has none)")
            raise unknown(f"variant of {self.method}", self.variant, known)
        if self.shots < 1:
            raise UsageError(f"--shots must be at least 1, not {self.shots}")
        if self.protocol not in ("shift", "views"):
            raise unknown("protocol", self.protocol, ("shift", "views"))
        if self.protocol == "views" and self.shots > 4:
            raise UsageError("protocol 'views' has 4 basic views; use at most 4 shots or --protocol shift")
        if self.joints not in JOINTS:
            raise unknown("joints", self.joints, JOINTS)
        if self.seed < 0:
            raise UsageError("--seed must not be negative")
        parse_adaptation(self.adaptation)
        return size


def parse_adaptation(text: str) -> FineTune | str:
    """One of ADAPTATIONS, or an explicit schedule such as `lr=0.01,passes=5`."""
    if text in ADAPTATIONS:
        return text
    try:
        fields = dict(part.split("=") for part in text.split(","))
        schedule = FineTune(lr=float(fields.pop("lr")), passes=int(fields.pop("passes")))
    except (ValueError, KeyError):
        fields, schedule = {"?": ""}, FineTune(0.0, 0)
    if fields or not 0 < schedule.lr < math.inf or schedule.passes < 1:
        raise UsageError(f"--adapt '{text}': give one of {', '.join(ADAPTATIONS)} or e.g. lr=0.01,passes=5")
    return schedule
