"""Ours: the network of the paper to the parameter, and what training and adapting may and may not change."""

import copy
from typing import Any

import pytest
import torch

from methods.count import count
from methods.interface import Budget, EpisodeBatch, FineTune, PairBatch, Progress, Setup, Support
from ours.discriminator import Discriminator
from ours.generator import FusionResidualBlock, Generator
from ours.method import Ours
from ours.spectral_norm import SpectralConv2d

SIZE = 32


def ours(width: float = 0.07, **options: Any) -> Ours:
    torch.manual_seed(0)
    return Ours(Setup(SIZE, Budget(64, 64), width=width, options=options))


class Features(torch.nn.Module):
    """Two maps in place of VGG's four."""

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images, torch.nn.functional.avg_pool2d(images, 2)]


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
    images, points = images.view(2, -1, *images.shape[1:]), points.view(2, -1, 17, 3)
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


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ({"image_size": 16}, "at least 32"),
        ({"width": 0.001}, "no channels"),
        ({"options": {"inner_steps": 0}}, "inner_steps must be at least 1"),
        ({"options": {"order": "third"}}, "order is"),
    ],
)
def test_a_build_that_cannot_train_is_refused_with_its_reason(setup: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ours(Setup(**{"image_size": SIZE, "budget": Budget(1, 1), "width": 0.07, **setup}))


def test_a_state_with_a_part_missing_or_too_much_is_refused() -> None:
    state = ours().state_dict()
    for wrong in ({**state, "ema": {}}, {n: v for n, v in state.items() if n != "optimizer_d"}):
        with pytest.raises(ValueError, match="must hold"):
            ours().load_state_dict(wrong)


def test_the_aligned_maps_are_what_the_fusion_module_adds_to_the_pose_map() -> None:
    torch.manual_seed(0)
    generator = Generator(4)
    pose, source = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    first, second = generator.aligned_maps(pose, source)
    maps = generator.pose_encoder(pose)
    torch.testing.assert_close(generator.decoder(maps[-1] + first + second, maps), generator(pose, source))
    assert first.shape == (2, 32, 4, 4)


def test_a_warm_start_brings_both_networks_and_leaves_the_optimisers_fresh() -> None:
    joint, meta = ours(training="joint"), ours()
    joint.train_step(pairs(), Progress(joint.phases()[0], 0))
    meta.warm_start(joint.state_dict())
    for network in ("generator", "discriminator"):
        mine, theirs = meta.state_dict()[network], joint.state_dict()[network]
        assert all(torch.equal(mine[n], theirs[n]) for n in theirs)
    assert not meta.optimizer_g.state and not meta.optimizer_d.state


def test_the_perceptual_term_is_in_the_inner_steps_too_unless_switched_off() -> None:
    def losses(**options: Any) -> dict[str, float]:
        torch.manual_seed(0)
        method = Ours(
            Setup(SIZE, Budget(1, 8), width=0.07, perceptual={"vgg16": Features()}, options=options)
        )  # fmt: skip
        found = method.train_step(episode(), Progress(method.phases()[0], 0))
        return {n: float(v) for n, v in found.items()}

    both, outer_only, neither = losses(), losses(inner_perceptual=False), losses(perceptual=0.0)
    assert both["g_perceptual"] > 0 and outer_only["g_perceptual"] > 0 and neither["g_perceptual"] == 0
    assert both["inner_first"] > outer_only["inner_first"] == neither["inner_first"]


def test_the_discriminator_sees_the_fakes_of_every_counted_step_by_their_weight() -> None:
    method = ours()
    pose, real = figures(2)[0], figures(2, 3)[0]
    fakes = [figures(2, seed)[0] for seed in (7, 8)]
    with torch.no_grad():
        each = [torch.nn.functional.softplus(method.discriminator(pose, fake)).mean() for fake in fakes]
        truth = torch.nn.functional.softplus(-method.discriminator(pose, real)).mean()
    found = method._discriminator_step(pose, real, [(0.25, fakes[0]), (0.75, fakes[1])])
    torch.testing.assert_close(found["d_fake"], 0.25 * each[0] + 0.75 * each[1])
    torch.testing.assert_close(found["d_real"], truth)


def test_the_power_iteration_moves_once_a_training_step_and_sigma_stays_in_float32() -> None:
    method = ours()
    layer = next(m for m in method.generator.modules() if isinstance(m, SpectralConv2d))
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight))  # σ > 1, and u, v are no longer its vectors
    expected = copy.deepcopy(layer)
    expected.power_iteration()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.sigma().dtype == torch.float32
        losses = method.train_step(episode(), Progress(method.phases()[0], 0))
    assert all(torch.isfinite(v) and v.dtype == torch.float32 for v in losses.values())
    assert torch.equal(layer.u, expected.u) and torch.equal(layer.v, expected.v)


