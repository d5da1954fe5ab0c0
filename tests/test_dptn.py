"""DPTN: published sizes, attention against torch's own, losses and their order, laws of every method."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from baselines.dptn import (
    CONTENT_LAYERS,
    DPTN,
    HEADS,
    STYLE_LAYERS,
    Attention,
    Discriminator,
    Features,
    Generator,
    PoseTransformer,
    SpectralConv2d,
    TransformerBlock,
    gram_matrix,
)
from methods.count import count
from methods.interface import Budget, FineTune, Method, PairBatch, Probe, Progress, Setup, Support
from methods.losses import frozen
from methods.norm import SampleNorm
from methods.perceptual import VGGFeatures

SIZE = 64


class Maps(nn.Module):
    """In the place of VGG19's: the blurred image, never negative, and its Gram matrix; of VGG19's magnitude."""

    def content_and_style(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        blurred = nn.functional.avg_pool2d(images, 4)
        return [blurred], [gram_matrix((blurred + 1) / 10)]


def a_method(maps: bool = True, batch: int | None = 2, size: int = SIZE, **options: object) -> DPTN:
    torch.manual_seed(0)
    method = DPTN(Setup(size, Budget(200, 0), width=0.125, batch=batch, options=options))
    method.features = Maps() if maps else None  # type: ignore[assignment]
    return method


def pairs(batch: int = 2, seed: int = 0, size: int = SIZE) -> PairBatch:
    """A rectangle of one colour a sample on white, somewhere else in source and target."""
    draw = torch.Generator().manual_seed(seed)
    colour = torch.rand(batch, 3, 1, 1, generator=draw) * 2 - 1
    pixel = torch.arange(size)

    def side() -> tuple[Tensor, Tensor]:
        x, y = torch.randint(0, size // 2, (2, batch), generator=draw)
        inside = [(pixel >= at[:, None]) & (pixel < at[:, None] + size // 2) for at in (x, y)]
        image = torch.where(inside[1][:, None, :, None] & inside[0][:, None, None, :], colour, 1.0)
        offsets = torch.rand(batch, 17, 2, generator=draw) * size / 2
        joints = torch.stack([x, y], 1)[:, None] + offsets
        return image, torch.cat([joints, torch.full((batch, 17, 1), 2.0)], 2)

    return PairBatch(*side(), *side())


def train(method: DPTN, steps: int, batch: PairBatch) -> dict[str, Tensor]:
    for step in range(steps):
        torch.manual_seed(step)
        losses = method.train_step(batch, Progress(method.phases()[0], step))
    return losses


def grown(method: DPTN) -> DPTN:
    """With convolutions fifty times the published start, whose first images are all but constant."""
    for module in method.generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data.mul_(50)
    return method


def support_of(batch: PairBatch) -> Support:
    return Support(batch.source[:1], batch.source_keypoints[:1], batch.target, batch.target_keypoints)


def asked_of(batch: PairBatch) -> tuple[Tensor, Tensor, Tensor]:
    return batch.source, batch.source_keypoints, batch.target_keypoints


def parameters_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- networks


def test_networks_have_the_published_size() -> None:
    method = DPTN(Setup(256, Budget(32, 0), device=torch.device("meta")))
    counts = {probe.name: count(probe) for probe in method.probes()}
    generator, discriminator = counts["generator"], counts["discriminator"]
    assert (generator.parameters, generator.macs) == (9_794_371, 26_470_252_544)
    assert (discriminator.parameters, discriminator.macs) == (664_577, 1_136_164_864)
    assert (generator.output_shape, discriminator.output_shape) == ((1, 3, 256, 256), (1, 1, 16, 16))

    # sums from the layers' sizes: convolutions and projections with bias, norms with two numbers a channel
    network = method.generator
    assert parameters_of(network.texture_encoder) == 1_434_752
    assert parameters_of(network.pose_encoder) == 1_471_616 + 3 * 1_246_976
    assert [parameters_of(block) for block in network.transformer.context] == 2 * [395_776]
    assert [parameters_of(block) for block in network.transformer.transfer] == 2 * [659_456]
    assert parameters_of(network.transformer.norm) == 512
    assert parameters_of(network.decoder) == 738_432 + 184_896 + 111_040 + 1_731


@pytest.mark.parametrize(("size", "scores"), [(32, 2), (40, 2), (64, 4), (128, 8), (256, 16)])
def test_every_multiple_of_8_is_drawn_at_its_size(size: int, scores: int) -> None:
    method = a_method(size=size)
    counts = {probe.name: count(probe).output_shape for probe in method.probes()}
    assert counts == {"generator": (1, 3, size, size), "discriminator": (1, 1, scores, scores)}


def test_other_sizes_are_refused() -> None:
    for size in (24, 60):
        with pytest.raises(ValueError, match="multiple of 8"):
            a_method(size=size)


@pytest.mark.parametrize("width", [0.03, 0.13, 0.25, 0.5])
def test_heads_divide_the_channels_at_any_width(width: float) -> None:
    network = Generator(width).eval()
    assert network.transformer.norm.channels % HEADS == 0
    assert network(torch.zeros(1, 3, 32, 32), *torch.zeros(2, 1, 18, 32, 32)).shape == (1, 3, 32, 32)


def torchs_attention(attention: Attention, channels: int) -> nn.MultiheadAttention:
    """torch.nn.MultiheadAttention with the same weights."""
    reference = nn.MultiheadAttention(channels, HEADS, batch_first=True)
    projections = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        for p in (*projections, attention.out):
            p.bias.uniform_(-0.5, 0.5)  # a zero bias would go unnoticed
        reference.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        reference.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    reference.out_proj.load_state_dict(attention.out.state_dict())
    return reference


def test_attention_is_torchs_multi_head_attention() -> None:
    torch.manual_seed(0)
    attention = Attention(8)
    reference = torchs_attention(attention, 8)
    queries, keys, values = torch.randn(3, 2, 9, 8) * 3  # far from uniform attention
    torch.testing.assert_close(attention(queries, keys, values), reference(queries, keys, values)[0])
    assert not torch.allclose(attention(queries, keys, values), attention(queries, values, keys), atol=1e-2)


def reference_block(block: TransformerBlock, x: Tensor, *keys_and_values: Tensor) -> Tensor:
    """The block out of torch's own layers: sums, and norms over tokens behind them."""

    def norm(of: nn.Module, tokens: Tensor) -> Tensor:
        mine = nn.InstanceNorm1d(tokens.shape[2], affine=True)
        mine.load_state_dict(of.state_dict())
        return mine(tokens.transpose(1, 2)).transpose(1, 2)

    channels = x.shape[2]
    x = norm(block.norm, x + torchs_attention(block.attention, channels)(x, x, x)[0])
    if keys_and_values:
        crossed = torchs_attention(block.cross_attention, channels)(x, *keys_and_values)[0]
        x = norm(block.cross_norm, x + crossed)
    first, last = block.feed_forward[0], block.feed_forward[2]
    hidden = nn.functional.leaky_relu(x @ first.weight.T + first.bias, 0.1)
    return norm(block.last_norm, x + hidden @ last.weight.T + last.bias)


