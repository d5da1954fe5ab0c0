"""What the suite relies on in a method, checked one by one on tiny made-up data: the same for ours and for anybody's.

Each check is a statement about `methods/interface.py`. It either holds or comes back with what was seen instead.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.build import build, method_class
from bench.spec import TrainSpec
from methods.count import count
from methods.interface import Budget, EpisodeBatch, FineTune, Method, PairBatch, Phase, Probe, Progress, Support

PAIRS, QUERIES, BATCH = 8, 8, 2
SCHEDULE = FineTune(1e-3, 2)
SAME_PICTURE = 1e-4  # of a range of 2: convolutions of another batch size may sum in another order


class Broken(Exception):
    """A check that does not hold, and what was seen instead."""


@dataclass(frozen=True)
class Finding:
    """One check of a method."""

    check: str
    fault: str  # empty: it holds

    @property
    def holds(self) -> bool:
        return not self.fault


@dataclass(frozen=True)
class Subject:
    """A method under test, built as often as a check needs a fresh one."""

    name: str
    device: torch.device
    image_size: int = 64
    width: float = 0.125

    def spec(self, seed: int = 0) -> TrainSpec:
        budget = Budget(PAIRS, QUERIES)
        options: dict[str, Any] = {}
        return TrainSpec(
            self.name, "", options, "smoke", self.image_size, self.width, BATCH, seed, "fp32", "made up", budget, {}
        )

    def fresh(self, seed: int = 0) -> Method:
        torch.manual_seed(seed)
        return build(self.spec(seed), self.device)

    def step(self, method: Method, phase: Phase, number: int) -> dict[str, Tensor]:
        """Training step `number` of a phase: batch and random numbers follow from the number alone."""
        batch = self.batch(phase, number)
        torch.manual_seed(1000 + number)
        return method.train_step(batch, Progress(phase, number))

    def trained(self, steps: int, method: Method | None = None, first: int = 0) -> Method:
        """A method after `steps` steps of every phase, counted from step `first`."""
        method = method or self.fresh()
        for phase in method.phases():
            for number in range(first, min(first + steps, phase.steps)):
                self.step(method, phase, number)
        return method

    def batch(self, phase: Phase, number: int) -> PairBatch | EpisodeBatch:
        draw = torch.Generator().manual_seed(number)
        count = phase.batch
        if phase.data == "pairs":
            return PairBatch(*self._sample(draw, count), *self._sample(draw, count))
        support = [
            part.view(count, phase.support, *part.shape[1:]) for part in self._sample(draw, count * phase.support)
        ]
        query = [part[:, None] for part in self._sample(draw, count)]
        return EpisodeBatch(*self._sample(draw, count), *support, *query)

    @cached_property
    def support(self) -> Support:
        draw = torch.Generator().manual_seed(77)
        return Support(*self._sample(draw, 1), *self._sample(draw, 2))

    def poses(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sources, their joints, and target joints."""
        draw = torch.Generator().manual_seed(78)
        image, joints = self._sample(draw, count)
        return image, joints, self._sample(draw, count)[1]

    def _sample(self, draw: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Images [N, 3, H, W]: a coloured box on white; joints [N, 17, 3] in the frame, one of them missing."""
        size = self.image_size
        images = torch.ones(count, 3, size, size)
        colours = torch.rand(count, 3, 1, 1, generator=draw) * 2 - 1
        images[:, :, size // 8 : -size // 8, size // 3 : -size // 3] = colours
        joints = torch.rand(count, 17, 3, generator=draw) * (size - 1)
        joints[..., 2] = 2
        joints[:, 3] = 0
        return images.to(self.device), joints.to(self.device)


def flat(state: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a nested state with its path."""
    if isinstance(state, Mapping):
        for name, value in state.items():
            yield from flat(value, f"{prefix}{name}.")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from flat(value, f"{prefix}{number}.")
    else:
        yield prefix.removesuffix("."), state


def changed(one: Any, other: Any) -> list[str]:
    """Paths at which two states are not equal bit by bit."""
    a, b = dict(flat(one)), dict(flat(other))
    if a.keys() != b.keys():
        return sorted(a.keys() ^ b.keys())
    return [name for name, value in a.items() if not _equal(value, b[name])]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def copied(method: Method) -> dict[str, Any]:
    """A state that later steps cannot reach, by way of a file that may hold no code."""
    file = io.BytesIO()
    torch.save(method.state_dict(), file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


def _builds(subject: Subject) -> None:
    cls = method_class(subject.name)
    for name, kind in (("title", str), ("reference", str), ("perceptual_nets", tuple), ("few_shot", bool)):
        if not isinstance(getattr(cls, name), kind):
            raise Broken(f"{name} is {getattr(cls, name)!r}, not a {kind.__name__}")
    notes = subject.fresh().notes()
    if isinstance(notes, str) or not all(isinstance(note, str) for note in notes):
        raise Broken(f"notes() gives {notes!r}, not a list of texts")


def _phases(subject: Subject) -> None:
    for phase in subject.fresh().phases():
        budget = PAIRS if phase.data == "pairs" else QUERIES
        if phase.samples > budget or phase.batch < 1:
            raise Broken(f"phase '{phase.name}' sees {phase.samples} samples of a budget of {budget}")
        if phase.data == "episodes" and phase.support < 1:
            raise Broken(f"phase '{phase.name}' has episodes without support samples")


def _step(subject: Subject) -> None:
    method = subject.fresh()
    before = copied(method)
    for phase in method.phases():
        losses = subject.step(method, phase, 0)
        if not losses:
            raise Broken(f"a step of phase '{phase.name}' returns no losses, so nobody would see them diverge")
        for name, value in losses.items():
            if not isinstance(value, Tensor) or value.numel() != 1 or value.requires_grad:
                raise Broken(f"loss '{name}' is not a detached scalar tensor")
            if not torch.isfinite(value):
                raise Broken(f"loss '{name}' is {float(value)} in the first step")
    if list(method.phases()) and not changed(before, method.state_dict()):
        raise Broken("a training step changes nothing in state_dict()")


def _repeats(subject: Subject) -> None:
    different = changed(copied(subject.trained(2)), subject.trained(2).state_dict())
    if different:
        raise Broken(f"two runs of the same seed differ in {different[0]}; random numbers must come from torch's own")


def _resumes(subject: Subject) -> None:
    whole = copied(subject.trained(3))
    half = copied(subject.trained(1))
    resumed = subject.fresh(seed=5)
    resumed.load_state_dict(half)
    # phases run one after the other; a method is stopped in each of them here, so both runs take the same steps
    again, direct = subject.trained(2, resumed, first=1), subject.trained(2, subject.trained(1), first=1)
    different = changed(copied(direct), again.state_dict())
    if different:
        raise Broken(f"resumed from a checkpoint it ends in another {different[0]}")
    if len(list(resumed.phases())) == 1 and changed(whole, again.state_dict()):
        raise Broken("resumed from a checkpoint it is not what an unbroken run is")


def _refuses_states(subject: Subject) -> None:
    state = copied(subject.fresh())
    for fault, broken in (
        ("a state without its first part", dict(list(state.items())[1:])),
        ("an empty state", {}),
    ):
        try:
            subject.fresh().load_state_dict(broken)
        except Exception:
            continue
        raise Broken(f"load_state_dict takes {fault} without a word")


def _draws(subject: Subject) -> None:
    method, (source, joints, target) = subject.trained(1), subject.poses(3)
    with torch.no_grad():
        images = method.adapt(subject.support, None)(source, joints, target)
    if images.shape != source.shape or images.dtype != torch.float32:
        raise Broken(f"draws {images.dtype} {list(images.shape)} instead of float32 {list(source.shape)}")
    if not torch.isfinite(images).all():
        raise Broken("draws pixels that are not finite")


def _sample_alone(subject: Subject) -> None:
    method, (source, joints, target) = subject.trained(1), subject.poses(3)
    transfer = method.adapt(subject.support, None)
    with torch.no_grad():
        together = transfer(source, joints, target)
        alone = torch.cat([transfer(source[i : i + 1], joints[i : i + 1], target[i : i + 1]) for i in range(3)])
    apart = float((together - alone).abs().max())
    if apart > SAME_PICTURE:
        raise Broken(f"a picture changes by up to {apart:.3g} with the batch it is drawn in")


def _adapts(subject: Subject) -> None:
    method, (source, joints, target) = subject.trained(1), subject.poses(2)
    before, passes = copied(method), list[int]()
    with torch.no_grad():
        plain = method.adapt(subject.support, None)(source, joints, target)
    tuned = method.adapt(subject.support, SCHEDULE, lambda number, transfer: passes.append(number))
    different = changed(before, method.state_dict())
    if different:
        raise Broken(f"adapting changes the method itself: {different[0]}")
    with torch.no_grad():
        images = tuned(source, joints, target)
        if not torch.equal(plain, method.adapt(subject.support, None)(source, joints, target)):
            raise Broken("after adapting, the method as trained draws something else")
    if passes and passes != list(range(SCHEDULE.passes + 1)):
        raise Broken(f"on_pass is called for passes {passes}, not for 0 … {SCHEDULE.passes}")
    if method.few_shot and (not passes or torch.equal(plain, images)):
        raise Broken("few_shot is true, but fine-tuning changes no picture or calls no on_pass")


def _probes(subject: Subject) -> None:
    # without storage, as `bench inspect` counts the published size on any machine
    probes = list(build(subject.spec(), torch.device("meta")).probes())
    if not probes or not all(isinstance(probe, Probe) for probe in probes):
        raise Broken("probes() names no network")
    for probe in probes:
        if not count(probe).parameters:
            raise Broken(f"network '{probe.name}' has no parameters")


CHECKS: Mapping[str, Callable[[Subject], None]] = {
    "declares itself and builds": _builds,
    "keeps to its budget": _phases,
    "a step returns finite losses and learns": _step,
    "the same seed gives the same bits": _repeats,
    "a resumed run is an unbroken one": _resumes,
    "a state that does not fit is refused": _refuses_states,
    "draws float32 images of the source's size": _draws,
    "a picture does not depend on its batch": _sample_alone,
    "adapting leaves the method as it was": _adapts,
    "its networks can be counted": _probes,
}


def check_method(name: str, device: torch.device, image_size: int = 64) -> Iterator[Finding]:
    """Every check of a method, a built-in name or `package.module:Class`. What it raises is a fault, not an error.

    Raises UsageError for a method that cannot be imported or lacks a verb.
    """
    method_class(name)
    subject = replace(Subject(name, device), image_size=image_size)
    for check, run in CHECKS.items():
        try:
            run(subject)
        except Broken as broken:
            yield Finding(check, str(broken))
        except Exception as error:  # somebody else's code: whatever it raises is what was found
            yield Finding(check, f"{type(error).__name__}: {error}")
        else:
            yield Finding(check, "")
