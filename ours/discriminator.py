"""The discriminator of §3.2: the PatchGAN of Pix2Pix on pose and image, spectrally normalised."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ours.spectral_norm import SpectralConv2d


class Discriminator(nn.Module):
    """[B, 3, H, W] stick figure and [B, 3, H, W] image to a map of logits, one a patch.

    METHODS §8, 6: Pix2Pix's own "four layers" (n_layers = 3) and the one-channel output convolution; row 7: the
    "fixed size patches" are the receptive fields of the logits; row 9: no norm, which would undo the Lipschitz
    bound that spectral normalisation gives.
    """

    def __init__(self, channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [6] + [channels * min(2**i, 8) for i in range(layers + 1)]
        parts: list[nn.Module] = []
        for i in range(layers + 1):
            stride = 2 if i < layers else 1
            parts += [SpectralConv2d(widths[i], widths[i + 1], 4, stride, 1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*parts, SpectralConv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, pose: Tensor, image: Tensor) -> Tensor:
        # row 8: one order everywhere; eq. 3 and eq. 8 list the same two inputs in different orders
        logits: Tensor = self.body(torch.cat([pose, image], 1))
        return logits
