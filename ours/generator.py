"""The generator of §3.1: two encoders, a fusion residual module, a decoder with skips from the pose encoder.

The comments name the rows of METHODS §8 where the paper leaves a choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from methods.norm import SampleNorm
from ours.spectral_norm import SpectralConv2d


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Spectrally normalised convolution and normalisation; the norm's shift makes a bias idle."""
    # row 10: statistics of the sample itself, which is what BatchNorm on one sample is, at any batch size
    return nn.Sequential(
        SpectralConv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False, reflect=True),
        SampleNorm(outputs),
    )


def conv_norm_relu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv_norm(inputs, outputs, kernel, stride), nn.ReLU())


class Encoder(nn.Module):
    """Five convolutions with kernels 7, 3, 3, 3, 3 (Fig. 3); [B, 3, H, W] to maps at H, H/2, H/4, H/8, H/8."""

    def __init__(self, c: int) -> None:
        super().__init__()
        # row 1: widths double as the decoder's halve; three strides of 2 meet its three doublings
        widths, strides = (c, 2 * c, 4 * c, 8 * c, 8 * c), (1, 2, 2, 2, 1)
        inputs = (3, *widths)
        self.layers = nn.ModuleList(
            conv_norm_relu(inputs[i], widths[i], 7 if i == 0 else 3, strides[i]) for i in range(5)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps


class FusionResidualBlock(nn.Module):
    """Eq. 1-2: texture rows times pose columns, channel by channel; the product, convolved, joins the pose map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.texture = conv_norm_relu(channels, channels, 3)
        self.pose = conv_norm_relu(channels, channels, 3)
        self.align = conv_norm(channels, channels, 3)

    def aligned(self, pose: Tensor, texture: Tensor) -> Tensor:
        """The aligned texture map f (Fig. 4); maps are [B, C, N, N]."""
        if pose.shape[-1] != pose.shape[-2]:
            raise ValueError(
                f"the fusion residual block multiplies rows by columns, so images must be square; its map is "
                f"{pose.shape[-2]}×{pose.shape[-1]}"
            )
        # row 3: no 1/N, since the norm that follows absorbs any scale
        product = torch.matmul(self.texture(texture), self.pose(pose))
        aligned: Tensor = self.align(product)
        return aligned

    def forward(self, pose: Tensor, texture: Tensor) -> Tensor:
        return pose + self.aligned(pose, texture)


class ResidualBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, norm, plus the input (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_norm_relu(channels, channels, 3), conv_norm(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


class Decoder(nn.Module):
    """Three stacks of a convolution and two residual blocks, each then doubled in size, and two convolutions."""

    def __init__(self, c: int) -> None:
        super().__init__()
        # row 4: a stage sees the pose encoder's map of its resolution; the first skip is the concatenation of
        # the fusion map with the pose map that the text names
        sizes = ((16 * c, 4 * c), (8 * c, 2 * c), (4 * c, c))
        self.stages = nn.ModuleList(
            nn.Sequential(conv_norm_relu(inputs, outputs, 3), ResidualBlock(outputs), ResidualBlock(outputs))
            for inputs, outputs in sizes
        )
        self.end = conv_norm_relu(2 * c, c, 3)
        self.to_rgb = SpectralConv2d(c, 3, 7, padding=3, reflect=True)

    def forward(self, fused: Tensor, pose: list[Tensor]) -> Tensor:
        x = fused
        for stage, skip in zip(self.stages, (pose[4], pose[2], pose[1]), strict=True):
            # convolving before doubling costs a quarter of doing it after
            x = interpolate(stage(torch.cat([x, skip], 1)), scale_factor=2.0, mode="nearest")
        return torch.tanh(self.to_rgb(self.end(torch.cat([x, pose[0]], 1))))


class Generator(nn.Module):
    """G(x, z): pose image x and source image z, both [B, 3, H, W] in [-1, 1], to an image of the same kind.

    `channels` is the width of the first layer (64 in the published size); without `frm` the decoder starts from
    the texture map instead of the fusion map (row 28), so that a texture path and all widths stay.
    """

    def __init__(self, channels: int = 64, frm: bool = True) -> None:
        super().__init__()
        self.pose_encoder = Encoder(channels)
        self.texture_encoder = Encoder(channels)
        blocks = 2 if frm else 0  # row 3: separate weights
        self.frm = nn.ModuleList(FusionResidualBlock(8 * channels) for _ in range(blocks))
        self.decoder = Decoder(channels)

    def forward(self, pose: Tensor, source: Tensor) -> Tensor:
        maps = self.pose_encoder(pose)
        # row 5: the source reaches the output through this map alone
        texture = self.texture_encoder(source)[-1]
        fused = maps[-1] if len(self.frm) else texture
        for block in self.frm:
            fused = block(fused, texture)
        image: Tensor = self.decoder(fused, maps)
        return image

    def aligned_maps(self, pose: Tensor, source: Tensor) -> list[Tensor]:
        """The aligned texture map f of each fusion residual block, [B, C, H/8, W/8] (Fig. 4)."""
        texture = self.texture_encoder(source)[-1]
        fused = self.pose_encoder(pose)[-1]
        found: list[Tensor] = []
        for block in self.frm:
            assert isinstance(block, FusionResidualBlock)
            found.append(block.aligned(fused, texture))
            fused = fused + found[-1]
        return found
