"""Fine-tuning: what does not depend on the generator is computed once a sample, whatever the number of passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baselines.dptn import DPTN
from baselines.patn import PATN
from methods.finetune import fine_tune
from methods.interface import Budget, FineTune, PairBatch, Setup, Support
from methods.perceptual import WIDTHS, VGGFeatures, layer_names
from ours.method import Ours
from tests.test_patn import pairs, support_of

PASSES = 3


def test_a_sample_is_prepared_once_and_its_loss_computed_in_every_pass() -> None:
    prepared: list[Tensor] = []
    computed: list[int] = []

    def loss(sample: PairBatch) -> Callable[[nn.Linear], Tensor]:
        number = len(prepared)
        prepared.append(sample.target)

        def of(net: nn.Linear) -> Tensor:
            computed.append(number)
            return (net(sample.source.flatten()[:2]) - sample.target.mean()).square().sum()

        return of

    support = support_of(pairs(2))
    fine_tune(nn.Linear(2, 1), loss, support, FineTune(1e-3, PASSES))
    assert [tuple(image.shape) for image in prepared] == [(1, *image.shape) for image in support.images]
    assert torch.equal(torch.cat(prepared), support.images)
    assert computed == [0, 1] * PASSES


@pytest.fixture(scope="module")
def vgg19() -> dict[str, Tensor]:
    """Weights of the size of VGG19's up to the last layer that a method asks for."""
    generator, state, inputs, position = torch.Generator().manual_seed(0), dict[str, Tensor](), 3, 0
    for number, name in enumerate(layer_names("vgg19")):
        stage = int(name[4]) - 1
        shape = (WIDTHS[stage], inputs, 3, 3)
        state[f"features.{position}.weight"] = torch.randn(shape, generator=generator) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{position}.bias"] = torch.zeros(WIDTHS[stage])
        inputs, position = WIDTHS[stage], position + 2
        following = layer_names("vgg19")[number + 1 : number + 2]
        position += bool(following) and following[0][4] != name[4]  # a pooling layer has a number too
    return state


class Features(nn.Module):
    """In the place of VGG16."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [nn.functional.avg_pool2d(images, 2)]


@pytest.mark.parametrize(("kind", "real_images", "drawn_images"), [(Ours, 1, 1), (PATN, 1, 1), (DPTN, 2, 2)])
def test_features_of_real_images_are_computed_once_a_sample(
    kind: type, real_images: int, drawn_images: int, vgg19: dict[str, Tensor]
) -> None:
    torch.manual_seed(0)
    name = kind.perceptual_nets[0]
    network = Features() if name == "vgg16" else VGGFeatures(name, vgg19)
    method = kind(Setup(64, Budget(200, 200), width=0.125, batch=2, perceptual={name: network}))
    seen = {"real": 0, "drawn": 0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen["drawn" if torch.is_grad_enabled() else "real"] += len(inputs[0])

    getattr(method, "features", network).register_forward_pre_hook(count)
    support: Support = support_of(pairs(2))
    method.adapt(support, FineTune(1e-4, PASSES))
    assert seen == {"real": 2 * real_images, "drawn": 2 * PASSES * drawn_images}
