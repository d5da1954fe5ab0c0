"""Pix2Pix (Isola et al. 2017): a U-Net and a 70 × 70 PatchGAN, conditioned on the source and a stick figure.

Written from the facts of the published PyTorch code (junyanz/pytorch-CycleGAN-and-pix2pix); METHODS §2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, l1_loss, leaky_relu, relu
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
from methods.norm import SampleNorm
from methods.pose import stick_figure
from methods.schedules import linear_decay, set_lr


@dataclass(frozen=True)
class Options:
    """What may be set; the defaults are the published values."""

    lr: float = 2e-4
    l1_weight: float = 100.0
    eval_dropout: bool = True  # dropout stays on at test, as the authors intend; False: off


@lru_cache(maxsize=32)
def noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """The dropout mask (0 or 2) of one sample at test time: a constant of shape and seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, device="cpu").lt(0.5).float() * 2


class NoiseDropout(nn.Module):
    """Dropout(0.5), Pix2Pix's noise input, on in training *and* at test.

    At test the mask is one fixed draw, the same for every sample, so that an output depends on neither the
    batch nor the order in which it was made (the published test script draws a new mask every time).
    """

    def __init__(self, seed: int, at_test: bool) -> None:
        super().__init__()
        self.seed = seed
        self.at_test = at_test

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return dropout(x, 0.5)
        return x * noise(tuple(x.shape[1:]), self.seed).to(x) if self.at_test else x


class Generator(nn.Module):
    """The U-Net "unet_256" (256 px; one level per halving at other sizes): [B, C, H, H] -> [B, 3, H, H].

    BN has the statistics of the sample at hand, in training (published batch: 1) and at test, as published.
    """

    def __init__(self, input_channels: int, image_size: int, width: float = 1.0, noise_at_test: bool = True) -> None:
        super().__init__()
        levels = image_size.bit_length() - 1
        if image_size != 2**levels or levels < 5:
            raise ValueError(f"Pix2Pix needs an image size that is a power of two from 32, not {image_size}")
        channels = [scaled(64 * min(2**level, 8), width) for level in range(levels)]  # 64, 128, 256, 512, 512…
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()  # from the outermost to the innermost, as `down`
        for level, outer in enumerate([input_channels, *channels[:-1]]):
            inner = channels[level]
            outermost, innermost = level == 0, level == levels - 1
            down: list[nn.Module] = [nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=False)]
            if not (outermost or innermost):
                down.append(SampleNorm(inner))
            up_from = inner if innermost else 2 * inner  # the skip is concatenated
            if outermost:
                up: list[nn.Module] = [nn.ConvTranspose2d(up_from, 3, 4, stride=2, padding=1), nn.Tanh()]
            else:
                up = [
                    nn.ConvTranspose2d(up_from, outer, 4, stride=2, padding=1, bias=False),
                    SampleNorm(outer),
                ]
                if 4 <= level < levels - 1:  # the levels with eight times the base width, not the innermost
                    up.append(NoiseDropout(seed=level, at_test=noise_at_test))
            self.down.append(nn.Sequential(*down))
            self.up.append(nn.Sequential(*up))
        self.apply(initialise)

    def forward(self, condition: Tensor) -> Tensor:
        skips = [self.down[0](condition)]
        for down in self.down[1:]:
            skips.append(down(leaky_relu(skips[-1], 0.2)))
        x = self.up[-1](relu(skips.pop()))
        for up in reversed(self.up[:-1]):
            x = up(relu(torch.cat([skips.pop(), x], 1)))
        return x


