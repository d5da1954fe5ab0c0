"""A training step gives a GPU work and never waits for it: no number is read back, nothing is sent anew each step.

Told on a CPU by the operators that would wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.build import build
from bench.speed.record import Scope
from bench.speed.steps import Steps
from bench.timing import stretches
from bench.train import _on_host
from methods import METHODS

CPU = torch.device("cpu")
SCOPE = Scope("smoke", CPU, threads=1, rounds=3, seconds=0.0, quick=True)
WAITING = {
    *("aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal"),  # a number is read
    *("aten::nonzero", "aten::masked_select"),  # how large the result is must be known
    "aten::lift_fresh",  # a tensor is made of Python numbers or lists
}
CASES: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in METHODS),
    *(("ours", options) for options in ({"training": "joint"}, {"msl": True}, {"order": "second"})),
]


class Waits(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if operator._schema.name in WAITING:
            self.seen.append(operator._schema.name)
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_training_step_waits_for_nothing_after_the_first(name: str, options: dict[str, object]) -> None:
    spec = SCOPE.spec(SCOPE.cell(name, **options))
    for stretch in stretches(build(spec, CPU)):
        steps = Steps(spec, stretch.name, CPU)
        steps(1)  # constants of the pose maps are sent once
        progress = steps.progress(2)
        with Waits() as waits:
            steps.method.train_step(steps.batch, progress)
        assert not waits.seen, stretch.name


def test_reading_the_losses_waits_once_for_all_of_them() -> None:
    losses = {
        "a": torch.tensor(1.5, requires_grad=True),
        "b": torch.tensor(2.0, dtype=torch.bfloat16),
        "c": torch.ones(1),
    }
    with Waits() as waits:
        values = _on_host(losses)
    assert {name: float(value) for name, value in values.items()} == {"a": 1.5, "b": 2.0, "c": 1.0}
    assert not waits.seen and all(value.dtype == torch.float32 and not value.requires_grad for value in values.values())
