"""Perceptual features (Johnson et al. 2016): maps of a frozen VGG, and a distance between two sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

VGGName = Literal["vgg16", "vgg19"]

# convolutions a stage; a stage ends in 2×2 max pooling
STAGES: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
LAYERS: dict[str, tuple[str, ...]] = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),  # Johnson's four, used by Ours
    "vgg19": ("relu1_2",),  # PATN and XingGAN; DPTN makes its own choice
}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layer_names(name: str) -> list[str]:
    """`relu1_1`, `relu1_2`, … of every convolution, in order."""
    return [f"relu{s + 1}_{c + 1}" for s, count in enumerate(STAGES[name]) for c in range(count)]


class VGGFeatures(nn.Module):
    """Chosen ReLU maps of a VGG for images `[B, 3, H, W]` in [-1, 1]; frozen, and only as deep as needed.

    `state_dict` holds convolutions under torchvision's names (`features.0.weight`, …) that expect
    ImageNet-normalised RGB; weights of other makes are brought to that form where they are converted.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        state_dict: Mapping[str, Tensor],
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if name not in STAGES:
            raise ValueError(f"unknown VGG '{name}'; known: {', '.join(STAGES)}")
        wanted = tuple(layers or LAYERS[name])
        unknown = [layer for layer in wanted if layer not in layer_names(name)]
        if unknown:
            raise ValueError(f"{name} has no layer {', '.join(unknown)}")
        self.layers = wanted
        self.weights = state_dict  # whole, for a method that compares maps of other layers
        self.segments = nn.ModuleList()
        segment: list[nn.Module] = []
        inputs, position, left = 3, 0, len(wanted)
        for stage, count in enumerate(STAGES[name]):
            for number in range(count):
                convolution = nn.Conv2d(inputs, WIDTHS[stage], 3, padding=1)
                convolution.weight.data = state_dict[f"features.{position}.weight"].detach().clone()
                convolution.bias.data = state_dict[f"features.{position}.bias"].detach().clone()  # type: ignore[union-attr]
                segment += [convolution, nn.ReLU()]
                inputs, position = WIDTHS[stage], position + 2
                if f"relu{stage + 1}_{number + 1}" in wanted:
                    self.segments.append(nn.Sequential(*segment))
                    segment, left = [], left - 1
                if left == 0:
                    break
            if left == 0:
                break
            segment.append(nn.MaxPool2d(2))
            position += 1
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.requires_grad_(False)
        # in float32 on a CPU this layout is several times faster here, and in bfloat16 no slower
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = ((images + 1) / 2 - self.mean) / self.std
        if x.requires_grad:
            # the layout of these maps must not travel back: a generator's norms are ten times slower in it
            x.register_hook(lambda gradient: gradient.contiguous())  # type: ignore[no-untyped-call]
        x = x.contiguous(memory_format=torch.channels_last)
        maps = []
        for segment in self.segments:
            x = segment(x)
            maps.append(x)
        return maps


def perceptual_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Sum over the layers of the mean absolute difference (eq. 5; METHODS §8, 13), in float32."""
    total = torch.zeros((), device=a[0].device)
    for left, right in zip(a, b, strict=True):
        total = total + (left.float() - right.float()).abs().mean()
    return total