def shaken(module: nn.Module) -> nn.Module:
    """The module with no parameter left at a 0 or 1 that would hide it."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-0.7, 0.7)
    return module


@pytest.mark.parametrize("cross", [False, True])
def test_a_block_is_attention_then_feed_forward_with_a_norm_behind_each(cross: bool) -> None:
    torch.manual_seed(0)
    block = shaken(TransformerBlock(8, cross))
    x, *others = torch.randn(3 if cross else 1, 2, 9, 8)
    wanted = reference_block(block, x, *others)  # type: ignore[arg-type]
    torch.testing.assert_close(block(x, *others), wanted, rtol=1e-4, atol=1e-5)


def test_the_target_asks_the_reconstruction_and_is_given_the_sources_texture() -> None:
    torch.manual_seed(0)
    transformer = shaken(PoseTransformer(8))
    reconstruction, target, texture = torch.randn(3, 2, 8, 3, 3)
    keys, x, values = (maps.flatten(2).transpose(1, 2) for maps in (reconstruction, target, texture))
    keys = reference_block(transformer.context[1], reference_block(transformer.context[0], keys))
    for block in transformer.transfer:
        x = reference_block(block, x, keys, values)
    norm = nn.InstanceNorm1d(8, affine=True)
    norm.load_state_dict(transformer.norm.state_dict())
    wanted = norm(x.transpose(1, 2)).unflatten(2, (3, 3))
    torch.testing.assert_close(transformer(reconstruction, target, texture), wanted, rtol=1e-4, atol=1e-5)


def test_one_pose_encoder_reads_the_source_pose_twice_and_both_poses() -> None:
    torch.manual_seed(0)
    network = Generator(0.125)
    seen: list[Tensor] = []
    network.pose_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    source, source_pose, target_pose = torch.randn(2, 3, 32, 32), *torch.rand(2, 2, 18, 32, 32)
    reconstruction, target = network.both(source, source_pose, target_pose)
    torch.testing.assert_close(seen[0], torch.cat([source, source_pose, source_pose], 1))
    torch.testing.assert_close(seen[1], torch.cat([source, source_pose, target_pose], 1))
    torch.testing.assert_close(target, network(source, source_pose, target_pose))
    # the target's pose is nothing to the reconstruction, whose features skip the transformer
    again, other = network.both(source, source_pose, target_pose.flip(3))
    torch.testing.assert_close(again, reconstruction)
    assert not torch.equal(other, target)
    torch.testing.assert_close(reconstruction, network.decoder(network.pose_encoder(seen[0])))


def layers_of(network: nn.Module) -> str:
    """The layers in order: n norm, a activation, c convolution, t transposed, each with kernel and stride."""
    words = []
    for layer in network.modules():
        if isinstance(layer, SampleNorm):
            words.append("n")
        elif isinstance(layer, nn.LeakyReLU):
            assert layer.negative_slope == 0.1
            words.append("a")
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            kind = "t" if isinstance(layer, nn.ConvTranspose2d) else "c"
            words.append(f"{kind}{layer.kernel_size[0]}/{layer.stride[0]}")
    return " ".join(words)


def test_norm_and_activation_come_before_the_convolutions() -> None:
    network, discriminator = Generator(0.125), Discriminator(0.125)
    assert layers_of(network.texture_encoder) == (
        "c4/2 n a c3/1 n a c4/2 n a c3/1 n a c4/2 n a c3/1"  # the image itself is not normalised
    )
    assert layers_of(network.pose_encoder[1]) == "n a c3/1 n a c3/1 c1/1"
    assert layers_of(network.decoder[0]) == "n a c3/1 n a t3/2 t3/2"
    assert layers_of(network.decoder[3:]) == "a c3/1" and network.decoder[4].padding_mode == "reflect"
    assert layers_of(discriminator[0]) == "c3/1 a c4/2 c1/1"
    assert layers_of(discriminator[1]) == "a c3/1 a c4/2 c1/1"
    assert layers_of(nn.Sequential(*list(discriminator)[4:])) == "a c1/1"


def test_weights_start_orthogonal_at_a_fiftieth_and_attention_as_torchs() -> None:
    torch.manual_seed(0)
    network = Generator(0.25)
    matrix = network.pose_encoder[1].main[2].weight.flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, 0.02**2 * torch.eye(len(matrix)), rtol=0, atol=1e-7)
    query = network.transformer.context[0].attention.query
    assert query.weight.abs().max().item() == pytest.approx((6 / (64 + 64)) ** 0.5, rel=0.01)
    assert all((p == 0).all() for name, p in network.named_parameters() if name.endswith("bias"))


def test_spectral_normalisation_divides_by_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = SpectralConv2d(3, 8, 3)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(layer.eval()(x), conv2d(x, layer.weight, layer.bias, padding=1))  # σ is 1 at the start
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight))
    before = layer.u.clone()
    layer(x)
    assert torch.equal(layer.u, before)  # outside training it stays as it is
    layer.train()
    for _ in range(60):
        layer(x)
    sigma = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    torch.testing.assert_close(layer(x), conv2d(x, layer.weight / sigma, layer.bias, padding=1))


def test_the_discriminators_gradient_is_that_of_torchs_spectral_norm() -> None:
    torch.manual_seed(0)
    layer, x = SpectralConv2d(4, 6, 3), torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight))
    plain = nn.Conv2d(4, 6, 3, padding=1)
    plain.load_state_dict({"weight": layer.weight.detach(), "bias": layer.bias})
    reference = nn.utils.parametrizations.spectral_norm(plain, n_power_iterations=30)
    for _ in range(30):
        layer(x)
    for network in (layer, reference):
        network(x).square().sum().backward()
    wanted = reference.parametrizations.weight.original.grad
    torch.testing.assert_close(layer.weight.grad, wanted, rtol=1e-3, atol=1e-3)


# --- losses


def made_weights() -> dict[str, Tensor]:
    """VGG19 to relu5_2 under torchvision's names, of one number a layer's input."""
    draw = torch.Generator().manual_seed(0)
    weights, position, inputs = {}, 0, 3
    for stage, (convolutions, outputs) in enumerate(zip((2, 2, 4, 4, 2), (64, 128, 256, 512, 512), strict=True)):
        for _ in range(convolutions):
            scale = (2 / (9 * inputs)) ** 0.5
            weights[f"features.{position}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=draw) * scale
            weights[f"features.{position}.bias"] = torch.randn(outputs, generator=draw) * 0.1
            inputs, position = outputs, position + 2
        position += 1
        assert stage < 5
    return weights


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return made_weights()


def plain_maps(weights: Mapping[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Every ReLU of VGG19 to relu5_2, of the given numbers as they are."""
    maps, position = {}, 0
    for stage, convolutions in enumerate((2, 2, 4, 4, 2)):
        for number in range(convolutions):
            name = f"features.{position}"
            x = conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).relu()
            maps[f"relu{stage + 1}_{number + 1}"] = x
            position += 2
        x, position = max_pool2d(x, 2), position + 1
    return maps


