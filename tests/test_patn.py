"""PATN, and what it shares with XingGAN: published sizes, losses, order of updates, laws of every method."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines import xinggan
from baselines.patn import PATN, Block, Generator
from baselines.xinggan import XingGAN
from methods.count import count
from methods.interface import Budget, FineTune, Method, PairBatch, Progress, Setup, Support
from methods.pose_gan import DiscriminatorPair, PoseGAN, Real, image_losses
from methods.pose_gan_networks import Discriminator, InstanceNorm

SIZE = 64
both = pytest.mark.parametrize("kind", [PATN, XingGAN])


class Blurs(nn.Module):
    """In the place of VGG19: two cheap "feature maps"."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [nn.functional.avg_pool2d(images, 2), nn.functional.avg_pool2d(images, 4)]


def a_method(kind: type[PoseGAN], vgg: bool = True, batch: int | None = 2, **options: object) -> PoseGAN:
    torch.manual_seed(0)
    perceptual = {"vgg19": Blurs()} if vgg else {}
    setup = Setup(SIZE, Budget(200, 0), width=0.125, batch=batch, perceptual=perceptual, options=options)
    return kind(setup)


def pairs(batch: int = 2, seed: int = 0) -> PairBatch:
    draw = torch.Generator().manual_seed(seed)

    def images() -> Tensor:
        blocks = torch.rand(batch, 3, 4, 4, generator=draw) * 2 - 1
        return blocks.repeat_interleave(SIZE // 4, 2).repeat_interleave(SIZE // 4, 3)

    def keypoints() -> Tensor:
        xy = torch.rand(batch, 17, 2, generator=draw) * SIZE
        return torch.cat([xy, torch.full((batch, 17, 1), 2.0)], 2)

    return PairBatch(images(), keypoints(), images(), keypoints())


def train(method: PoseGAN, steps: int, batch: PairBatch) -> dict[str, Tensor]:
    for step in range(steps):
        torch.manual_seed(step)
        losses = method.train_step(batch, Progress(method.phases()[0], step))
    return losses


def support_of(batch: PairBatch) -> Support:
    return Support(batch.source[:1], batch.source_keypoints[:1], batch.target, batch.target_keypoints)


def parameters_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_networks_have_the_published_size() -> None:
    with torch.device("meta"):
        method = PATN(Setup(256, Budget(7, 0), device=torch.device("meta")))
    counts = {probe.name: count(probe) for probe in method.probes()}
    generator, d_pp, d_pb = (counts[name] for name in ("generator", "D_PP", "D_PB"))
    assert (generator.parameters, generator.macs) == (41_358_019, 180_162_134_016)
    assert (d_pp.parameters, d_pp.macs) == (3_928_384, 18_144_559_104)
    assert (d_pb.parameters, d_pb.macs) == (3_975_424, 21_227_372_544)
    assert generator.output_shape == (1, 3, 256, 256)
    assert d_pp.output_shape == d_pb.output_shape == (1, 256, 64, 64)

    network = method.generator
    assert parameters_of(network.appearance_stem) == 378_496
    assert parameters_of(network.pose_stem) == 481_984
    assert [parameters_of(block) for block in network.blocks] == [2_360_320] + 8 * [4_719_872]
    assert parameters_of(network.decoder) == 378_243


def test_a_block_adds_attended_appearance_and_hands_on_pose_then_appearance() -> None:
    torch.manual_seed(0)
    block = Block(4, 8).eval()
    appearance, pose = torch.randn(2, 4, 8, 8), torch.randn(2, 8, 8, 8)
    new_appearance, new_pose = block(appearance, pose)
    code = block.pose(pose)
    wanted = appearance + block.appearance(appearance) * code.sigmoid()
    torch.testing.assert_close(new_appearance, wanted)
    torch.testing.assert_close(new_pose, torch.cat([code, new_appearance], 1))


def test_only_the_appearance_stream_ends_in_a_norm() -> None:
    block = Block(4, 8)
    assert [type(layer).__name__ for layer in block.appearance] == [
        *("Conv2d", "InstanceNorm", "ReLU", "Dropout", "Conv2d", "InstanceNorm"),
    ]
    assert [type(layer).__name__ for layer in block.pose] == [
        *("Conv2d", "InstanceNorm", "ReLU", "Dropout", "Conv2d"),
    ]


def test_the_norm_is_torchs_instance_norm() -> None:
    x = torch.randn(3, 5, 6, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    torch.testing.assert_close(InstanceNorm()(x), nn.InstanceNorm2d(5)(x))
    assert not list(InstanceNorm().parameters())


def test_generators_start_at_a_fiftieth_of_the_published_width_and_discriminators_at_torchs_default() -> None:
    torch.manual_seed(0)
    for width, std in ((0.25, 0.04), (1.0, 0.02)):
        weight = Generator(width).state_dict()["blocks.3.appearance.0.weight"]
        assert weight.std().item() == pytest.approx(std, rel=0.03)
    first = Discriminator(6, (16, 32, 64)).state_dict()["0.3.weight"]  # 16 inputs of 3 × 3
    assert first.abs().max().item() == pytest.approx(1 / (16 * 9) ** 0.5, rel=0.01)


@pytest.mark.parametrize("generator", [Generator, xinggan.Generator])
def test_a_narrow_generator_hears_the_pose_as_a_wide_one_does(generator: type[nn.Module]) -> None:
    """Weights of one size for all widths would let a quarter of XingGAN's channels lose it in nine blocks."""

    def response(width: float) -> float:
        """How much of the image another target pose changes, before training."""
        torch.manual_seed(0)
        network = generator(width).eval()
        draw = torch.Generator().manual_seed(1)
        source = torch.rand(1, 3, 32, 32, generator=draw) * 2 - 1
        poses = torch.rand(2, 36, 32, 32, generator=draw)
        with torch.no_grad():
            one, other = (network(source, pose[None]) for pose in poses)
        return float((one - other).norm() / (one - one.mean()).norm())

    assert response(0.25) > 0.5 * response(1.0)


def test_image_losses_are_means_and_the_perceptual_one_needs_a_network() -> None:
    fake, target = torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), torch.full((1, 3, 8, 8), 0.5)
    l1, perceptual = image_losses(fake, Real.of(target, Blurs()), Blurs())
    assert perceptual is not None
    assert (l1.item(), perceptual.item()) == (0.5, 1.0)  # two maps, each half away
    assert image_losses(fake, Real.of(target, None), None)[1] is None


def test_a_discriminators_loss_is_half_of_real_and_fake_times_the_gan_weight() -> None:
    torch.manual_seed(0)
    pair = DiscriminatorPair((4, 8, 16), 18, lr=1e-3, gan_weight=5.0, device=torch.device("cpu"))
    pair.train(False)
    fake, target, source, pose = (torch.randn(1, channels, 16, 16) for channels in (3, 3, 3, 18))
    before = copy.deepcopy(pair)
    losses = pair.step(fake, target, source, pose)
    for loss, then, now, beside in (
        (losses[0], before.appearance, pair.appearance, source),
        (losses[1], before.shape, pair.shape, pose),
    ):
        on_real, on_fake = (then(torch.cat([image, beside], 1)) for image in (target, fake))
        wanted = 0.5 * ((on_real - 1).square().mean() + on_fake.square().mean())
        torch.testing.assert_close(loss, wanted.detach())
        # Adam hides the scale of a loss, so the weight is looked for in the gradient
        gradients = torch.autograd.grad(5 * wanted, list(then.parameters()))
        torch.testing.assert_close([p.grad for p in now.parameters()], list(gradients), rtol=1e-4, atol=1e-5)


@both
def test_the_generators_loss_is_weighted_as_published(kind: type[PoseGAN]) -> None:
    losses = {name: torch.tensor(value) for name, value in (("g_l1", 2.0), ("g_perceptual", 3.0))}
    losses |= {"g_appearance": torch.tensor(5.0), "g_shape": torch.tensor(7.0)}
    l1_weight = {PATN: 1, XingGAN: 50}[kind]
    assert a_method(kind).generator_loss(losses).item() == l1_weight * 2 + 3 + 2.5 * (5 + 7)
    del losses["g_perceptual"]
    assert a_method(kind).generator_loss(losses).item() == l1_weight * 2 + 2.5 * (5 + 7)


@both
def test_d_pp_sees_the_source_and_d_pb_the_target_pose(kind: type[PoseGAN]) -> None:
    method, batch = a_method(kind), pairs()
    seen = []
    for network in (method.discriminators.appearance, method.discriminators.shape):
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    train(method, 1, batch)
    target_pose = method.pose(batch.target_keypoints)
    # the generator's step (both), then D_PP (real, fake), then D_PB (real, fake)
    assert [x.shape[1] for x in seen] == [6, 21, 6, 6, 21, 21]
    for i in (0, 2, 3):
        torch.testing.assert_close(seen[i][:, 3:], batch.source)
    for i in (1, 4, 5):
        torch.testing.assert_close(seen[i][:, 3:], target_pose)
    fake = seen[0][:, :3]
    for i, image in ((1, fake), (2, batch.target), (3, fake), (4, batch.target), (5, fake)):
        torch.testing.assert_close(seen[i][:, :3], image)
    assert fake.requires_grad and not seen[3].requires_grad and not seen[5].requires_grad


@both
def test_the_generators_loss_leaves_no_gradient_in_the_discriminators(kind: type[PoseGAN]) -> None:
    method, batch = a_method(kind), pairs()
    source_pose, target_pose = method.pose(batch.source_keypoints), method.pose(batch.target_keypoints)
    fake = method.generator(batch.source, torch.cat([source_pose, target_pose], 1))
    losses = method.generator_losses(fake, method.real(batch.target), batch.source, target_pose)
    method.generator_loss(losses).backward()  # type: ignore[no-untyped-call]
    discriminators = (method.discriminators.appearance, method.discriminators.shape)
    assert all(p.grad is None and p.requires_grad for d in discriminators for p in d.parameters())
    assert all(p.grad is not None for p in method.generator.parameters())


@both
def test_it_is_a_method_and_spends_its_budget(kind: type[PoseGAN]) -> None:
    method = a_method(kind)
    assert isinstance(method, Method)
    assert [(p.data, p.batch, p.samples) for p in method.phases()] == [("pairs", 2, 200)]
    assert a_method(kind, batch=None).phases()[0].batch == {PATN: 7, XingGAN: 32}[kind]


@both
def test_every_learning_rate_is_constant_then_falls_linearly(kind: type[PoseGAN]) -> None:
    method = a_method(kind)
    phase, batch = method.phases()[0], pairs()
    seen = []
    for step in (0, phase.steps - 1):
        method.train_step(batch, Progress(phase, step))
        optimizers = (method.generator_optimizer, *method.discriminators.optimizers)
        (rate,) = {optimizer.param_groups[0]["lr"] for optimizer in optimizers}
        seen.append(rate)
    # 100 steps of 700 or 300 epochs: the last begins 7 or 3 epochs before the end
    end = {PATN: 1 - (693 + 2 - 500) / 201, XingGAN: 1 - (297 + 2 - 200) / 101}[kind]
    assert seen == pytest.approx([2e-4, 2e-4 * end])


@both
def test_it_learns_one_pair_by_heart(kind: type[PoseGAN]) -> None:
    # with XingGAN's L1 weight for both, and despite the dropout in every block
    method = a_method(kind, batch=1, lr=2e-3, l1_weight=50.0)
    batch = pairs(1)
    first = train(method, 1, batch)
    last = train(method, 25, batch)
    assert set(last) == {"g_appearance", "g_shape", "g_l1", "g_perceptual", "d_appearance", "d_shape"}
    assert all(value.ndim == 0 and not value.requires_grad for value in last.values())
    assert last["g_l1"] < 0.85 * first["g_l1"]
    assert last["d_shape"] < first["d_shape"] and last["d_appearance"] < first["d_appearance"]


@both
def test_a_restored_state_makes_the_identical_next_step(kind: type[PoseGAN], tmp_path: Path) -> None:
    method, batch = a_method(kind), pairs()
    train(method, 2, batch)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    restored = a_method(kind)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert train(restored, 1, batch) == train(method, 1, batch)
    torch.testing.assert_close(restored.state_dict(), method.state_dict(), rtol=0, atol=0)


@both
def test_a_state_with_a_part_missing_is_refused(kind: type[PoseGAN]) -> None:
    state = a_method(kind).state_dict()
    del state["shape_discriminator"]
    with pytest.raises(KeyError, match="shape_discriminator"):
        a_method(kind).load_state_dict(state)


@both
def test_an_output_depends_on_its_own_sample_alone(kind: type[PoseGAN]) -> None:
    method, batch = a_method(kind), pairs(3)
    train(method, 1, batch)
    transfer = method.adapt(support_of(batch), None)
    asked = (batch.source, batch.source_keypoints, batch.target_keypoints)
    together = transfer(*asked)
    for i in (2, 0, 1):
        alone = transfer(*(x[i : i + 1] for x in asked))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)
    assert together.shape == (3, 3, SIZE, SIZE) and not together.requires_grad


