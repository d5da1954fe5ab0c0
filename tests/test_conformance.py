"""Every built-in method keeps what the suite relies on, and each way to break it is found by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.build import method_class
from bench.conformance import CHECKS, check_method
from bench.errors import UsageError
from methods import METHODS
from tests.example_method import Plain

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", [*METHODS, "tests.example_method:Plain"])
def test_a_method_keeps_all_that_the_suite_relies_on(name: str) -> None:
    faults = {finding.check: finding.fault for finding in check_method(name, CPU, 32) if not finding.holds}
    assert faults == {}


class Noisy(Plain):
    def draw(self, source: Any, _: Any, target_keypoints: Any) -> Any:
        return super().draw(source, _, target_keypoints) + torch.rand(())


class Batched(Plain):
    def draw(self, source: Any, _: Any, target_keypoints: Any) -> Any:
        image = super().draw(source, _, target_keypoints)
        return image - image.mean(0, keepdim=True)


class Spoiled(Plain):
    def adapt(self, support: Any, finetune: Any, on_pass: Any = None) -> Any:
        if finetune is not None:
            with torch.no_grad():
                self.net[0].weight.add_(1)
        return self.draw


class Frozen(Plain):
    def train_step(self, batch: Any, progress: Any) -> Any:
        return {"l1": torch.zeros(())}


class Forgetful(Plain):
    def state_dict(self) -> Any:
        return {"net": self.net.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        self.net.load_state_dict(state.get("net", self.net.state_dict()))


class Greedy(Plain):
    def phases(self) -> Any:
        (phase,) = super().phases()
        return [type(phase)(phase.name, phase.data, phase.batch, 10 * phase.samples)]


class Diverging(Plain):
    def train_step(self, batch: Any, progress: Any) -> Any:
        return {"l1": super().train_step(batch, progress)["l1"] * float("nan")}


class Idle(Plain):
    few_shot = True


class Half(Plain):
    def adapt(self, support: Any, finetune: Any, on_pass: Any = None) -> Any:
        return lambda *inputs: self.draw(*inputs).half()


@pytest.mark.parametrize(
    ("cls", "check", "words"),
    [
        (Batched, "a picture does not depend on its batch", "changes by up to"),
        (Spoiled, "adapting leaves the method as it was", "net.0.weight"),
        (Frozen, "a step returns finite losses and learns", "changes nothing"),
        (Forgetful, "a resumed run is an unbroken one", "ends in another"),
        (Forgetful, "a state that does not fit is refused", "without a word"),
        (Greedy, "keeps to its budget", "80 samples of a budget of 8"),
        (Diverging, "a step returns finite losses and learns", "nan in the first step"),
        (Idle, "adapting leaves the method as it was", "few_shot is true"),
        (Half, "draws float32 images of the source's size", "float16"),
        (Noisy, "adapting leaves the method as it was", "draws something else"),
    ],
)
def test_what_a_method_breaks_is_found(cls: Callable[..., Any], check: str, words: str) -> None:
    name = f"tests.test_conformance:{cls.__name__}"
    found = {finding.check: finding.fault for finding in check_method(name, CPU, 32)}
    assert words in found[check]
    assert set(found) == set(CHECKS), "one fault does not end the others"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("class Broken(:", r"SyntaxError.*broken_module\.py, line 1"),
        ("value = 1\nraise RuntimeError('no luck')", r"RuntimeError: no luck, .*broken_module\.py line 2"),
        ("from os import nonsense", "cannot import name 'nonsense'"),
        ("import no_such_dependency", "no_such_dependency"),
    ],
)
def test_a_module_of_ones_own_that_is_broken_says_where(
    program: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=words):
        method_class("broken_module:Broken")


@pytest.mark.parametrize("name", [":Foo", "..x:Foo", ".:Foo"])
def test_a_name_that_is_no_module_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="cannot import"):
        method_class(name)


def test_a_method_that_cannot_be_imported_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="cannot import"):
        list(check_method("no_such:Thing", CPU))