def test_features_are_of_images_that_nobody_normalised(weights: dict[str, Tensor]) -> None:
    images = pairs(size=32).source
    content, style = Features(weights).content_and_style(images)
    wanted = plain_maps(weights, images)
    for maps, layer in zip(content, ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), strict=True):
        torch.testing.assert_close(maps, wanted[layer], rtol=1e-3, atol=1e-4)
    for gram, layer in zip(style, ("relu2_2", "relu3_4", "relu4_4", "relu5_2"), strict=True):
        of = wanted[layer]
        torch.testing.assert_close(gram, torch.einsum("bchw,bdhw->bcd", of, of) / of[0].numel(), rtol=1e-3, atol=1e-5)
    assert len(CONTENT_LAYERS) == 5 and len(STYLE_LAYERS) == 4


def test_content_and_style_of_both_tasks_are_sums_of_mean_differences(weights: dict[str, Tensor]) -> None:
    method, batch = a_method(), pairs(size=32)
    method.features = Features(weights)
    made = pairs(seed=1, size=32)
    losses = method.generator_losses(method.real(batch), reconstruction=made.source, fake=made.target)
    for task, a, b in (("g", made.target, batch.target), ("self", made.source, batch.source)):
        left, right = plain_maps(weights, a), plain_maps(weights, b)
        content = sum((left[layer] - right[layer]).abs().mean() for layer in CONTENT_LAYERS)
        style = sum((gram_matrix(left[layer]) - gram_matrix(right[layer])).abs().mean() for layer in STYLE_LAYERS)
        torch.testing.assert_close(losses[f"{task}_content"], content, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(losses[f"{task}_style"], style, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(losses[f"{task}_l1"], (a - b).abs().mean())


def test_a_setup_with_the_whole_vgg19_gives_the_features(weights: dict[str, Tensor]) -> None:
    vgg = VGGFeatures("vgg19", weights)  # as it is handed to every method: to relu1_2
    method = DPTN(Setup(SIZE, Budget(200, 0), width=0.125, batch=2, perceptual={"vgg19": vgg}))
    batch = pairs()
    losses = train(method, 1, batch)
    assert {"g_content", "g_style", "self_content", "self_style"} < set(losses)
    assert not any("content" in note for note in method.notes())
    assert not any("features" in name for name in method.state_dict())  # weights of others are not stored
    # a network without its weights, or none at all, drops both terms
    for perceptual in ({"vgg19": nn.Identity()}, {}):
        bare = DPTN(Setup(SIZE, Budget(200, 0), width=0.125, batch=2, perceptual=perceptual))
        assert set(train(bare, 1, batch)) == {"g_gan", "g_l1", "self_l1", "d_real", "d_fake"}
        assert any("without its content and style" in note for note in bare.notes())


def test_the_generators_loss_is_weighted_as_published() -> None:
    values = {"g_gan": 3.0, "g_l1": 2.0, "g_style": 0.01, "g_content": 4.0}
    values |= {"self_l1": 5.0, "self_style": 0.02, "self_content": 6.0}
    losses = {name: torch.tensor(value) for name, value in values.items()}
    target, reconstruction = 5 * 2 + 500 * 0.01 + 0.5 * 4, 5 * 5 + 500 * 0.02 + 0.5 * 6
    total = a_method().generator_loss(losses).item()
    assert total == pytest.approx(0.5 * target + 0.5 * reconstruction + 2 * 3)
    for name in ("g_style", "g_content", "self_style", "self_content"):
        del losses[name]
    assert a_method().generator_loss(losses).item() == pytest.approx(0.5 * (10 + 25) + 6)


def test_the_discriminator_steps_first_and_sees_the_target_images_alone() -> None:
    method, batch = a_method(), pairs()
    seen: list[tuple[Tensor, Tensor]] = []
    weight = method.discriminator[0].main[0].weight
    method.discriminator.register_forward_pre_hook(lambda _, x: seen.append((x[0], weight.detach().clone())))
    before = copy.deepcopy(method.discriminator)
    drawn = method.draw(method.generator, batch)[1]
    losses = train(method, 1, batch)
    assert len(seen) == 3  # target, fake, then the generator's turn
    torch.testing.assert_close(seen[0][0], batch.target)
    for image, _ in seen[1:]:
        torch.testing.assert_close(image, drawn)
    assert not seen[1][0].requires_grad and seen[2][0].requires_grad
    assert torch.equal(seen[1][1], seen[0][1]) and not torch.equal(seen[2][1], seen[1][1])

    on_target, on_fake = before(batch.target), before(drawn)  # in training, so with the same power iterations
    torch.testing.assert_close(losses["d_real"], (on_target - 1).square().mean().detach())
    torch.testing.assert_close(losses["d_fake"], on_fake.square().mean().detach())
    with frozen(method.discriminator):
        method.discriminator.eval()
        again = (method.discriminator(drawn) - 1).square().mean()
    torch.testing.assert_close(losses["g_gan"], again.detach(), rtol=1e-3, atol=1e-4)


def test_the_generators_loss_leaves_no_gradient_in_the_discriminator() -> None:
    method, batch = a_method(), pairs()
    losses = method.generator_losses(method.real(batch), *method.draw(method.generator, batch))
    method.generator_loss(losses).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None and p.requires_grad for p in method.discriminator.parameters())
    assert all(p.grad is not None for p in method.generator.parameters())


def test_the_discriminator_judges_the_target_only() -> None:
    method, batch = a_method(maps=False, l1_weight=0.0), pairs()
    method.discriminator.eval()
    reconstruction, fake = (x.detach().requires_grad_() for x in method.draw(method.generator, batch))
    loss = method.generator_loss(method.generator_losses(method.real(batch), reconstruction, fake))
    of_reconstruction, of_fake = torch.autograd.grad(loss, [reconstruction, fake])
    assert of_fake.abs().max() > 0 and of_reconstruction.abs().max() == 0


# --- a method like the others


def test_it_is_a_method_and_spends_its_budget() -> None:
    method = a_method()
    assert isinstance(method, Method)
    assert [(p.data, p.batch, p.samples) for p in method.phases()] == [("pairs", 2, 200)]
    assert a_method(batch=None).phases()[0].batch == 32


def test_both_learning_rates_are_constant_then_fall_linearly() -> None:
    method, batch = a_method(), pairs()
    phase = method.phases()[0]
    seen = []
    for step in (0, phase.steps - 1):
        method.train_step(batch, Progress(phase, step))
        seen += [o.param_groups[0]["lr"] for o in (method.generator_optimizer, method.discriminator_optimizer)]
    end = 1 - (198 + 2 - 100) / 101  # 100 steps of 200 epochs: the last begins two epochs before the end
    assert seen == pytest.approx([2e-4, 2e-5, 2e-4 * end, 2e-5 * end])
    assert method.generator_optimizer.defaults["betas"] == (0.5, 0.999)


def test_it_learns_one_pair_by_heart() -> None:
    method, batch = a_method(batch=1, lr=2e-3), pairs(1)
    first = train(method, 1, batch)
    last = train(method, 50, batch)
    assert set(last) == set(first)
    assert all(value.ndim == 0 and not value.requires_grad for value in last.values())
    for term in ("l1", "content", "style"):
        assert last[f"g_{term}"] < 0.3 * first[f"g_{term}"], term
        assert last[f"self_{term}"] < 0.3 * first[f"self_{term}"], term


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


def test_an_output_depends_on_its_own_sample_alone() -> None:
    method, batch = grown(a_method()), pairs(3)
    train(method, 1, batch)
    transfer = method.adapt(support_of(batch), None)
    together = transfer(*asked_of(batch))
    for i in (2, 0, 1):
        alone = transfer(*(x[i : i + 1] for x in asked_of(batch)))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)
    assert together.shape == (3, 3, SIZE, SIZE) and not together.requires_grad
    assert (together[0] - together[1]).abs().mean() > 0.01


