"""What is no number is never drawn, scored or kept: it is named, and what was healthy before is returned."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bench.train as loop
from bench.errors import DiskFull, Interrupted, NonFiniteLoss
from bench.generate import to_uint8, tune
from bench.progress import SilentReporter
from bench.score import reference_features
from methods.finetune import fine_tune
from methods.interface import FineTune, PairBatch, Support
from tests.made_pack import made_pack
from tests.test_train import CPU, run, same, weights

SUPPORT = Support(torch.ones(1, 3, 8, 8), torch.ones(1, 17, 3), torch.ones(1, 3, 8, 8), torch.ones(1, 17, 3))
FATAL = 1e38  # times a gradient of 100 it is infinite, in float32


class Scale(nn.Module):
    """An image times one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, image: Tensor) -> Tensor:
        return image * self.weight


def steep(sample: PairBatch) -> Callable[[Scale], Tensor]:
    return lambda generator: 100 * (generator(sample.source) - sample.target).abs().mean()


@pytest.mark.parametrize("passes", [1, 2])
def test_weights_that_overflow_in_the_last_pass_are_those_of_the_best_before(passes: int) -> None:
    seen = []
    tuned = fine_tune(
        Scale(), steep, SUPPORT, FineTune(FATAL, passes), lambda n, net: seen.append(float(net.weight.detach()))
    )
    assert float(tuned.weight.detach()) == 0.5
    assert seen == [0.5], "a pass that diverged is shown to nobody"


def test_healthy_fine_tuning_is_plain_sgd() -> None:
    tuned = fine_tune(Scale(), steep, SUPPORT, FineTune(1e-4, 3))
    assert float(tuned.weight.detach()) == pytest.approx(0.5 + 3 * 100 * 1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pixel_that_is_no_number_is_not_drawn_black(value: float) -> None:
    images = torch.zeros(2, 3, 4, 4)
    images[1, 2, 3, 3] = value
    with pytest.raises(NonFiniteLoss, match="NaN or infinite"):
        to_uint8(images)


class Tuned:
    """As much of a method as tuning needs."""

    def __init__(self) -> None:
        self.net = Scale()

    def adapt(self, support: Support, finetune: FineTune | None, on_pass: Callable[..., None]) -> Any:
        def transfer(net: Scale) -> Any:
            return lambda source, *_: net(source).clamp(-1, 1)

        return transfer(fine_tune(self.net, steep, support, finetune, lambda n, net: on_pass(n, transfer(net))))


def tuned(lrs: tuple[float, ...]) -> dict[str, Any]:
    with SilentReporter().task("") as task:
        return tune(Tuned(), made_pack(), 1, "shift", lrs, (1, 2), 2, CPU, "fp32", task)  # type: ignore[arg-type]


def test_a_rate_that_diverges_is_out_and_when_all_do_that_is_said() -> None:
    assert tuned((1e-4, FATAL))["lr"] == 1e-4
    with pytest.raises(NonFiniteLoss, match=r"every learning rate tried \(1e\+38\).*--adapt"):
        tuned((FATAL,))


def test_damaged_features_of_the_reference_are_made_anew(tmp_path: Path) -> None:
    calls = []

    def colours(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return images.mean((1, 2))

    extractor: Any = type("Colours", (), {"__call__": staticmethod(colours), "name": "c", "sha256": "0", "dim": 3})()
    first = reference_features(made_pack(), extractor, tmp_path)
    (path,) = (tmp_path / "features").glob("*.npy")
    assert (reference_features(made_pack(), extractor, tmp_path) == first).all() and len(calls) == 1
    whole = path.read_bytes()
    other = tmp_path / "other.npy"
    np.save(other, first[:, :2])
    for damaged in (whole[: len(whole) // 2], b"", b"no features", other.read_bytes()):
        path.write_bytes(damaged)
        assert (reference_features(made_pack(), extractor, tmp_path) == first).all()
        assert path.read_bytes() == whole
        assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.json"]
    assert len(calls) == 5


def test_a_signal_during_the_last_checkpoint_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    total = run(tmp_path / "whole")["steps"]
    real, sent = loop.save_checkpoint, []

    def interrupted(folder: Path, step: int, state: dict[str, Any]) -> None:
        if step == total and not sent:
            sent.append(step)
            os.kill(os.getpid(), signal.SIGTERM)
        real(folder, step, state)

    monkeypatch.setattr(loop, "save_checkpoint", interrupted)
    with pytest.raises(Interrupted, match=f"stopped at step {total} of {total}"):
        run(tmp_path / "stopped")
    run(tmp_path / "stopped")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))


def test_lpips_refuses_what_it_cannot_compare() -> None:
    from bench.metrics.lpips import LPIPS

    call = LPIPS.__call__.__wrapped__  # type: ignore[attr-defined]  # refuses before a weight is needed
    good = np.zeros((2, 64, 64, 3), np.uint8)
    for one, other in (
        (good.astype(np.float32), good),
        (good[..., :1], good[..., :1]),
        (good[:1], good),
        (good[:, :63], good[:, :63]),
        (good[:0], good[:0]),
    ):
        with pytest.raises(ValueError, match="LPIPS takes"):
            call(SimpleNamespace(), one, other)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Signals that reach whoever handled them before a training."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("error", "passed_on"), [(ValueError, True), (NonFiniteLoss, True), (Interrupted, False)])
def test_a_signal_is_not_lost_in_an_error_that_is_raised_meanwhile(
    heard: list[int], error: type[Exception], passed_on: bool
) -> None:
    with pytest.raises(error), loop.stop_requested() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals == [signal.SIGTERM] and not heard
        raise error("meanwhile")
    assert heard == [signal.SIGTERM] * passed_on


def test_whoever_ignores_a_signal_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with loop.stop_requested() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
        assert not signals
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_finds_no_room_for_a_checkpoint_still_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, step: int, state: dict[str, Any]) -> None:
        raise DiskFull(folder)

    monkeypatch.setattr(loop, "save_checkpoint", full)
    monkeypatch.setattr(loop, "on_any_rank", lambda asked: True)
    with pytest.raises(Interrupted, match=r"stopped at step 1 of .* goes on from the checkpoint before.*disk is full"):
        run(tmp_path)
