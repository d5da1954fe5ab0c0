"""Pix2Pix: published sizes, statistics of one sample, and the laws every method obeys."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from baselines.pix2pix import Discriminator, Generator, Pix2Pix
from methods.count import count
from methods.interface import Budget, FineTune, Method, PairBatch, Probe, Progress, Setup, Support
from methods.losses import gan_loss
from methods.norm import GroupedBatchNorm, SampleNorm

SIZE = 32


def a_method(batch: int = 2, **options: object) -> Pix2Pix:
    torch.manual_seed(0)
    setup = Setup(SIZE, Budget(pairs=200, queries=0), width=0.125, batch=batch, options=options)
    return Pix2Pix(setup)


def pairs(batch: int = 2, seed: int = 0) -> PairBatch:
    draw = torch.Generator().manual_seed(seed)

    def images() -> Tensor:
        blocks = torch.rand(batch, 3, 4, 4, generator=draw) * 2 - 1
        return blocks.repeat_interleave(SIZE // 4, 2).repeat_interleave(SIZE // 4, 3)

    def keypoints() -> Tensor:
        return torch.cat([torch.rand(batch, 17, 2, generator=draw) * SIZE, torch.full((batch, 17, 1), 2.0)], 2)

    return PairBatch(images(), keypoints(), images(), keypoints())


def train(method: Pix2Pix, steps: int, batch: PairBatch) -> dict[str, Tensor]:
    for step in range(steps):
        torch.manual_seed(step)
        losses = method.train_step(batch, Progress(method.phases()[0], step))
    return losses


def support_of(batch: PairBatch) -> Support:
    return Support(batch.source[:1], batch.source_keypoints[:1], batch.target, batch.target_keypoints)


@pytest.mark.parametrize(
    ("kind", "channels", "parameters", "macs", "output"),
    [
        (Generator, 3, 54_413_955, 6_048_186_368, (1, 3, 256, 256)),
        (Generator, 6, 54_417_027, 6_098_518_016, (1, 3, 256, 256)),
        (Discriminator, 6, 2_768_705, 3_197_140_992, (1, 1, 30, 30)),
        (Discriminator, 9, 2_771_777, 3_247_472_640, (1, 1, 30, 30)),
    ],
)
def test_networks_have_the_published_size(
    kind: type[Generator] | type[Discriminator],
    channels: int,
    parameters: int,
    macs: int,
    output: tuple[int, ...],
) -> None:
    with torch.device("meta"):
        network = Generator(channels, 256) if kind is Generator else Discriminator(channels)
        counted = count(Probe("", network, (torch.empty(1, channels, 256, 256),)))
    assert (counted.parameters, counted.macs, counted.output_shape) == (parameters, macs, output)


def test_attention_costs_the_same_however_it_is_spelled() -> None:
    class Attention(torch.nn.Module):
        def __init__(self, spelling: str) -> None:
            super().__init__()
            self.spelling = spelling

        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            if self.spelling == "sdpa":
                return scaled_dot_product_attention(q, k, v)
            if self.spelling == "einsum":
                return torch.einsum("bqk,bkd->bqd", torch.einsum("bqd,bkd->bqk", q, k).softmax(2), v)
            return torch.matmul(torch.matmul(q, k.mT).softmax(2), v)

    tokens = (torch.zeros(1, 10, 8), torch.zeros(1, 20, 8), torch.zeros(1, 20, 8))
    for spelling in ("sdpa", "einsum", "matmul"):
        assert count(Probe("", Attention(spelling), tokens)).macs == 2 * 10 * 20 * 8
    assert count(Probe("", torch.nn.Linear(8, 5), tokens[:1])).macs == 10 * 8 * 5


def test_gan_losses_at_an_undecided_discriminator() -> None:
    logits = torch.zeros(2, 1, 3, 3, dtype=torch.bfloat16)
    assert gan_loss(logits, real=True).item() == pytest.approx(math.log(2))
    assert gan_loss(logits + 2, real=True).item() == pytest.approx(math.log1p(math.exp(-2)))
    assert gan_loss(logits + 2, real=False).item() == pytest.approx(math.log1p(math.exp(2)))
    assert gan_loss(logits, real=True, kind="lsgan").item() == 1
    assert gan_loss(logits + 2, real=False, kind="lsgan").item() == 4
    assert gan_loss(logits, real=True).dtype == torch.float32


def test_counting_leaves_the_network_as_it_was() -> None:
    method = a_method()
    before = copy.deepcopy(method.state_dict())
    method.generator.train()
    for probe in method.probes():
        assert count(probe).macs > 0
    assert method.generator.training
    torch.testing.assert_close(method.state_dict(), before, rtol=0, atol=0)


def test_statistics_are_those_of_batchnorm_on_the_published_batch() -> None:
    x = torch.randn(6, 5, 4, 4, generator=torch.Generator().manual_seed(0)) * 3 + 1
    by_sample, by_three = SampleNorm(5)(x), GroupedBatchNorm(5, samples=3)(x)
    for i in range(6):
        torch.testing.assert_close(by_sample[i : i + 1], torch.nn.BatchNorm2d(5)(x[i : i + 1]))
    for i in (0, 3):
        torch.testing.assert_close(by_three[i : i + 3], torch.nn.BatchNorm2d(5)(x[i : i + 3]))
    with pytest.raises(ValueError, match=r"batch of 6 .* groups of 4"):
        GroupedBatchNorm(5, samples=4)(x)


def test_it_is_a_method_and_spends_its_budget() -> None:
    method = a_method()
    assert isinstance(method, Method)
    assert [(p.data, p.batch, p.samples) for p in method.phases()] == [("pairs", 2, 200)]
    assert Pix2Pix(Setup(SIZE, Budget(7, 0), width=0.125)).phases()[0].batch == 1


def test_the_learning_rate_is_constant_then_falls_linearly() -> None:
    method = a_method()
    phase = method.phases()[0]
    seen = []
    for step in (0, 49, 75, phase.steps - 1):
        method.train_step(pairs(), Progress(phase, step))
        seen.append(method.generator_optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([2e-4, 2e-4, 2e-4 * (1 - 52 / 101), 2e-4 / 101])


def test_it_learns_one_pair_by_heart() -> None:
    method = a_method(batch=1, lr=2e-3)
    batch = pairs(1)
    first = train(method, 1, batch)
    last = train(method, 60, batch)
    assert set(last) == {"g_gan", "g_l1", "d_real", "d_fake"}
    assert all(value.ndim == 0 and not value.requires_grad for value in last.values())
    assert last["g_l1"] < 0.5 * first["g_l1"]


def test_a_restored_state_makes_the_identical_next_step(tmp_path: Path) -> None:
    method, batch = a_method(), pairs()
    train(method, 2, batch)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    restored = a_method()
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert train(restored, 1, batch) == train(method, 1, batch)
    torch.testing.assert_close(restored.state_dict(), method.state_dict(), rtol=0, atol=0)


def test_a_state_with_a_part_missing_is_refused() -> None:
    state = a_method().state_dict()
    del state["discriminator"]
    with pytest.raises(KeyError, match="discriminator"):
        a_method().load_state_dict(state)


@pytest.mark.parametrize("eval_dropout", [True, False])
def test_an_output_depends_on_its_own_sample_alone(eval_dropout: bool) -> None:
    torch.manual_seed(0)
    setup = Setup(64, Budget(8, 0), width=0.125, options={"eval_dropout": eval_dropout})
    method = Pix2Pix(setup)  # 64 px: the smallest with a dropout level
    draw = torch.Generator().manual_seed(1)
    source = torch.rand(3, 3, 64, 64, generator=draw) * 2 - 1
    keypoints = torch.cat([torch.rand(3, 17, 2, generator=draw) * 64, torch.ones(3, 17, 1)], 2)
    transfer = method.adapt(Support(source[:1], keypoints[:1], source, keypoints), None)
    together = transfer(source, keypoints, keypoints)
    for i in (2, 0, 1):
        one = slice(i, i + 1)
        alone = transfer(source[one], keypoints[one], keypoints[one])
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5)
    assert together.shape == (3, 3, 64, 64) and not together.requires_grad


def test_dropout_at_test_changes_the_picture_and_half_the_mask_is_zero() -> None:
    with_noise = Generator(6, 64, 0.125, noise_at_test=True).eval()
    without = Generator(6, 64, 0.125, noise_at_test=False).eval()
    without.load_state_dict(with_noise.state_dict())
    x = torch.randn(1, 6, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(with_noise(x), without(x))
    torch.testing.assert_close(with_noise(x), with_noise(x), rtol=0, atol=0)


def test_adapting_changes_the_transfer_and_never_the_method() -> None:
    method, batch = a_method(), pairs()
    train(method, 3, batch)
    before = copy.deepcopy(method.state_dict())
    asked = (batch.source, batch.source_keypoints, batch.target_keypoints)
    trained = method.adapt(support_of(batch), None)(*asked)
    passes = {}
    tuned = method.adapt(support_of(batch), FineTune(lr=1e-4, passes=2), lambda n, t: passes.update({n: t(*asked)}))
    assert sorted(passes) == [0, 1, 2]
    torch.testing.assert_close(passes[0], trained)
    torch.testing.assert_close(passes[2], tuned(*asked))
    assert not torch.allclose(tuned(*asked), trained)
    torch.testing.assert_close(method.state_dict(), before, rtol=0, atol=0)
    assert all(p.requires_grad for p in method.discriminator.parameters())


def test_it_trains_and_draws_under_bfloat16() -> None:
    method, batch = a_method(), pairs()
    with torch.autocast("cpu", torch.bfloat16):
        losses = train(method, 2, batch)
        image = method.adapt(support_of(batch), None)(batch.source, batch.source_keypoints, batch.target_keypoints)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    assert image.dtype == torch.float32


def test_departures_are_noted() -> None:
    notes = " ".join(a_method(lr=1e-3).notes())
    assert "0.125" in notes and "batch 2" in notes and "0.001" in notes and "6 input channels" in notes
    with pytest.raises(ValueError, match="leraning_rate"):
        a_method(leraning_rate=1)
