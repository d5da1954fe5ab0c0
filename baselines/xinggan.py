"""XingGAN (Tang et al. 2020): appearance and shape streams that update each other by cross-attention.

Written from the facts of the published PyTorch code (Ha0Tang/XingGAN), its DeepFashion configuration
(InstanceNorm, LSGAN) at square images; METHODS §5. Discriminators, losses and step order are PATN's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.optim import Adam
from torch.utils.checkpoint import checkpoint

from baselines import scaled
from methods.finetune import fine_tune
from methods.interface import (
    EpisodeBatch,
    FineTune,
    PairBatch,
    Phase,
    Probe,
    Progress,
    Setup,
    Support,
    Transfer,
    options_from,
)
from methods.pose import PoseMap, heatmaps, to_openpose18
from methods.pose_gan import (
    DiscriminatorPair,
    InstanceNorm,
    block_convolutions,
    image_losses,
    initialise_generator,
    stem,
    upsampling,
)
from methods.schedules import linear_decay, set_lr

JOINTS = 18
BLOCKS = 9
BATCH = 32
CANDIDATES = 10  # RGB images a stream proposes

QUERIES_AT_ONCE = 1024
"""Rows of the attention map in memory at a time: bounds it by 4 bytes · 1024 · H · W / 16 a sample."""


@dataclass(frozen=True)
class Options:
    """What may be set; the defaults are the published values, but for the pose map."""

    lr: float = 2e-4
    l1_weight: float = 50.0
    perceptual_weight: float = 1.0
    gan_weight: float = 5.0
    pose_map: PoseMap = "gaussian"  # "onehot": what the released 8-bit preparation amounts to


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

    def __init__(self, channels: int, shape_inputs: int, key_channels: int) -> None:
        super().__init__()
        self.appearance = block_convolutions(channels, channels, last_norm=True)
        self.shape = block_convolutions(shape_inputs, channels, last_norm=False)
        self.attention = CrossAttention(channels, key_channels)

    def forward(self, appearance: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        appearance, shape = self.attention(self.appearance(appearance), self.shape(shape))
        return appearance, torch.cat([appearance, shape], 1)


class Generator(nn.Module):
    """(source [B, 3, H, W], maps of source and target pose [B, 36, H, W]) -> [B, 3, H, W]; H divides by 4.

    The image is a convex combination, by a softmax at every pixel, of ten candidates of the appearance
    stream, ten of the shape stream, and the source image.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        _, c2, c3 = channels = [scaled(published, width) for published in (64, 128, 256)]
        self.appearance_stem = stem(3, channels)
        self.shape_stem = stem(2 * JOINTS, channels)
        self.blocks = nn.ModuleList(
            Block(c3, c3 if number == 0 else 2 * c3, scaled(32, width)) for number in range(BLOCKS)
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
        self.apply(initialise_generator)

    def forward(self, source: Tensor, poses: Tensor) -> Tensor:
        appearance, shape = self.appearance_stem(source), self.shape_stem(poses)
        for block in self.blocks:
            appearance, shape = block(appearance, shape)
        masks = self.masks(torch.cat([appearance, shape], 1)).float()
        images = torch.cat(
            [
                self.appearance_candidates(appearance).float(),
                self.shape_candidates(self.shape_reduction(shape)).float(),
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


class XingGAN:
    """Crossing appearance and shape streams, from a source image, its pose and the target pose."""

    title: ClassVar[str] = "XingGAN"
    reference: ClassVar[str] = "Tang et al., ECCV 2020"
    perceptual_nets: ClassVar[tuple[str, ...]] = ("vgg19",)
    few_shot: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.options: Options = options_from(Options, setup.options)
        self.vgg = setup.perceptual.get("vgg19")
        self.generator = Generator(setup.width).to(setup.device)
        self.generator_optimizer = Adam(self.generator.parameters(), lr=self.options.lr, betas=(0.5, 0.999), fused=True)
        channels = [scaled(published, setup.width) for published in (64, 128, 256)]
        self.discriminators = DiscriminatorPair(
            channels, JOINTS, self.options.lr, self.options.gan_weight, setup.device
        )

    def phases(self) -> Sequence[Phase]:
        return [Phase("joint", "pairs", batch=self.setup.batch or BATCH, samples=self.setup.budget.pairs)]

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        assert isinstance(batch, PairBatch)
        lr = self.options.lr * linear_decay(progress, constant=200, decay=100)
        for optimizer in (self.generator_optimizer, *self.discriminators.optimizers):
            set_lr(optimizer, lr)
        self.generator.train()
        self.discriminators.train()

        source_pose, target_pose = self.pose(batch.source_keypoints), self.pose(batch.target_keypoints)
        fake = self.generator(batch.source, torch.cat([source_pose, target_pose], 1))

        losses = self.generator_losses(fake, batch.target, batch.source, target_pose)
        self.generator_optimizer.zero_grad()
        self.generator_loss(losses).backward()  # type: ignore[no-untyped-call]
        self.generator_optimizer.step()

        d_appearance, d_shape = self.discriminators.step(fake, batch.target, batch.source, target_pose)
        losses |= {"d_appearance": d_appearance, "d_shape": d_shape}
        return {name: value.detach() for name, value in losses.items()}

    def pose(self, keypoints: Tensor) -> Tensor:
        """[B, 17, 3] -> heat maps of 18 joints, [B, 18, H, W] in [0, 1]."""
        return heatmaps(to_openpose18(keypoints), self.setup.image_size, self.options.pose_map)

    def generator_losses(self, fake: Tensor, target: Tensor, source: Tensor, target_pose: Tensor) -> dict[str, Tensor]:
        """The terms of the generator's loss, before weighting; the discriminators stay as they are."""
        g_appearance, g_shape = self.discriminators.generator_losses(fake, source, target_pose)
        l1, perceptual = image_losses(fake, target, self.vgg)
        losses = {"g_appearance": g_appearance, "g_shape": g_shape, "g_l1": l1}
        return losses if perceptual is None else losses | {"g_perceptual": perceptual}

    def generator_loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        """λ_A · L1 + λ_B · perceptual + λ_GAN · the mean of both adversarial terms."""
        loss = self.options.l1_weight * losses["g_l1"]
        if "g_perceptual" in losses:
            loss = loss + self.options.perceptual_weight * losses["g_perceptual"]
        return loss + 0.5 * self.options.gan_weight * (losses["g_appearance"] + losses["g_shape"])

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        if finetune is None:
            return self.transfer(self.generator)
        self.discriminators.train(False)  # no dropout at test, in them either

        def loss(
            generator: Generator,
            source: Tensor,
            source_keypoints: Tensor,
            target: Tensor,
            target_keypoints: Tensor,
        ) -> Tensor:
            source_pose, target_pose = self.pose(source_keypoints), self.pose(target_keypoints)
            fake = generator(source, torch.cat([source_pose, target_pose], 1))
            return self.generator_loss(self.generator_losses(fake, target, source, target_pose))

        report = None if on_pass is None else lambda n, generator: on_pass(n, self.transfer(generator))
        return self.transfer(fine_tune(self.generator, loss, support, finetune, report))

    def transfer(self, generator: Generator) -> Transfer:
        """The generator as a function of (source, source keypoints, target keypoints), without dropout."""

        @torch.no_grad()
        def run(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            poses = torch.cat([self.pose(source_keypoints), self.pose(target_keypoints)], 1)
            image: Tensor = generator.eval()(source, poses).float()
            return image

        return run

    def probes(self) -> Sequence[Probe]:
        size = self.setup.image_size

        def image(channels: int) -> Tensor:
            return torch.zeros(1, channels, size, size, device=self.setup.device)

        return [
            Probe("generator", self.generator, (image(3), image(2 * JOINTS))),
            Probe("D_PP", self.discriminators.appearance, (image(6),)),
            Probe("D_PB", self.discriminators.shape, (image(3 + JOINTS),)),
        ]

    def notes(self) -> Sequence[str]:
        notes = ["XingGAN in its DeepFashion configuration (InstanceNorm, LSGAN) on square images."]
        if self.options.pose_map == "gaussian":
            notes.append("XingGAN poses are Gaussian maps (released 8-bit preparation: one pixel each).")
        if self.vgg is None:
            notes.append("XingGAN without its perceptual loss: there are no VGG19 weights.")
        if self.setup.width != 1:
            notes.append(f"XingGAN channels × {self.setup.width:g}.")
        if (self.setup.batch or BATCH) != BATCH:
            notes.append(f"XingGAN batch {self.setup.batch} (published: {BATCH}).")
        for name in ("lr", "l1_weight", "perceptual_weight", "gan_weight"):
            value, published = getattr(self.options, name), getattr(Options, name)
            if value != published:
                notes.append(f"XingGAN {name} {value:g} (published: {published:g}).")
        return notes

    def _stateful(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "generator_optimizer": self.generator_optimizer,
            "appearance_discriminator": self.discriminators.appearance,
            "appearance_optimizer": self.discriminators.appearance_optimizer,
            "shape_discriminator": self.discriminators.shape,
            "shape_optimizer": self.discriminators.shape_optimizer,
        }

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        parts = self._stateful()
        if set(state) != set(parts):
            raise KeyError(f"a XingGAN state has {sorted(parts)}, not {sorted(state)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
