"""XingGAN (Tang et al. 2020): appearance and shape streams that update each other by cross-attention.

Written from the facts of the published PyTorch code (Ha0Tang/XingGAN), its DeepFashion configuration
(InstanceNorm, LSGAN) at square images; METHODS §5. What it took over from PATN is in methods: the
layers and the discriminator in pose_gan_networks.py, losses and the training step in pose_gan.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from baselines import scaled
from methods.interface import Setup
from methods.pose_gan import Options, PoseGAN
from methods.pose_gan_networks import (
    CHANNELS,
    DROPOUT,
    JOINTS,
    InstanceNorm,
    block_convolutions,
    initialise_generator,
    stem,
    upsampling,
)
from methods.recompute import keep_convolutions

BLOCKS = 9
CANDIDATES = 10  # RGB images a stream proposes

QUERIES_AT_ONCE = 1024
"""Rows of the attention map in memory at a time: bounds it by 4 bytes · 1024 · H · W / 16 a sample."""


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q kᵀ) v, unscaled: [B, N, d], [B, M, d], [B, M, e] -> [B, N, e].

    Where N is large, rows of the N × M map are made a few at a time, and again in the backward pass: neither
    the whole map nor its gradient is ever in memory (published: 64 MiB each at 256 px, four live a block).
    """
    parts = torch.split(queries, QUERIES_AT_ONCE, dim=1)
    again = len(parts) > 1 and torch.is_grad_enabled()
    return torch.cat(
        [
            checkpoint(_attend, part, keys, values, use_reentrant=False, preserve_rng_state=False)
            if again
            else _attend(part, keys, values)
            for part in parts
        ],
        dim=1,
    )


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return scaled_dot_product_attention(queries, keys, values, scale=1.0)


class CrossAttention(nn.Module):
    """Attention of each stream to the other, by ONE set of projections: [B, C, h, w] twice -> twice.

    Queries and values are a stream's own, keys the other's. A learnt factor scales the result, at first 0.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, key_channels, 1)
        self.key = nn.Conv2d(channels, key_channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, appearance: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        own, other = torch.cat([appearance, shape]), torch.cat([shape, appearance])  # both directions at once
        queries, keys, values = (
            projected.flatten(2).mT for projected in (self.query(own), self.key(other), self.value(own))
        )
        attended = attend(queries, keys, values).mT.reshape(own.shape)
        to_appearance, to_shape = (own + self.gamma * attended).chunk(2)
        return to_appearance, to_shape


class Block(nn.Module):
    """A Xing block: (appearance, shape) -> (appearance, shape), at a quarter of the size.

    appearance [B, C, h, w] -> the same; shape [B, `shape_inputs`, h, w] -> [B, 2C, h, w]. Unlike PATN's, the
    block adds nothing to the appearance it was given: there is no identity path around its convolutions.
    """

    def __init__(self, channels: int, shape_inputs: int, key_channels: int, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.appearance = block_convolutions(channels, channels, True, dropout)
        self.shape = block_convolutions(shape_inputs, channels, False, dropout)
        self.attention = CrossAttention(channels, key_channels)

    def forward(self, appearance: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        keep = partial(keep_convolutions, pixels=16 * appearance[0, 0].numel())  # of the image: maps are a quarter high
        appearance, shape = self.attention(keep(self.appearance, appearance), keep(self.shape, shape))
        return appearance, torch.cat([appearance, shape], 1)


class Generator(nn.Module):
    """(source [B, 3, H, W], maps of source and target pose [B, 36, H, W]) -> [B, 3, H, W]; H divides by 4.

    The image is a convex combination, by a softmax at every pixel, of ten candidates of the appearance
    stream, ten of the shape stream, and the source image.
    """

    def __init__(self, width: float = 1.0, dropout: float = DROPOUT) -> None:
        super().__init__()
        _, c2, c3 = channels = [scaled(published, width) for published in CHANNELS]
        self.appearance_stem = stem(3, channels)
        self.shape_stem = stem(2 * JOINTS, channels)
        self.blocks = nn.ModuleList(
            Block(c3, c3 if number == 0 else 2 * c3, scaled(32, width), dropout) for number in range(BLOCKS)
        )
        self.shape_reduction = nn.Sequential(nn.ConvTranspose2d(2 * c3, c3, 1), InstanceNorm(), nn.ReLU())
        self.appearance_candidates = candidates(channels)
        self.shape_candidates = candidates(channels)
        self.masks = nn.Sequential(
            *upsampling(3 * c3, c3),
            *upsampling(c3, c2),
            nn.ConvTranspose2d(c2, 2 * CANDIDATES + 1, 1),
            nn.Softmax(dim=1),
        )
        initialise_generator(self, width)

    def forward(self, source: Tensor, poses: Tensor) -> Tensor:
        keep = partial(keep_convolutions, pixels=source[0, 0].numel())
        appearance, shape = keep(self.appearance_stem, source), keep(self.shape_stem, poses)
        for block in self.blocks:
            appearance, shape = block(appearance, shape)
        masks = keep(self.masks, torch.cat([appearance, shape], 1)).float()
        images = torch.cat(
            [
                keep(self.appearance_candidates, appearance).float(),
                keep(self.shape_candidates, keep(self.shape_reduction, shape)).float(),
                source,
            ],
            1,
        )
        image: Tensor = (masks.unsqueeze(2) * torch.unflatten(images, 1, (-1, 3))).sum(1)
        return image


def candidates(channels: Sequence[int]) -> nn.Sequential:
    """[B, channels[2], h, w] -> ten RGB images, [B, 30, 4h, 4w] in [-1, 1]."""
    first, second, third = channels
    return nn.Sequential(
        *upsampling(third, second),
        *upsampling(second, first),
        *(nn.Conv2d(first, 3 * CANDIDATES, 7, padding=3, padding_mode="reflect"), nn.Tanh()),
    )


class XingGAN(PoseGAN):
    """Crossing appearance and shape streams, from a source image, its pose and the target pose."""

    title = "XingGAN"
    reference = "Tang et al., ECCV 2020"
    published = Options(lr=2e-4, l1_weight=50.0, perceptual_weight=1.0, gan_weight=5.0)
    published_batch = 32
    constant_epochs = 200
    decay_epochs = 100

    def __init__(self, setup: Setup) -> None:
        channels = [scaled(published, setup.width) for published in CHANNELS]
        super().__init__(setup, lambda options: Generator(setup.width, options.dropout), channels)
