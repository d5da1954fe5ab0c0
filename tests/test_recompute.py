"""Keeping the results of convolutions alone takes less memory, and changes no bit of an image or a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import methods.recompute as recompute
from baselines.patn import PATN
from baselines.xinggan import XingGAN
from methods.pose_gan import PoseGAN
from methods.pose_gan_networks import block_convolutions
from methods.recompute import LARGE, keep_convolutions
from tests.live_tensors import LiveTensors
from tests.test_patn import a_method, pairs, train


def block() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return block_convolutions(8, 8, True, dropout=0.5), torch.randn(2, 8, 32, 32)


def test_values_gradients_and_random_numbers_are_the_same_to_the_bit() -> None:
    def results(pixels: int) -> list[Tensor]:
        part, x = block()
        output = keep_convolutions(part, x, pixels=pixels)
        gradients = torch.autograd.grad(output.square().sum(), list(part.parameters()))
        return [output, *gradients, torch.rand(1)]  # what is drawn next must not depend on it either

    usual, light = results(LARGE), results(LARGE + 1)
    assert len(usual) == 6 and all(torch.equal(a, b) for a, b in zip(usual, light, strict=True))


def test_less_is_kept_and_no_convolution_is_computed_twice() -> None:
    def watch(pixels: int) -> tuple[int, int]:
        part, x = block()
        with LiveTensors() as seen:
            output = keep_convolutions(part, x, pixels=pixels)
            alive = seen.alive()
            output.sum().backward()
        return alive, seen.convolutions

    (usual, once), (light, again) = watch(LARGE), watch(LARGE + 1)
    assert once == again == 2
    map_size = 4 * 2 * 8 * 32 * 32
    assert light < 3.5 * map_size < 6 * map_size < usual  # two convolutions' and the output; beside them padded ones


def test_without_gradients_nothing_is_kept_at_all() -> None:
    part, x = block()
    with torch.no_grad(), LiveTensors() as seen:
        output = keep_convolutions(part.eval(), x, pixels=LARGE + 1)
        assert seen.alive() == output.untyped_storage().nbytes()


@pytest.mark.parametrize("kind", [PATN, XingGAN])
def test_training_is_the_same_to_the_bit(kind: type[PoseGAN], monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(large: int) -> list[Tensor]:
        monkeypatch.setattr(recompute, "LARGE", large)
        torch.manual_seed(0)
        method = a_method(kind)
        train(method, 3, pairs())
        networks = (method.generator, method.discriminators.appearance, method.discriminators.shape)
        return [p for network in networks for p in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(trained(LARGE), trained(0), strict=True))