def test_adapting_changes_the_transfer_and_never_the_method() -> None:
    method, batch = grown(a_method()), pairs()
    train(method, 1, batch)
    before = copy.deepcopy(method.state_dict())
    asked = asked_of(batch)
    trained = method.adapt(support_of(batch), None)(*asked)
    passes = {}
    schedule = FineTune(lr=1e-3, passes=2)
    tuned = method.adapt(support_of(batch), schedule, lambda n, transfer: passes.update({n: transfer(*asked)}))
    assert sorted(passes) == [0, 1, 2]
    torch.testing.assert_close(passes[0], trained)
    torch.testing.assert_close(passes[2], tuned(*asked))
    assert not torch.allclose(tuned(*asked), trained)
    again = method.adapt(support_of(batch), schedule)
    torch.testing.assert_close(again(*asked), tuned(*asked), rtol=0, atol=0)
    torch.testing.assert_close(method.state_dict(), before, rtol=0, atol=0)
    assert all(p.requires_grad for p in method.discriminator.parameters())


def test_adapting_lowers_the_loss_it_adapts_by() -> None:
    method, batch = grown(a_method(gan_weight=0.0)), pairs(1)
    losses = []

    def on_pass(_: int, transfer: object) -> None:
        losses.append((transfer(*asked_of(batch)) - batch.target).abs().mean().item())  # type: ignore[operator]

    method.adapt(support_of(batch), FineTune(lr=1e-3, passes=5), on_pass)
    assert losses[-1] < losses[0]


def test_it_trains_and_draws_under_bfloat16() -> None:
    method, batch = a_method(), pairs()
    with torch.autocast("cpu", torch.bfloat16):
        losses = train(method, 1, batch)
        image = method.adapt(support_of(batch), None)(*asked_of(batch))
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())
    assert image.dtype == torch.float32
    assert count(Probe("", Discriminator(0.125), (batch.source,))).output_shape == (2, 1, 4, 4)


def test_departures_are_noted() -> None:
    notes = " ".join(a_method(maps=False, lr=1e-3, style_weight=0.0).notes())
    for words in (
        "× 0.125",
        "batch 2 (published: 32)",
        "lr 0.001 (published: 0.0002)",
        "style_weight 0 (published: 500)",
    ):
        assert words in notes
    published = DPTN(Setup(SIZE, Budget(200, 0)))
    published.features = Maps()  # type: ignore[assignment]
    assert published.notes() == []
    with pytest.raises(ValueError, match="leraning_rate"):
        a_method(leraning_rate=1)
