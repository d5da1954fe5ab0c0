"""XingGAN's generator: published size, wiring of its blocks, attention that is exact and cheap in memory.

What it shares with PATN, and the laws of every method, are tested for both in test_patn.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from baselines import xinggan
from baselines.xinggan import Block, CrossAttention, Generator, XingGAN, attend
from methods.count import count
from methods.interface import Budget, Setup


def parameters_of(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def tokens(count: int, channels: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, channels, generator=draw, dtype=torch.float64, requires_grad=True)


def test_networks_have_the_published_size() -> None:
    with torch.device("meta"):
        method = XingGAN(Setup(256, Budget(32, 0), device=torch.device("meta")))
    counts = {probe.name: count(probe) for probe in method.probes()}
    generator, d_pp, d_pb = (counts[name] for name in ("generator", "D_PP", "D_PB"))
    assert (generator.parameters, generator.macs) == (44_844_634, 300_098_256_896)
    assert (d_pp.parameters, d_pp.macs) == (3_928_384, 18_144_559_104)
    assert (d_pb.parameters, d_pb.macs) == (3_975_424, 21_227_372_544)
    assert generator.output_shape == (1, 3, 256, 256)

    network = method.generator
    assert [parameters_of(block) for block in network.blocks] == [2_442_561] + 8 * [4_802_113]
    assert parameters_of(network.appearance_candidates) == 462_942
    assert parameters_of(network.shape_candidates) == 462_942
    assert parameters_of(network.shape_reduction) == 131_328
    mask_convolutions = [p for p in map(parameters_of, network.masks) if p]
    assert mask_convolutions == [1_769_728, 295_040, 2_709]


def test_attention_is_the_explicit_formula() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(16, 4)
    nn.init.constant_(attention.gamma, 0.7)
    a, b = torch.randn(2, 16, 6, 6), torch.randn(2, 16, 6, 6)

    def formula(own: Tensor, other: Tensor) -> Tensor:
        q, k, v = (f(x).flatten(2) for f, x in ((attention.query, own), (attention.key, other), (attention.value, own)))
        weights = torch.einsum("bci,bcj->bij", q, k).softmax(2)  # over keys, without 1/sqrt(d)
        return own + 0.7 * torch.einsum("bcj,bij->bci", v, weights).view(own.shape)

    to_a, to_b = attention(a, b)
    torch.testing.assert_close(to_a, formula(a, b), rtol=0, atol=1e-4)
    torch.testing.assert_close(to_b, formula(b, a), rtol=0, atol=1e-4)


def test_attention_in_parts_has_the_same_value_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = inputs = tokens(40, 4, 0), tokens(40, 4, 1), tokens(40, 8, 2)
    whole = attend(q, k, v)
    wanted = torch.autograd.grad(whole.square().sum(), inputs)
    monkeypatch.setattr(xinggan, "QUERIES_AT_ONCE", 16)  # 16, 16 and 8
    parts = attend(q, k, v)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts.square().sum(), inputs), wanted)


def test_no_attention_map_is_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(count: int) -> int:
        saved: dict[int, Tensor] = {}  # by address: the parts save the same keys and values
        with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.setdefault(x.data_ptr(), x), lambda x: x):
            attend(tokens(count, 4, 0), tokens(count, 4, 1), tokens(count, 8, 2))
        return sum(x.numel() for x in saved.values())

    assert kept(256) >= 2 * 256 * 256  # within QUERIES_AT_ONCE the map is kept: the hook sees it
    monkeypatch.setattr(xinggan, "QUERIES_AT_ONCE", 64)
    assert kept(512) == 2 * kept(256) < 512 * 512  # in proportion to the tokens, not to their square


def test_a_block_starts_without_attention_and_without_an_identity_path() -> None:
    torch.manual_seed(0)
    block = Block(8, 16, 4).eval()
    appearance, shape = torch.randn(2, 8, 8, 8), torch.randn(2, 16, 8, 8)
    new_appearance, new_shape = block(appearance, shape)
    torch.testing.assert_close(new_appearance, block.appearance(appearance))  # nothing is added to it
    # the image stream first, where PATN puts the pose first
    torch.testing.assert_close(new_shape, torch.cat([new_appearance, block.shape(shape)], 1))


def test_both_directions_attend_to_streams_not_yet_updated() -> None:
    torch.manual_seed(0)
    block = Block(8, 16, 4).eval()
    nn.init.ones_(block.attention.gamma)
    appearance, shape = torch.randn(2, 8, 8, 8), torch.randn(2, 16, 8, 8)
    a, b = block.appearance(appearance), block.shape(shape)
    to_a, to_b = block.attention(a, b)
    new_appearance, new_shape = block(appearance, shape)
    torch.testing.assert_close(new_appearance, to_a)
    torch.testing.assert_close(new_shape, torch.cat([to_a, to_b], 1))
    swapped_b, swapped_a = block.attention(b, a)  # one set of projections serves both
    torch.testing.assert_close((swapped_a, swapped_b), (to_a, to_b))


def test_the_image_is_a_convex_combination_with_the_source_last() -> None:
    torch.manual_seed(0)
    generator = Generator(0.125).eval()
    source, poses = torch.rand(2, 3, 64, 64) * 2 - 1, torch.rand(2, 36, 64, 64)
    last = generator.masks[-2]  # the convolution before the softmax
    assert isinstance(last, nn.ConvTranspose2d) and last.bias is not None
    chosen = {}
    for index in (0, 10, 20):
        nn.init.zeros_(last.weight)
        last.bias.data = torch.zeros(21).index_fill_(0, torch.tensor([index]), 100.0)
        with torch.no_grad():
            chosen[index] = generator(source, poses)
    torch.testing.assert_close(chosen[20], source)
    for index, head in ((0, generator.appearance_candidates), (10, generator.shape_candidates)):
        made: list[Tensor] = []
        hook = head.register_forward_hook(lambda _m, _i, output, made=made: made.append(output))
        with torch.no_grad():
            generator(source, poses)
        hook.remove()
        torch.testing.assert_close(chosen[index], made[0][:, :3])
