"""Ours: the network of the paper to the parameter, and what training and adapting may and may not change."""

import copy
from typing import Any

import pytest
import torch

from methods.count import count
from methods.interface import Budget, EpisodeBatch, FineTune, PairBatch, Progress, Setup, Support
from ours.generator import FusionResidualBlock, Generator
from ours.method import Ours
from ours.spectral_norm import SpectralConv2d

SIZE = 32


def ours(width: float = 0.07, **options: Any) -> Ours:
    torch.manual_seed(0)
    return Ours(Setup(SIZE, Budget(64, 64), width=width, options=options))


def figures(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of a grey box on white where the joints are, and the joints."""
    rng = torch.Generator().manual_seed(seed)
    images, points = torch.ones(count, 3, SIZE, SIZE), torch.full((count, 17, 3), 2.0)
    for i in range(count):
        x = int(torch.randint(8, SIZE - 8, (), generator=rng))
        images[i, :, 4:28, x - 4 : x + 4] = torch.tensor([-0.6, 0.2, 0.5]).view(3, 1, 1)
        points[i, :, 0] = x + torch.rand(17, generator=rng) * 6 - 3
        points[i, :, 1] = torch.linspace(5, 27, 17)
    return images, points


def pairs(seed: int = 0) -> PairBatch:
    source, at = figures(2, seed)
    target, to = figures(2, seed + 100)
    return PairBatch(source, at, target, to)


def episode(seed: int = 0, shots: int = 2) -> EpisodeBatch:
    images, points = figures(2 * (shots + 2), seed)
    images, points = images.unflatten(0, (2, -1)), points.unflatten(0, (2, -1))
    return EpisodeBatch(images[:, 0], points[:, 0], images[:, 1:-1], points[:, 1:-1], images[:, -1:], points[:, -1:])


def support(shots: int = 2) -> Support:
    images, points = figures(shots + 1, 5)
    return Support(images[:1], points[:1], images[1:], points[1:])


def test_the_published_size_to_the_parameter() -> None:
    with torch.device("meta"):
        generator = Generator()
    image = torch.empty(1, 3, 256, 256, device="meta")
    counted = count(next(iter(Ours(Setup(256, Budget(1, 1), device=torch.device("meta"))).probes())))
    assert counted.parameters == 28_282_691 and counted.output_shape == (1, 3, 256, 256)
    assert counted.macs / 1e9 == pytest.approx(47.79, abs=0.005)
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in generator.named_children()}
    assert sizes == {
        "pose_encoder": 3_919_936, "texture_encoder": 3_919_936, "frm": 14_161_920, "decoder": 6_280_899,
    }  # fmt: skip
    assert image.shape[-1] == 256
    half = count(next(iter(Ours(Setup(256, Budget(1, 1), width=0.5, device=torch.device("meta"))).probes())))
    assert half.parameters / 1e6 == pytest.approx(7.08, abs=0.01)
    assert half.macs / 1e9 == pytest.approx(12.42, abs=0.01)


def test_fusion_multiplies_texture_rows_by_pose_columns() -> None:
    torch.manual_seed(0)
    block = FusionResidualBlock(3)
    texture, pose = torch.randn(1, 3, 5, 5), torch.randn(1, 3, 5, 5)
    e, u = block.texture(texture), block.pose(pose)
    product = torch.zeros(1, 3, 5, 5)
    for m in range(3):
        for i in range(5):
            for j in range(5):
                product[0, m, i, j] = sum(e[0, m, i, n] * u[0, m, n, j] for n in range(5))  # eq. 2
    torch.testing.assert_close(block(pose, texture), pose + block.align(product))
    with pytest.raises(ValueError, match="square"):
        block(torch.randn(1, 3, 4, 6), torch.randn(1, 3, 4, 6))


def test_without_frm_the_texture_still_reaches_the_decoder_at_the_same_widths() -> None:
    full, without = Generator(4), Generator(4, frm=False)
    assert [p.shape for p in full.decoder.parameters()] == [p.shape for p in without.decoder.parameters()]
    pose = torch.randn(1, 3, 16, 16)
    a, b = without(pose, torch.zeros(1, 3, 16, 16)), without(pose, torch.rand(1, 3, 16, 16))
    assert not torch.allclose(a, b)


def test_sigma_is_the_spectral_norm_and_starts_at_one() -> None:
    torch.manual_seed(0)
    layer = SpectralConv2d(4, 8, 3)
    assert float(layer.sigma().detach()) == pytest.approx(1.0, abs=1e-4)
    torch.nn.init.normal_(layer.weight)
    for _ in range(100):
        layer.power_iteration()
    assert float(layer.sigma().detach()) == pytest.approx(
        float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2))
    )
    before = layer.u.clone()
    layer(torch.randn(1, 4, 8, 8))
    assert torch.equal(layer.u, before), "a forward pass moves no vector"


def test_a_picture_does_not_depend_on_the_batch_it_is_drawn_in() -> None:
    transfer = ours().adapt(support(), None)
    source, at = figures(3)
    _, to = figures(3, 9)
    with torch.no_grad():
        together = transfer(source, at, to)
        apart = torch.cat([transfer(source[i : i + 1], at[i : i + 1], to[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, atol=2e-4, rtol=0)


def test_adapting_lowers_the_support_loss_and_changes_nothing_of_the_method() -> None:
    method = ours(training="joint")
    before = copy.deepcopy(method.state_dict())
    shots = support()
    seen = []

    def watch(index: int, transfer: Any) -> None:
        with torch.no_grad():
            images = transfer(shots.source.expand(2, -1, -1, -1), shots.source_keypoints, shots.keypoints)
        seen.append(float((images - shots.images).abs().mean()))

    method.adapt(shots, FineTune(0.003, 10), watch)
    assert len(seen) == 11 and seen[-1] < 0.8 * seen[0]
    after = method.state_dict()
    for network in ("generator", "discriminator"):
        assert all(torch.equal(before[network][n], after[network][n]) for n in before[network])
    assert all(p.requires_grad for p in method.discriminator.parameters())


@pytest.mark.parametrize("options", [{"training": "joint"}, {"msl": True, "support": 2}, {"order": "second"}])
def test_a_state_goes_out_and_in_and_the_next_step_is_the_same_bits(options: dict[str, Any]) -> None:
    first, second = ours(**options), ours(**options)
    batch: Any = pairs() if options.get("training") == "joint" else episode()
    progress = Progress(first.phases()[0], 3)
    first.train_step(batch, progress)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    a, b = first.train_step(batch, progress), second.train_step(batch, progress)
    assert {n: float(v) for n, v in a.items()} == {n: float(v) for n, v in b.items()}
    for x, y in zip(first.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(x, y)


def test_joint_training_overfits_one_batch() -> None:
    method = ours(training="joint", lr=2e-3)
    progress = Progress(method.phases()[0], 0)
    losses = [float(method.train_step(pairs(), progress)["g_l1"]) for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]


def test_meta_training_makes_the_adapted_output_better() -> None:
    method = ours(lr=2e-3, inner_lr=3e-3)
    progress = Progress(method.phases()[0], 0)
    losses = [float(method.train_step(episode(i % 4), progress)["g_l1"]) for i in range(40)]
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


def test_the_learning_rate_falls_as_a_cosine_for_64_epochs_and_then_stays() -> None:
    method = ours()
    assert method.learning_rate(0) == pytest.approx(2e-4)
    assert method.learning_rate(32) == pytest.approx(1.25e-4)
    assert method.learning_rate(64) == method.learning_rate(95) == pytest.approx(5e-5)


def test_unknown_options_and_sizes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="mls"):
        ours(mls=True)
    with pytest.raises(ValueError, match="multiple of 8"):
        Ours(Setup(30, Budget(1, 1)))
