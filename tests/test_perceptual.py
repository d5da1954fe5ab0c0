"""Perceptual features: the right maps of the right layers, frozen, and a distance over them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from methods.count import count
from methods.interface import Probe
from methods.perceptual import STAGES, WIDTHS, VGGFeatures, layer_names, perceptual_distance


def made_weights(name: str, stages: int) -> dict[str, Tensor]:
    """Convolutions of the first stages under torchvision's numbering."""
    draw = torch.Generator().manual_seed(0)
    weights, position, inputs = {}, 0, 3
    for stage in range(stages):
        for _ in range(STAGES[name][stage]):
            outputs = WIDTHS[stage]
            weights[f"features.{position}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=draw) / (
                3 * inputs**0.5
            )
            weights[f"features.{position}.bias"] = torch.randn(outputs, generator=draw) * 0.1
            inputs, position = outputs, position + 2
        position += 1
    return weights


def images(seed: int, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_layers_are_those_of_the_papers() -> None:
    assert VGGFeatures("vgg16", made_weights("vgg16", 4)).layers == (*("relu1_2", "relu2_2", "relu3_3", "relu4_3"),)
    assert VGGFeatures("vgg19", made_weights("vgg19", 1)).layers == ("relu1_2",)
    assert len(layer_names("vgg16")) == 13 and len(layer_names("vgg19")) == 16


def test_vgg19_relu1_2_has_the_published_size() -> None:
    class FirstMap(VGGFeatures):
        def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(images)[0]

    vgg = FirstMap("vgg19", made_weights("vgg19", 1))
    counted = count(Probe("", vgg, (torch.empty(1, 3, 256, 256, device="meta"),)))
    assert (counted.parameters, counted.macs) == (38_720, 2_529_165_312)
    assert counted.output_shape == (1, 64, 256, 256)


def test_maps_are_those_of_the_plain_formula_on_imagenet_normalised_images() -> None:
    weights, x = made_weights("vgg16", 2), images(0)
    maps = VGGFeatures("vgg16", weights, ["relu1_2", "relu2_1"])(x)

    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def layer(y: Tensor, position: int) -> Tensor:
        name = f"features.{position}"
        return conv2d(y, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).relu()

    relu1_2 = layer(layer((x * 0.5 + 0.5 - mean) / std, 0), 2)
    relu2_1 = layer(max_pool2d(relu1_2, 2), 5)
    assert [tuple(m.shape) for m in maps] == [(2, 64, 16, 16), (2, 128, 8, 8)]
    torch.testing.assert_close(maps[0], relu1_2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps[1], relu2_1, rtol=1e-4, atol=1e-5)


def test_the_distance_is_a_sum_over_layers_of_mean_differences() -> None:
    a = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 2, 2)]
    b = [torch.full((1, 2, 4, 4), 0.5), torch.full((1, 4, 2, 2), -0.25)]
    assert perceptual_distance(a, b).item() == pytest.approx(0.75)
    assert perceptual_distance(b, b).item() == 0
    assert perceptual_distance([m.bfloat16() for m in a], b).dtype == torch.float32


def test_the_gradient_reaches_the_image_and_never_the_features() -> None:
    vgg = VGGFeatures("vgg19", made_weights("vgg19", 1))
    image = images(0).requires_grad_()
    perceptual_distance(vgg(image), vgg(images(1))).backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and image.grad.abs().max() > 0
    assert all(not p.requires_grad and p.grad is None for p in vgg.parameters())


def test_the_given_weights_are_copied() -> None:
    weights = made_weights("vgg19", 1)
    vgg = VGGFeatures("vgg19", weights)
    before = vgg(images(0))[0]
    weights["features.0.weight"].zero_()
    torch.testing.assert_close(vgg(images(0))[0], before, rtol=0, atol=0)


def test_the_weights_of_deeper_layers_are_at_hand() -> None:
    weights = made_weights("vgg19", 2)
    shallow = VGGFeatures("vgg19", weights)
    assert len(list(shallow.parameters())) == 4 and not any("weights" in name for name in shallow.state_dict())
    deeper = VGGFeatures("vgg19", shallow.weights, ["relu2_2"])
    wanted = VGGFeatures("vgg19", weights, ["relu2_2"])
    torch.testing.assert_close(deeper(images(0)), wanted(images(0)), rtol=0, atol=0)


def test_unknown_networks_and_layers_are_named() -> None:
    with pytest.raises(ValueError, match="unknown VGG 'vgg11'"):
        VGGFeatures("vgg11", {})
    with pytest.raises(ValueError, match="vgg19 has no layer relu3_5"):
        VGGFeatures("vgg19", made_weights("vgg19", 1), ["relu1_2", "relu3_5"])
