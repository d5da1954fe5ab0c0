"""The layers that PATN's and XingGAN's networks are built of, and their discriminator (METHODS §4, §5).

In the DeepFashion configuration: InstanceNorm, hence biased convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import group_norm

from methods.recompute import keep_convolutions

JOINTS = 18
CHANNELS = (64, 128, 256)
"""Published channels at full, half and quarter size, in both generators and in the discriminators."""


DROPOUT = 0.5
"""Published, in the blocks of both generators and of the discriminators."""


class InstanceNorm(nn.Module):
    """InstanceNorm2d(eps 1e-5) without parameters or running statistics: [B, C, H, W] -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return group_norm(x, x.shape[1])  # the faster of torch's two kernels for it


def stem(inputs: int, channels: Sequence[int]) -> nn.Sequential:
    """Convolution 7 × 7, then two that halve the size: [B, inputs, H, W] -> [B, channels[2], H/4, W/4]."""
    first, second, third = channels
    return nn.Sequential(
        *(nn.Conv2d(inputs, first, 7, padding=3, padding_mode="reflect"), InstanceNorm(), nn.ReLU()),
        *(nn.Conv2d(first, second, 3, stride=2, padding=1), InstanceNorm(), nn.ReLU()),
        *(nn.Conv2d(second, third, 3, stride=2, padding=1), InstanceNorm(), nn.ReLU()),
    )


def block_convolutions(inputs: int, outputs: int, last_norm: bool, dropout: float) -> nn.Sequential:
    """The two 3 × 3 convolutions of a block's stream: inputs -> inputs -> outputs channels."""
    return nn.Sequential(
        *(nn.Conv2d(inputs, inputs, 3, padding=1, padding_mode="reflect"), InstanceNorm(), nn.ReLU()),
        nn.Dropout(dropout),
        nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect"),
        *([InstanceNorm()] if last_norm else []),
    )


def upsampling(inputs: int, outputs: int) -> list[nn.Module]:
    """A transposed convolution that doubles the size, norm and ReLU."""
    double = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [double, InstanceNorm(), nn.ReLU()]


def initialise_generator(generator: nn.Module, width: float) -> None:
    """Convolution weights N(0, 0.02 / √width); biases, and the discriminators altogether, keep torch's default.

    Published: 0.02, which suits the published channels. Convolutions that no norm follows pass on less the fewer
    channels they sum over, so at a quarter of the width and 0.02 the pose is lost on its way through XingGAN's nine
    blocks: another target pose moved its first output by 0.04 %, instead of 4 % at full width and by this rule.
    """
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02 / width**0.5)


class ResidualBlock(nn.Module):
    """x + two convolutions at constant width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = block_convolutions(channels, channels, True, DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.convolutions(x)
        return output


class Discriminator(nn.Sequential):
    """[B, inputs, H, W] -> scores [B, channels[2], H/4, W/4].

    As in the published code there is no convolution to one channel: the GAN loss is the mean over all feature
    maps of the last residual block. Activations are ReLU.
    """

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__(stem(inputs, channels), *(ResidualBlock(channels[2]) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        pixels = x[0, 0].numel()
        for part in self:
            x = keep_convolutions(part, x, pixels=pixels)
        return x
