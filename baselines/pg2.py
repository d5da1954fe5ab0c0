"""PG2 (Ma et al. 2017): a coarse image from source and target pose, then a GAN-trained difference map.

Written from the facts of the published TensorFlow code, its 256 × 256 (DeepFashion) configuration
(charliememory/Pose-Guided-Person-Image-Generation); METHODS §3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad, relu
from torch.optim import Adam

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
from methods.losses import frozen, gan_loss
from methods.norm import GroupedBatchNorm
from methods.pose import discs, limb_mask, to_openpose18

STAGE_1_SHARE = 22_000 / 80_000
"""Of the training steps, as published for DeepFashion."""

BOTTOM = 8
"""Height and width of the map that G1's and D's fully connected layers see, at every image size."""


@dataclass(frozen=True)
class Options:
    """What may be set; the defaults are the published values."""

    lr: float = 2e-5  # constant: the published halving is not connected to the optimisers
    l1_weight: float = 50.0  # of stage 2's pose-mask L1
    gan_weight: float = 1.0
    mask_weight: float = 1.0  # of the L1 under the pose mask, beside the L1 of the whole image


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME convolution: at stride 2, an even size is padded more at the bottom and right."""

    def __init__(self, input_channels: int, output_channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(input_channels, output_channels, kernel, stride, padding=kernel // 2 if stride == 1 else 0)
        self.before, self.after = (kernel - 2) // 2, (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            x = pad(x, (self.before, self.after, self.before, self.after))
        return super().forward(x)


class ResidualBlock(nn.Module):
    """x + two ReLU convolutions at constant width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = SameConv2d(channels, channels)
        self.conv2 = SameConv2d(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + relu(self.conv2(relu(self.conv1(x))))


class Stage1(nn.Module):
    """G1: concat[source, target pose] [B, 21, H, H] -> coarse image [B, 3, H, H], no output activation.

    A U-Net of residual blocks, n, 2n, 3n … channels wide, whose bottom is fully connected.
    """

    def __init__(self, image_size: int, width: float = 1.0) -> None:
        super().__init__()
        n, code = scaled(128, width), scaled(64, width)
        levels = levels_of(image_size)
        self.stem = SameConv2d(3 + 18, n)
        self.encoder = nn.ModuleList(ResidualBlock(n * i) for i in range(1, levels + 1))
        self.down = nn.ModuleList(SameConv2d(n * i, n * (i + 1), stride=2) for i in range(1, levels))
        self.to_code = nn.Linear(BOTTOM**2 * n * levels, code)
        self.from_code = nn.Linear(code, BOTTOM**2 * n)
        # each decoder level takes the level below (at the bottom: the code's map, n channels) and its skip
        joined = [n + n * levels] + [2 * n * i for i in range(levels - 1, 0, -1)]
        self.decoder = nn.ModuleList(ResidualBlock(channels) for channels in joined)
        self.up = nn.ModuleList(
            SameConv2d(channels, n * (levels - 1 - level), kernel=1) for level, channels in enumerate(joined[:-1])
        )
        self.out = SameConv2d(joined[-1], 3)
        self.apply(initialise_generator)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.stem(x))
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else relu(self.down[level - 1](x)))
            skips.append(x)
        x = self.from_code(self.to_code(x.flatten(1))).unflatten(1, (-1, BOTTOM, BOTTOM))
        for level, block in enumerate(self.decoder):
            if level > 0:
                x = relu(self.up[level - 1](interpolate(x, scale_factor=2, mode="nearest")))
            x = block(torch.cat([x, skips.pop()], 1))
        return self.out(x)


class Stage2(nn.Module):
    """G2: concat[coarse image, source] [B, 6, H, H] -> difference map [B, 3, H, H], no output activation."""

    def __init__(self, image_size: int, width: float = 1.0) -> None:
        super().__init__()
        n = scaled(128, width)
        levels = levels_of(image_size) - 2
        self.stem = SameConv2d(3 + 3, n)
        self.encoder = nn.ModuleList(conv_pair(n * max(i - 1, 1), n * i) for i in range(1, levels + 1))
        self.down = nn.ModuleList(SameConv2d(n * i, n * i, stride=2) for i in range(1, levels))
        # the bottom joins the last encoder map with itself, every other level n channels with its skip
        joined = [2 * n * levels] + [n + n * i for i in range(levels - 1, 0, -1)]
        self.decoder = nn.ModuleList(conv_pair(channels, n) for channels in joined)
        self.out = SameConv2d(n, 3)
        self.apply(initialise_generator)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.stem(x))
        skips = []
        for level, convs in enumerate(self.encoder):
            x = convs(x if level == 0 else relu(self.down[level - 1](x)))
            skips.append(x)
        for level, convs in enumerate(self.decoder):
            if level > 0:
                x = interpolate(x, scale_factor=2, mode="nearest")
            x = convs(torch.cat([x, skips.pop()], 1))
        return self.out(x)


class Generator(nn.Module):
    """Both stages: (source [B, 3, H, H], target pose [B, 18, H, H]) -> coarse and refined image."""

    def __init__(self, image_size: int, width: float = 1.0) -> None:
        super().__init__()
        self.stage1 = Stage1(image_size, width)
        self.stage2 = Stage2(image_size, width)

    def forward(self, source: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        coarse = self.stage1(torch.cat([source, pose], 1))
        # each stage learns from its own loss: stage 1 is frozen while stage 2 is trained
        frozen_coarse = coarse.detach()
        return coarse, frozen_coarse + self.stage2(torch.cat([frozen_coarse, source], 1))


class Discriminator(nn.Module):
    """D: images alone, [B, 3, H, H] -> one logit each, [B, 1]; B a multiple of `samples`.

    Published: BN always uses the statistics of the batch at hand, which is [target, refined, source] of one
    pair (batch 1): groups of 3, at any batch.
    """

    def __init__(self, image_size: int, width: float = 1.0, samples: int = 3) -> None:
        super().__init__()
        levels = levels_of(image_size) - 1
        channels = [scaled(64 * min(2**level, 8), width) for level in range(levels)]
        self.convs = nn.ModuleList(
            SameConv2d(before, after, kernel=5, stride=2)
            for before, after in zip([3, *channels[:-1]], channels, strict=True)
        )
        self.norms = nn.ModuleList(GroupedBatchNorm(c, samples) for c in channels[1:])
        self.out = nn.Linear(BOTTOM**2 * channels[-1], 1)
        self.apply(initialise_discriminator)

    def forward(self, image: Tensor) -> Tensor:
        x = leaky_relu(self.convs[0](image), 0.2)
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            x = leaky_relu(norm(conv(x)), 0.2)
        return self.out(x.flatten(1))


def levels_of(image_size: int) -> int:
    """R, the number of resolutions in G1, from the image down to 8 × 8; ValueError if G2 would have none."""
    levels = image_size.bit_length() - 3
    if image_size != 2 ** (levels + 2) or levels < 3:
        raise ValueError(f"PG2 needs an image size that is a power of two from 32, not {image_size}")
    return levels


def conv_pair(before: int, after: int) -> nn.Sequential:
    """Two ReLU convolutions."""
    return nn.Sequential(SameConv2d(before, after), nn.ReLU(), SameConv2d(after, after), nn.ReLU())


def initialise_generator(module: nn.Module) -> None:
    """Xavier-uniform weights, zero biases."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def initialise_discriminator(module: nn.Module) -> None:
    """Uniform weights of standard deviation 0.02, zero biases; norms stay at 1 and 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        bound = 0.02 * 3**0.5
        nn.init.uniform_(module.weight, -bound, bound)
        nn.init.zeros_(module.bias)


class PG2:
    """Pose-guided person generation: coarse, then refined."""

    title: ClassVar[str] = "PG2"
    reference: ClassVar[str] = "Ma et al., NeurIPS 2017"
    perceptual_nets: ClassVar[tuple[str, ...]] = ()
    few_shot: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.options: Options = options_from(Options, setup.options)
        self.generator = Generator(setup.image_size, setup.width)
        self.discriminator = Discriminator(setup.image_size, setup.width)
        self.generator.to(setup.device)
        self.discriminator.to(setup.device)
        self.stage1_optimizer = self._adam(self.generator.stage1)
        self.stage2_optimizer = self._adam(self.generator.stage2)
        self.discriminator_optimizer = self._adam(self.discriminator)

    def _adam(self, network: nn.Module) -> Adam:
        return Adam(network.parameters(), lr=self.options.lr, betas=(0.5, 0.999), fused=True)

    def phases(self) -> Sequence[Phase]:
        batch, pairs = self.setup.batch or 1, self.setup.budget.pairs
        first = round(pairs * STAGE_1_SHARE)
        return [
            Phase("stage 1", "pairs", batch=batch, samples=first),
            Phase("stage 2", "pairs", batch=batch, samples=pairs - first),
        ]

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        assert isinstance(batch, PairBatch)
        pose, mask = self.pose(batch.target_keypoints), self.pose_mask(batch.target_keypoints)
        if progress.phase.name == "stage 1":
            coarse = self.generator.stage1(torch.cat([batch.source, pose], 1))
            losses = {"g_l1": self.pose_mask_l1(coarse, batch.target, mask)}
            self.stage1_optimizer.zero_grad()
            losses["g_l1"].backward()
            self.stage1_optimizer.step()
        else:
            with frozen(self.generator.stage1):
                _, refined = self.generator(batch.source, pose)
            losses = self.generator_losses(refined, batch.source, batch.target, mask)
            self.stage2_optimizer.zero_grad()
            self.stage2_loss(losses).backward()
            self.stage2_optimizer.step()

            # published: D pulls a minibatch of its own; here it sees G2's, so that a pair is counted once
            real, fake, source = self.judge(batch.target, refined.detach(), batch.source)
            losses |= {"d_real": gan_loss(real, real=True), "d_fake": gan_loss(fake, real=False)}
            losses["d_source"] = gan_loss(source, real=False)  # the source is a negative too
            d_negative = 0.5 * (losses["d_fake"] + losses["d_source"])
            self.discriminator_optimizer.zero_grad()
            (0.5 * (losses["d_real"] + d_negative)).backward()
            self.discriminator_optimizer.step()
        return {name: value.detach() for name, value in losses.items()}

    def pose(self, target_keypoints: Tensor) -> Tensor:
        """The target pose as 18 discs, [B, 18, H, W] in {-1, +1}; the source pose is not used."""
        return discs(to_openpose18(target_keypoints), self.setup.image_size, self.radius)

    def pose_mask(self, target_keypoints: Tensor) -> Tensor:
        """[B, 1, H, W] in {0, 1}."""
        return limb_mask(to_openpose18(target_keypoints), self.setup.image_size, self.radius)

    @property
    def radius(self) -> float:
        """Of pose discs and limbs, in pixels: 4 at 256 px."""
        return max(2.0, 4 * self.setup.image_size / 256)

    def pose_mask_l1(self, image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """L1 plus L1 under the pose mask, each a mean over all pixels of the image."""
        error = (image.float() - target.float()).abs()
        return error.mean() + self.options.mask_weight * (error * mask).mean()

    def judge(self, target: Tensor, refined: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """D's logits, [B] each, of the three images of every pair, normalised together pair by pair."""
        triplets = torch.stack([target, refined.to(target.dtype), source], 1)
        real, fake, negative = self.discriminator(triplets.flatten(0, 1)).view(-1, 3).unbind(1)
        return real, fake, negative

    def generator_losses(self, refined: Tensor, source: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Stage 2's adversarial and L1 loss before weighting; the discriminator stays as it is."""
        with frozen(self.discriminator):
            _, fake, negative = self.judge(target, refined, source)
        # published: the source's logit is averaged in, so the adversarial gradient has half its weight
        g_gan = 0.5 * (gan_loss(fake, real=True) + gan_loss(negative, real=True))
        return {"g_gan": g_gan, "g_l1": self.pose_mask_l1(refined, target, mask)}

    def stage2_loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        return self.options.gan_weight * losses["g_gan"] + self.options.l1_weight * losses["g_l1"]

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        if finetune is None:
            return self.transfer(self.generator)

        def loss(sample: PairBatch) -> Callable[[Generator], Tensor]:
            """Both stages at once, each by its own loss (stage 2's gradient stops at the coarse image)."""
            pose, mask = self.pose(sample.target_keypoints), self.pose_mask(sample.target_keypoints)

            def of(generator: Generator) -> Tensor:
                coarse, refined = generator(sample.source, pose)
                losses = self.generator_losses(refined, sample.source, sample.target, mask)
                return self.pose_mask_l1(coarse, sample.target, mask) + self.stage2_loss(losses)

            return of

        report = None if on_pass is None else lambda n, generator: on_pass(n, self.transfer(generator))
        return self.transfer(fine_tune(self.generator, loss, support, finetune, report))

    def transfer(self, generator: Generator) -> Transfer:
        """The generator as a function of (source, source keypoints, target keypoints), clipped to [-1, 1]."""

        @torch.no_grad()
        def run(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            _, refined = generator(source, self.pose(target_keypoints))
            return refined.float().clamp(-1, 1)

        return run

    def probes(self) -> Sequence[Probe]:
        size, device = self.setup.image_size, self.setup.device

        def image(channels: int) -> tuple[Tensor]:
            return (torch.zeros(1, channels, size, size, device=device),)

        # cost is stated for one image, and normalisation in groups of three costs no multiply-accumulates
        with torch.device("meta"):
            discriminator = Discriminator(size, self.setup.width, samples=1)
        return [
            Probe("G1", self.generator.stage1, image(3 + 18)),
            Probe("G2", self.generator.stage2, image(3 + 3)),
            Probe("discriminator", discriminator, image(3)),
        ]

    def notes(self) -> Sequence[str]:
        notes = ["PG2's generator and discriminator share each step's pairs (published: one minibatch each)."]
        if self.setup.width != 1:
            notes.append(f"PG2 channels × {self.setup.width:g}.")
        if self.setup.image_size != 256:
            levels = levels_of(self.setup.image_size)
            notes.append(
                f"PG2 with {levels} and {levels - 2} levels in G1 and G2 and {levels - 1} convolutions in D "
                f"(6, 4 and 5 at 256 px), discs of radius {self.radius:g}."
            )
        if (self.setup.batch or 1) != 1:
            notes.append(f"PG2 batch {self.setup.batch} (published: 1), D's statistics pair by pair.")
        for name, what in (
            ("lr", "learning rate"),
            ("l1_weight", "L1 weight"),
            ("gan_weight", "GAN weight"),
            ("mask_weight", "mask weight"),
        ):
            value, published = getattr(self.options, name), getattr(Options, name)
            if value != published:
                notes.append(f"PG2 {what} {value:g} (published: {published:g}).")
        return notes

    def _stateful(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "stage1_optimizer": self.stage1_optimizer,
            "stage2_optimizer": self.stage2_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        parts = self._stateful()
        if set(state) != set(parts):
            raise KeyError(f"a PG2 state has {sorted(parts)}, not {sorted(state)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
