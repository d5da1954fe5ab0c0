"""The character adapting and character refining losses, eq. 3-10: one formula on two sets of samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.losses import full_precision, gan_loss
from methods.perceptual import perceptual_distance
from ours.discriminator import Discriminator


@dataclass(frozen=True)
class Loss:
    """The generator's loss on some samples, and its parts (means over the samples)."""

    total: Tensor
    gan: Tensor
    l1: Tensor
    perceptual: Tensor


@dataclass(frozen=True)
class GeneratorLoss:
    """GAN + λ_l L1 + λ_p perceptual (eq. 6, 7); without a feature network the last term is left out."""

    discriminator: Discriminator
    l1: float
    perceptual: float
    features: nn.Module | None

    def real_features(self, images: Tensor) -> list[Tensor]:
        """Features of ground-truth images: computed once, however often they are compared with."""
        if self.features is None:
            return []
        with torch.no_grad():
            found: list[Tensor] = self.features(images)
        return found

    def __call__(self, pose: Tensor, fake: Tensor, real: Tensor, real_features: list[Tensor]) -> Loss:
        """`real_features` empty: no perceptual term."""
        # row 12: the generator maximises log D of its image, the non-saturating form Pix2Pix uses
        gan = gan_loss(self.discriminator(pose, fake), real=True)
        l1 = (full_precision(fake) - real).abs().mean()
        perceptual = torch.zeros_like(l1)
        if real_features and self.features is not None:
            perceptual = perceptual_distance(self.features(fake), real_features)
        return Loss(gan + self.l1 * l1 + self.perceptual * perceptual, gan, l1, perceptual)