def test_what_differs_from_the_paper_is_noted() -> None:
    budget = Budget(0, 8, warm_start_pairs=100)
    vgg: dict[str, torch.nn.Module] = {"vgg16": Features()}
    notes = " / ".join(
        Ours(Setup(SIZE, budget, width=0.25, perceptual=vgg, options={"inner_perceptual": False})).notes()
    )
    assert "0.25 of the published" in notes and "outer" in notes and "100 pairs" in notes
    assert "without the perceptual term" in " ".join(ours().notes())
    assert list(Ours(Setup(SIZE, Budget(1, 1), perceptual=vgg)).notes()) == []


def test_the_adapting_loss_is_eq_6_term_by_term() -> None:
    method = Ours(Setup(SIZE, Budget(1, 1), width=0.07, perceptual={"vgg16": Features()}))
    pose, fake, real = figures(2)[0], figures(2, 1)[0], figures(2, 2)[0]
    with torch.no_grad():
        loss = method.loss(pose, fake, real, method.loss.real_features(real))
        gan = -torch.nn.functional.logsigmoid(method.discriminator(pose, fake)).mean()  # −log D, non-saturating
        perceptual = sum((a - b).abs().mean() for a, b in zip(Features()(fake), Features()(real), strict=True))
    torch.testing.assert_close(loss.gan, gan)
    torch.testing.assert_close(loss.total, gan + 75 * (fake - real).abs().mean() + 0.5 * perceptual)


def test_a_normalised_weight_has_no_scale_and_its_gradient_knows() -> None:
    torch.manual_seed(0)
    layer, x = SpectralConv2d(3, 5, 3, bias=False).double(), torch.randn(1, 3, 6, 6, dtype=torch.float64)
    torch.nn.init.normal_(layer.weight)
    before = layer(x)
    (before * torch.randn_like(before)).sum().backward()
    gradient = layer.weight.grad
    assert gradient is not None and float(gradient.norm()) > 0.1
    # W/σ(W) is unchanged along W, so a gradient that passes through σ is at right angles to W
    assert float((gradient * layer.weight.detach()).sum()) == pytest.approx(0, abs=1e-9)
    with torch.no_grad():
        layer.weight.mul_(7)
        torch.testing.assert_close(layer(x), before)


def test_the_discriminator_steps_by_this_batch_alone() -> None:
    first, second = ours(), ours()
    before = copy.deepcopy(first.discriminator)
    for parameter in second.discriminator.parameters():
        parameter.grad = torch.ones_like(parameter)  # left over from somewhere
    for method in (first, second):
        method._discriminator_step(figures(2)[0], figures(2, 3)[0], [(1.0, figures(2, 7)[0])])
    for x, y, z in zip(*(net.parameters() for net in (first.discriminator, second.discriminator, before)), strict=True):
        assert torch.equal(x, y)
        assert float((x - z).detach().abs().max()) == pytest.approx(4e-4, rel=0.05), "Adam's first step is its lr"


def test_the_multi_step_loss_is_for_the_early_stage_of_a_run_that_asks_for_it() -> None:
    def loss(step: int, msl: bool) -> float:
        torch.manual_seed(0)
        method = Ours(Setup(SIZE, Budget(1, 96 * 4), width=0.07, options={"msl": msl, "inner_lr": 0.01}))
        assert method.phases()[0].steps == 96
        return float(method.train_step(episode(), Progress(method.phases()[0], step))["d_fake"])

    assert loss(0, msl=True) != loss(0, msl=False)
    assert loss(15, msl=True) == loss(15, msl=False) == loss(0, msl=False)


@pytest.mark.parametrize(("layers", "patch"), [(3, 70), (2, 34)])
def test_a_logit_judges_one_patch_of_pose_and_image(layers: int, patch: int) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(4, layers).double()
    pose, image = (torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True) for _ in range(2))
    logits = discriminator(pose, image)
    middle = logits.shape[-1] // 2
    for gradient in torch.autograd.grad(logits[0, 0, middle, middle], (pose, image)):
        seen = gradient[0].abs().sum(0) > 0
        assert int(seen.any(0).sum()) == int(seen.any(1).sum()) == patch
