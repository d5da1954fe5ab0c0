"""What a method is: a few verbs over plain tensors, no base class to inherit from.

Conventions, everywhere in the suite:

* images are `float32 [B, 3, H, W]`, RGB in [-1, 1], the character on pure white (1.0), square;
* keypoints are `float32 [B, 17, 3]` in COCO order: x, y in pixels of the image at hand (the centre of the
  first pixel is (0.5, 0.5)) and COCO visibility 0 absent / 1 occluded / 2 visible; 1 and 2 are drawn;
* every pose encoding (stick figure, Gaussian maps, discs, limb mask) is drawn from keypoints by
  `methods.pose`; no pose image is ever stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Transfer = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(source images [B, 3, H, W], source keypoints [B, 17, 3], target keypoints [B, 17, 3]) -> [B, 3, H, W].

The result of sample i depends on sample i alone: never on the batch it was evaluated in."""


@dataclass(frozen=True)
class PairBatch:
    """B ordered pairs of two images of the same character."""

    source: Tensor  # [B, 3, H, W]
    source_keypoints: Tensor  # [B, 17, 3]
    target: Tensor  # [B, 3, H, W]
    target_keypoints: Tensor  # [B, 17, 3]


@dataclass(frozen=True)
class EpisodeBatch:
    """T tasks of distinct characters: one source, K support samples and Q query samples each."""

    source: Tensor  # [T, 3, H, W]
    source_keypoints: Tensor  # [T, 17, 3]
    support: Tensor  # [T, K, 3, H, W]
    support_keypoints: Tensor  # [T, K, 17, 3]
    query: Tensor  # [T, Q, 3, H, W]
    query_keypoints: Tensor  # [T, Q, 17, 3]


@dataclass(frozen=True)
class Support:
    """What is known of one unseen character: its source image and K support samples."""

    source: Tensor  # [1, 3, H, W]
    source_keypoints: Tensor  # [1, 17, 3]
    images: Tensor  # [K, 3, H, W]
    keypoints: Tensor  # [K, 17, 3]


@dataclass(frozen=True)
class FineTune:
    """A test-time fine-tuning schedule: plain SGD, one step per support sample, `passes` times over all."""

    lr: float
    passes: int


@dataclass(frozen=True)
class Budget:
    """How much training data a run may see. An inner or query sample counts as one pair."""

    pairs: int  # a baseline, and joint (non-meta) training of Ours
    queries: int  # meta-training: query samples
    warm_start_pairs: int = 0  # joint training of Ours before meta-training; 0 in the paper's setting


@dataclass(frozen=True)
class Phase:
    """A stretch of training over one kind of batch."""

    name: str
    data: Literal["pairs", "episodes"]
    batch: int  # pairs a step, or tasks a step
    samples: int  # pairs, or query samples, seen in the whole phase
    support: int = 0  # K, support samples a task (episodes)
    support_from: Literal["views", "shift"] = "views"  # the character's basic views, or its source shifted

    @property
    def steps(self) -> int:
        return math.ceil(self.samples / self.batch)


@dataclass(frozen=True)
class Progress:
    """Where in its phase a training step stands. Schedules are functions of this alone."""

    phase: Phase
    step: int  # from 0

    def epoch(self, of: int) -> int:
        """The integer epoch, from 0, when the phase is read as `of` epochs (METHODS: e = ⌊of·step/steps⌋)."""
        return of * self.step // self.phase.steps


@dataclass(frozen=True)
class Probe:
    """One network with inputs of the right shapes, for `bench inspect`."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]


PerceptualNets = Mapping[str, nn.Module]
"""Frozen feature networks by name ("vgg16", "vgg19"); a net that is not there drops its loss term."""


@dataclass(frozen=True)
class Setup:
    """Everything a method is built from."""

    image_size: int
    budget: Budget
    width: float = 1.0  # multiplies every published channel count; 1 is the published network
    batch: int | None = None  # pairs (or tasks) a step; None: the published batch
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    perceptual: PerceptualNets = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # overrides of the method's own Options


@runtime_checkable
class Method(Protocol):
    """A trainable few-shot pose-transfer method. Built as `SomeMethod(setup)`; seeds are set by the caller."""

    title: ClassVar[str]  # as printed in tables
    reference: ClassVar[str]  # the paper, short
    perceptual_nets: ClassVar[tuple[str, ...]]  # names this method asks the weight table for
    few_shot: ClassVar[bool]  # adapts to the support set by default

    def __init__(self, setup: Setup) -> None: ...

    def phases(self) -> Sequence[Phase]:
        """The training phases in order. Empty: nothing to train."""

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        """One update of everything the method updates in a step; returns detached scalar losses by name.

        Random numbers come from torch's global generator, which the caller seeds before every step."""

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        """The generator for one character: fine-tuned when `finetune` is given, else as trained.

        Never changes the method itself (parameters, buffers or optimiser states). `on_pass(n, transfer)` is
        called after n = 0, 1, … passes with the generator as it then is."""

    def probes(self) -> Sequence[Probe]:
        """Every network with example inputs, for parameter and multiply-accumulate counts."""

    def notes(self) -> Sequence[str]:
        """Footnotes of this build: terms dropped, widths scaled, choices that differ from the paper."""

    def state_dict(self) -> dict[str, Any]:
        """Nested dicts of tensors and plain numbers: networks, optimisers, whatever a resume needs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state_dict`; raises on missing or unexpected keys."""


def options_from(cls: type[Any], overrides: Mapping[str, Any]) -> Any:
    """An instance of the frozen dataclass `cls` with `overrides`; raises ValueError naming an unknown field."""
    known = set(cls.__dataclass_fields__)
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise ValueError(f"unknown option {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    return cls(**overrides)
