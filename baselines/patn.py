"""PATN (Zhu et al. 2019): a cascade of blocks in which the pose stream attends to the appearance stream.

Written from the facts of the published PyTorch code (tengteng95/Pose-Transfer), its DeepFashion configuration
(InstanceNorm, LSGAN) at square images; METHODS §4. What XingGAN took over is in methods: the layers and the
discriminator in pose_gan_networks.py, losses and the training step in pose_gan.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines import scaled
from methods.interface import Setup
from methods.pose_gan import Options, PoseGAN
from methods.pose_gan_networks import (
    CHANNELS,
    DROPOUT,
    JOINTS,
    block_convolutions,
    initialise_generator,
    stem,
    upsampling,
)

BLOCKS = 9


class Block(nn.Module):
    """A pose-attentional transfer block: (appearance, pose) -> (appearance, pose), at a quarter of the size.

    appearance [B, C, h, w] -> the same; pose [B, `pose_inputs`, h, w] -> [B, 2C, h, w].
    """

    def __init__(self, channels: int, pose_inputs: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.appearance = block_convolutions(channels, channels, True, dropout)
        self.pose = block_convolutions(pose_inputs, channels, False, dropout)

    def forward(self, appearance: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        code = self.pose(pose)
        appearance = appearance + self.appearance(appearance) * torch.sigmoid(code)
        return appearance, torch.cat([code, appearance], 1)


class Generator(nn.Module):
    """(source [B, 3, H, W], maps of source and target pose [B, 36, H, W]) -> [B, 3, H, W]; H divides by 4."""

    def __init__(self, width: float = 1.0, dropout: float = DROPOUT) -> None:
        super().__init__()
        c1, c2, c3 = channels = [scaled(published, width) for published in CHANNELS]
        self.appearance_stem = stem(3, channels)
        self.pose_stem = stem(2 * JOINTS, channels)
        self.blocks = nn.ModuleList(Block(c3, c3 if number == 0 else 2 * c3, dropout) for number in range(BLOCKS))
        self.decoder = nn.Sequential(
            *upsampling(c3, c2),
            *upsampling(c2, c1),
            *(nn.Conv2d(c1, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh()),
        )
        initialise_generator(self, width)

    def forward(self, source: Tensor, poses: Tensor) -> Tensor:
        appearance, pose = self.appearance_stem(source), self.pose_stem(poses)
        for block in self.blocks:
            appearance, pose = block(appearance, pose)
        image: Tensor = self.decoder(appearance)  # the pose stream ends here
        return image


class PATN(PoseGAN):
    """Progressive pose-attention transfer from a source image, its pose and the target pose."""

    title = "PATN"
    reference = "Zhu et al., CVPR 2019"
    published = Options(lr=2e-4, l1_weight=1.0, perceptual_weight=1.0, gan_weight=5.0)
    published_batch = 7
    constant_epochs = 500
    decay_epochs = 200

    def __init__(self, setup: Setup) -> None:
        channels = [scaled(published, setup.width) for published in CHANNELS]
        super().__init__(setup, lambda options: Generator(setup.width, options.dropout), channels)