class Discriminator(nn.Sequential):
    """The 70 × 70 PatchGAN on concat[condition, image]: [B, C, H, H] -> logits [B, 1, H/8 - 2, H/8 - 2]."""

    def __init__(self, input_channels: int, width: float = 1.0) -> None:
        c1, c2, c3, c4 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        super().__init__(
            *(nn.Conv2d(input_channels, c1, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(c1, c2, 4, stride=2, padding=1, bias=False), SampleNorm(c2), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(c2, c3, 4, stride=2, padding=1, bias=False), SampleNorm(c3), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(c3, c4, 4, stride=1, padding=1, bias=False), SampleNorm(c4), nn.LeakyReLU(0.2)),
            nn.Conv2d(c4, 1, 4, stride=1, padding=1),
        )
        self.apply(initialise)


def initialise(module: nn.Module) -> None:
    """Convolutions N(0, 0.02) with zero bias, norms N(1, 0.02) with zero bias, in both networks."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | SampleNorm):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, SampleNorm) else 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Pix2Pix:
    """Image-to-image translation from [source image, target stick figure] to the target image."""

    title: ClassVar[str] = "Pix2Pix"
    reference: ClassVar[str] = "Isola et al., CVPR 2017"
    perceptual_nets: ClassVar[tuple[str, ...]] = ()
    few_shot: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.options: Options = options_from(Options, setup.options)
        # the published network sees the pose alone (3 channels), which cannot tell it the character
        self.generator = Generator(6, setup.image_size, setup.width, self.options.eval_dropout)
        self.discriminator = Discriminator(9, setup.width)
        self.generator.to(setup.device)
        self.discriminator.to(setup.device)
        self.generator_optimizer = self._adam(self.generator)
        self.discriminator_optimizer = self._adam(self.discriminator)

    def _adam(self, network: nn.Module) -> Adam:
        return Adam(network.parameters(), lr=self.options.lr, betas=(0.5, 0.999), fused=True)

    def phases(self) -> Sequence[Phase]:
        return [Phase("joint", "pairs", batch=self.setup.batch or 1, samples=self.setup.budget.pairs)]

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        assert isinstance(batch, PairBatch)
        lr = self.options.lr * linear_decay(progress, constant=100, decay=100)
        set_lr(self.generator_optimizer, lr)
        set_lr(self.discriminator_optimizer, lr)
        self.generator.train()

        # no resize, crop or flip (published: 286 -> 256 and flips): where on the canvas a pose is matters
        condition = self.condition(batch.source, batch.target_keypoints)
        fake = self.generator(condition)

        d_real = gan_loss(self.discriminator(torch.cat([condition, batch.target], 1)), real=True)
        d_fake = gan_loss(self.discriminator(torch.cat([condition, fake.detach()], 1)), real=False)
        self.discriminator_optimizer.zero_grad()
        (0.5 * (d_real + d_fake)).backward()
        self.discriminator_optimizer.step()

        g_gan, g_l1 = self.generator_losses(condition, fake, batch.target)
        self.generator_optimizer.zero_grad()
        (g_gan + self.options.l1_weight * g_l1).backward()
        self.generator_optimizer.step()
        losses = {"g_gan": g_gan, "g_l1": g_l1, "d_real": d_real, "d_fake": d_fake}
        return {name: value.detach() for name, value in losses.items()}

    def condition(self, source: Tensor, target_keypoints: Tensor) -> Tensor:
        """concat[source image, target stick figure], [B, 6, H, W] in [-1, 1]."""
        return torch.cat([source, stick_figure(target_keypoints, self.setup.image_size)], 1)

    def generator_losses(self, condition: Tensor, fake: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Adversarial and L1 loss of generated images, before weighting; the discriminator stays as it is."""
        with frozen(self.discriminator):
            g_gan = gan_loss(self.discriminator(torch.cat([condition, fake], 1)), real=True)
        return g_gan, l1_loss(fake.float(), target.float())

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        if finetune is None:
            return self.transfer(self.generator)

        def loss(sample: PairBatch) -> Callable[[Generator], Tensor]:
            condition = self.condition(sample.source, sample.target_keypoints)

            def of(generator: Generator) -> Tensor:
                g_gan, g_l1 = self.generator_losses(condition, generator(condition), sample.target)
                return g_gan + self.options.l1_weight * g_l1

            return of

        report = None if on_pass is None else lambda n, generator: on_pass(n, self.transfer(generator))
        return self.transfer(fine_tune(self.generator, loss, support, finetune, report))

    def transfer(self, generator: Generator) -> Transfer:
        """The generator as a function of (source, source keypoints, target keypoints), in evaluation mode."""

        @torch.no_grad()
        def run(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            return generator.eval()(self.condition(source, target_keypoints)).float()

        return run

    def probes(self) -> Sequence[Probe]:
        size, device = self.setup.image_size, self.setup.device
        return [
            Probe("generator", self.generator, (torch.zeros(1, 6, size, size, device=device),)),
            Probe("discriminator", self.discriminator, (torch.zeros(1, 9, size, size, device=device),)),
        ]

    def notes(self) -> Sequence[str]:
        notes = [
            "Pix2Pix is given the source image beside the pose (6 input channels, 3 published); "
            "no random crops or flips.",
            "Pix2Pix at test: normalisation by each image's own statistics (as published), dropout "
            + ("on with one fixed mask." if self.options.eval_dropout else "off (published: on)."),
        ]
        if self.setup.width != 1:
            notes.append(f"Pix2Pix channels × {self.setup.width:g}.")
        if self.setup.image_size != 256:
            notes.append(f"Pix2Pix U-Net with {len(self.generator.down)} levels (8 at 256 px).")
        if (self.setup.batch or 1) != 1:
            notes.append(f"Pix2Pix batch {self.setup.batch} (published: 1), statistics per sample.")
        if self.options.lr != Options.lr:
            notes.append(f"Pix2Pix learning rate {self.options.lr:g} (published: {Options.lr:g}).")
        if self.options.l1_weight != Options.l1_weight:
            notes.append(f"Pix2Pix L1 weight {self.options.l1_weight:g} (published: {Options.l1_weight:g}).")
        return notes

    def _stateful(self) -> dict[str, Any]:
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        parts = self._stateful()
        if set(state) != set(parts):
            raise KeyError(f"a Pix2Pix state has {sorted(parts)}, not {sorted(state)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
