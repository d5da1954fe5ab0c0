"""The training loop: order and randomness are functions of the step, so a killed run ends in the same bits."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import bench.train as loop
from bench.build import build
from bench.checkpoint import load_state
from bench.data.batches import pair_batch
from bench.errors import Interrupted, NonFiniteLoss
from bench.files import read_json
from bench.gradients import gradient_norms
from bench.progress import SilentReporter
from bench.spec import TrainSpec
from bench.train import train
from methods.interface import Budget, Progress
from tests.made_pack import made_pack

CPU = torch.device("cpu")


def spec(**changes: Any) -> TrainSpec:
    values: dict[str, Any] = {
        "method": "tests.example_method:Plain",
        "variant": "",
        "options": {},
        "preset": "smoke",
        "image_size": 32,
        "width": 0.125,
        "batch": 2,
        "seed": 0,
        "precision": "fp32",
        "data": "made-in-code",
        "budget": Budget(24, 0),
        "perceptual": {},
    }
    return TrainSpec(**{**values, **changes})


def run(folder: Path, **changes: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    with SilentReporter().task("") as task:
        return train(spec(**changes), made_pack(), folder, CPU, task, checkpoint_seconds=0.0)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_state(folder / "model.pt")["method"]["net"]
    return found


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, seed=seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_at_any_step_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole = run(tmp_path / "whole")
    steps = [0]
    real = loop.pair_batch

    def interrupting(*arguments: Any) -> Any:
        steps[0] += 1
        if steps[0] % 3 == 0:  # every third step, again and again
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(loop, "pair_batch", interrupting)
    stops = 0
    while True:
        try:
            resumed = run(tmp_path / "stopped")
            break
        except Interrupted as stop:
            assert stop.exit_code == 75
            stops += 1
    assert stops == 4
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert resumed["losses"] == whole["losses"]
    # the newest stays until whoever asked for the training has marked it done
    assert [path.name for path in (tmp_path / "stopped").glob("checkpoint-*.pt")] == ["checkpoint-00000012.pt"]


def test_a_non_finite_loss_names_itself_and_keeps_the_last_healthy_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.example_method import Plain

    real = Plain.train_step

    def poisoned(self: Plain, batch: Any, progress: Any) -> dict[str, torch.Tensor]:
        losses = real(self, batch, progress)
        return {"l1": torch.tensor(float("nan"))} if progress.step == 5 else losses

    monkeypatch.setattr(Plain, "train_step", poisoned)
    with pytest.raises(NonFiniteLoss, match="l1 is not finite at step 5 of train"):
        run(tmp_path / "nan")
    assert (tmp_path / "nan" / "checkpoint-00000005.pt").exists()
    assert not (tmp_path / "nan" / "model.pt").exists()


def test_identity_holds_what_decides_and_not_what_it_is_called() -> None:
    assert spec(preset="quick", variant="x").identity() == spec().identity()
    assert spec(width=0.25).identity() != spec().identity()
    assert spec(warm_start=spec()).identity() != spec().identity()


def test_the_log_has_the_norm_of_the_gradients_that_an_optimiser_took(tmp_path: Path) -> None:
    run(tmp_path / "trained")
    log = read_json(tmp_path / "trained" / "log.json")
    assert log and all(set(entry["gradient_norms"]) == {"optimiser"} for entry in log)
    assert all(entry["gradient_norms"]["optimiser"] > 0 for entry in log)

    method: Any = build(spec(), CPU)
    (phase,) = method.phases()
    found: dict[str, float | None] = {}
    batch = pair_batch(made_pack(), 0, 0, phase.batch)
    with gradient_norms(method, found):
        inner = torch.optim.SGD([torch.ones(1, requires_grad=True)], 0.1)  # not the method's
        inner.param_groups[0]["params"][0].grad = torch.ones(1)
        inner.step()
        method.train_step(batch, Progress(phase, 0))
    gradients = torch.cat([p.grad.flatten() for p in method.net.parameters()])
    assert found == {"optimiser": pytest.approx(float(gradients.norm()), rel=1e-5)}

    for parameter in method.net.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    with gradient_norms(method, found):
        method.optimiser.step()
    assert found == {"optimiser": None}, "JSON has no NaN"
    method.train_step(batch, Progress(phase, 1))
    assert found == {"optimiser": None}, "nothing is noted outside"
