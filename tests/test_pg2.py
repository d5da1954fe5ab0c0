"""PG2: published sizes, two stages, triplet statistics, and the laws every method obeys."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.pg2 import PG2, Discriminator, SameConv2d, Stage1, Stage2
from methods.count import count
from methods.interface import Budget, FineTune, Method, PairBatch, Probe, Progress, Setup, Support

SIZE = 32


def a_method(batch: int = 2, **options: object) -> PG2:
    torch.manual_seed(0)
    return PG2(Setup(SIZE, Budget(pairs=80, queries=0), width=0.0625, batch=batch, options=options))


def pairs(batch: int = 2) -> PairBatch:
    draw = torch.Generator().manual_seed(0)

    def images() -> Tensor:
        blocks = torch.rand(batch, 3, 4, 4, generator=draw) * 2 - 1
        return blocks.repeat_interleave(SIZE // 4, 2).repeat_interleave(SIZE // 4, 3)

    def keypoints() -> Tensor:
        xy = torch.rand(batch, 17, 2, generator=draw) * SIZE
        return torch.cat([xy, torch.full((batch, 17, 1), 2.0)], 2)

    return PairBatch(images(), keypoints(), images(), keypoints())


def train(method: PG2, stage: int, steps: int, batch: PairBatch) -> dict[str, Tensor]:
    for step in range(steps):
        torch.manual_seed(step)
        losses = method.train_step(batch, Progress(method.phases()[stage - 1], step))
    return losses


def support_of(batch: PairBatch) -> Support:
    return Support(batch.source[:1], batch.source_keypoints[:1], batch.target, batch.target_keypoints)


@pytest.mark.parametrize(
    ("name", "channels", "parameters", "macs"),
    [
        ("G1", 21, 122_103_235, 306_124_947_456),
        ("G2", 6, 12_696_067, 97_014_251_520),
        ("D", 3, 10_896_257, 3_014_688_768),
    ],
)
def test_networks_have_the_published_size(name: str, channels: int, parameters: int, macs: int) -> None:
    with torch.device("meta"):
        networks: dict[str, nn.Module] = {
            "G1": Stage1(256),
            "G2": Stage2(256),
            "D": Discriminator(256, samples=1),
        }
        counted = count(Probe(name, networks[name], (torch.empty(1, channels, 256, 256),)))
    assert (counted.parameters, counted.macs) == (parameters, macs)
    assert counted.output_shape == ((1, 1) if name == "D" else (1, 3, 256, 256))


def test_parts_of_the_first_stage_have_the_published_size() -> None:
    with torch.device("meta"):
        stage = Stage1(256)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in stage.named_children()}
    assert sizes == {
        "stem": 24_320,
        "encoder": 26_842_368,
        "down": 10_324_480,
        "to_code": 3_145_792,
        "from_code": 532_480,
        "decoder": 79_340_800,
        "up": 1_886_080,
        "out": 6_915,
    }


def test_probes_cover_the_three_networks_at_one_image() -> None:
    counts = {probe.name: count(probe) for probe in a_method().probes()}
    assert {name: c.output_shape for name, c in counts.items()} == {
        "G1": (1, 3, SIZE, SIZE),
        "G2": (1, 3, SIZE, SIZE),
        "discriminator": (1, 1),
    }
    trained = sum(p.numel() for p in a_method().discriminator.parameters())
    assert counts["discriminator"].parameters == trained


@pytest.mark.parametrize(("kernel", "first_row"), [(3, 0), (5, -1)])
def test_a_strided_convolution_pads_like_tensorflow(kernel: int, first_row: int) -> None:
    convolution = SameConv2d(1, 1, kernel, stride=2)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)
    with torch.no_grad():
        convolution.weight[0, 0, 0, 0] = 1  # reads the window's top left pixel
    rows = torch.arange(1.0, 9.0).view(1, 1, 8, 1).expand(1, 1, 8, 8)
    starts = convolution(rows)[0, 0, :, -1]
    assert starts.tolist() == [max(0, first_row + 1 + 2 * i) for i in range(4)]


def test_it_is_a_method_and_splits_its_budget_like_the_published_schedule() -> None:
    method = a_method()
    assert isinstance(method, Method)
    first, second = method.phases()
    assert (first.name, second.name) == ("stage 1", "stage 2")
    assert (first.samples, second.samples) == (22, 58)
    assert {first.batch, second.batch} == {2}


def test_the_mask_counts_errors_on_the_body_twice() -> None:
    image, target = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    assert a_method().pose_mask_l1(image, target, mask).item() == pytest.approx(1.5)
    assert a_method(mask_weight=0.0).pose_mask_l1(image, target, mask).item() == pytest.approx(1)


def test_each_stage_updates_only_its_own_networks() -> None:
    method, batch = a_method(), pairs()

    def changed(stage: int) -> set[str]:
        parts = {
            "G1": method.generator.stage1,
            "G2": method.generator.stage2,
            "D": method.discriminator,
        }
        before = copy.deepcopy({name: part.state_dict() for name, part in parts.items()})
        train(method, stage, 1, batch)
        after = {name: part.state_dict() for name, part in parts.items()}
        return {n for n in parts if any(not torch.equal(after[n][k], before[n][k]) for k in after[n])}

    assert changed(1) == {"G1"}
    assert changed(2) == {"G2", "D"}


def test_both_stages_learn_one_pair_by_heart() -> None:
    method, batch = a_method(batch=1, lr=2e-3), pairs(1)
    untrained = train(method, 1, 1, batch)
    coarse = train(method, 1, 40, batch)
    assert set(coarse) == {"g_l1"}
    assert coarse["g_l1"] < 0.6 * untrained["g_l1"]
    unrefined = train(method, 2, 1, batch)
    refined = train(method, 2, 60, batch)
    assert set(refined) == {"g_l1", "g_gan", "d_real", "d_fake", "d_source"}
    assert all(value.ndim == 0 and not value.requires_grad for value in refined.values())
    assert refined["g_l1"] < 0.8 * unrefined["g_l1"]


def test_the_discriminator_judges_a_pair_by_that_pair_alone() -> None:
    method, batch = a_method(), pairs(3)
    together = method.judge(batch.target, batch.source.flip(0), batch.source)
    for i in range(3):
        one = slice(i, i + 1)
        alone = method.judge(batch.target[one], batch.source.flip(0)[one], batch.source[one])
        for all_logits, logits in zip(together, alone, strict=True):
            torch.testing.assert_close(all_logits[one], logits)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_restored_state_makes_the_identical_next_step(stage: int, tmp_path: Path) -> None:
    method, batch = a_method(), pairs()
    train(method, 1, 1, batch)
    train(method, stage, 2, batch)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    restored = a_method()
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert train(restored, stage, 1, batch) == train(method, stage, 1, batch)
    torch.testing.assert_close(restored.state_dict(), method.state_dict(), rtol=0, atol=0)


def test_an_output_depends_on_its_own_sample_alone_and_is_an_image() -> None:
    method, batch = a_method(), pairs(3)
    transfer = method.adapt(support_of(batch), None)
    together = transfer(batch.source * 9, batch.source_keypoints, batch.target_keypoints)
    for i in (2, 0, 1):
        one = slice(i, i + 1)
        alone = transfer(batch.source[one] * 9, batch.source_keypoints[one], batch.target_keypoints[one])
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5)
    assert together.shape == (3, 3, SIZE, SIZE) and not together.requires_grad
    assert together.abs().max() <= 1


def test_adapting_tunes_both_stages_and_never_the_method() -> None:
    method, batch = a_method(), pairs()
    train(method, 1, 2, batch)
    train(method, 2, 2, batch)
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
        losses = train(method, 1, 1, batch) | train(method, 2, 2, batch)
        image = method.adapt(support_of(batch), None)(batch.source, batch.source_keypoints, batch.target_keypoints)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    assert image.dtype == torch.float32


def test_departures_are_noted() -> None:
    assert not any("learning rate" in note for note in a_method().notes())
    notes = " ".join(a_method(lr=2e-4).notes())
    assert "0.0002 (published: 2e-05)" in notes and "0.0625" in notes and "batch 2" in notes
    with pytest.raises(ValueError, match="pose_map"):
        a_method(pose_map="gaussian")
    with pytest.raises(ValueError, match="power of two"):
        PG2(Setup(96, Budget(8, 0), width=0.0625))
