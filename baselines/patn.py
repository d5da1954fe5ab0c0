"""PATN (Zhu et al. 2019): a cascade of blocks in which the pose stream attends to the appearance stream.

Written from the facts of the published PyTorch code (tengteng95/Pose-Transfer), its DeepFashion configuration
(InstanceNorm, LSGAN) at square images; METHODS §4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
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
from methods.pose import PoseMap, heatmaps, to_openpose18
from methods.pose_gan import (
    DiscriminatorPair,
    block_convolutions,
    image_losses,
    initialise_generator,
    stem,
    upsampling,
)
from methods.schedules import linear_decay, set_lr

JOINTS = 18
BLOCKS = 9
BATCH = 7


@dataclass(frozen=True)
class Options:
    """What may be set; the defaults are the published values, but for the pose map."""

    lr: float = 2e-4
    l1_weight: float = 1.0
    perceptual_weight: float = 1.0
    gan_weight: float = 5.0
    pose_map: PoseMap = "gaussian"  # "onehot": what the released 8-bit preparation amounts to


class Block(nn.Module):
    """A pose-attentional transfer block: (appearance, pose) -> (appearance, pose), at a quarter of the size.

    appearance [B, C, h, w] -> the same; pose [B, `pose_inputs`, h, w] -> [B, 2C, h, w].
    """

    def __init__(self, channels: int, pose_inputs: int) -> None:
        super().__init__()
        self.appearance = block_convolutions(channels, channels, last_norm=True)
        self.pose = block_convolutions(pose_inputs, channels, last_norm=False)

    def forward(self, appearance: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        code = self.pose(pose)
        appearance = appearance + self.appearance(appearance) * torch.sigmoid(code)
        return appearance, torch.cat([code, appearance], 1)


class Generator(nn.Module):
    """(source [B, 3, H, W], maps of source and target pose [B, 36, H, W]) -> [B, 3, H, W]; H divides by 4."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c1, c2, c3 = channels = [scaled(published, width) for published in (64, 128, 256)]
        self.appearance_stem = stem(3, channels)
        self.pose_stem = stem(2 * JOINTS, channels)
        self.blocks = nn.ModuleList(Block(c3, c3 if number == 0 else 2 * c3) for number in range(BLOCKS))
        self.decoder = nn.Sequential(
            *upsampling(c3, c2),
            *upsampling(c2, c1),
            *(nn.Conv2d(c1, 3, 7, padding=3, padding_mode="reflect"), nn.Tanh()),
        )
        self.apply(initialise_generator)

    def forward(self, source: Tensor, poses: Tensor) -> Tensor:
        appearance, pose = self.appearance_stem(source), self.pose_stem(poses)
        for block in self.blocks:
            appearance, pose = block(appearance, pose)
        image: Tensor = self.decoder(appearance)  # the pose stream ends here
        return image


class PATN:
    """Progressive pose-attention transfer from a source image, its pose and the target pose."""

    title: ClassVar[str] = "PATN"
    reference: ClassVar[str] = "Zhu et al., CVPR 2019"
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
        lr = self.options.lr * linear_decay(progress, constant=500, decay=200)
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
        notes = ["PATN in its DeepFashion configuration (InstanceNorm, LSGAN) on square images."]
        if self.options.pose_map == "gaussian":
            notes.append("PATN poses are Gaussian maps (released 8-bit preparation: one pixel each).")
        if self.vgg is None:
            notes.append("PATN without its perceptual loss: there are no VGG19 weights.")
        if self.setup.width != 1:
            notes.append(f"PATN channels × {self.setup.width:g}.")
        if (self.setup.batch or BATCH) != BATCH:
            notes.append(f"PATN batch {self.setup.batch} (published: {BATCH}).")
        for name in ("lr", "l1_weight", "perceptual_weight", "gan_weight"):
            value, published = getattr(self.options, name), getattr(Options, name)
            if value != published:
                notes.append(f"PATN {name} {value:g} (published: {published:g}).")
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
            raise KeyError(f"a PATN state has {sorted(parts)}, not {sorted(state)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