@both
def test_adapting_changes_the_transfer_and_never_the_method(kind: type[PoseGAN]) -> None:
    method, batch = a_method(kind), pairs()
    train(method, 1, batch)
    before = copy.deepcopy(method.state_dict())
    asked = (batch.source, batch.source_keypoints, batch.target_keypoints)
    trained = method.adapt(support_of(batch), None)(*asked)
    passes = {}
    tuned = method.adapt(support_of(batch), FineTune(lr=1e-4, passes=2), lambda n, t: passes.update({n: t(*asked)}))
    assert sorted(passes) == [0, 1, 2]
    torch.testing.assert_close(passes[0], trained)
    torch.testing.assert_close(passes[2], tuned(*asked))
    assert not torch.allclose(tuned(*asked), trained)
    again = method.adapt(support_of(batch), FineTune(lr=1e-4, passes=2))
    torch.testing.assert_close(again(*asked), tuned(*asked), rtol=0, atol=0)  # nothing is left to chance
    torch.testing.assert_close(method.state_dict(), before, rtol=0, atol=0)
    discriminators = (method.discriminators.appearance, method.discriminators.shape)
    assert all(p.requires_grad for d in discriminators for p in d.parameters())


@both
def test_it_trains_and_draws_under_bfloat16(kind: type[PoseGAN]) -> None:
    method, batch = a_method(kind), pairs()
    with torch.autocast("cpu", torch.bfloat16):
        losses = train(method, 1, batch)
        image = method.adapt(support_of(batch), None)(batch.source, batch.source_keypoints, batch.target_keypoints)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    assert image.dtype == torch.float32


@both
def test_departures_are_noted(kind: type[PoseGAN]) -> None:
    notes = " ".join(a_method(kind, vgg=False, lr=1e-3).notes())
    assert "0.125" in notes and "batch 2" in notes and "0.001" in notes and "without its perceptual" in notes
    assert "perceptual" not in " ".join(a_method(kind).notes())
    assert "Gaussian" not in " ".join(a_method(kind, pose_map="onehot").notes())
    with pytest.raises(ValueError, match="leraning_rate"):
        a_method(kind, leraning_rate=1)


@both
def test_onehot_poses_have_one_pixel_a_joint(kind: type[PoseGAN]) -> None:
    keypoints = pairs().target_keypoints
    assert (a_method(kind, pose_map="onehot").pose(keypoints).sum((2, 3)) == 1).all()
    assert (a_method(kind).pose(keypoints) > 0.1).sum((2, 3)).max() > 10
