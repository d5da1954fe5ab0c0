"""What PATN and XingGAN share beside layers: two discriminators, all losses, the training step, fine-tuning.

XingGAN was published on top of PATN's training code; everything here is the same in both (METHODS §4, §5), in
the DeepFashion configuration: LSGAN, no image pool. The generators, and the numbers in which the two differ,
are in baselines/patn.py and baselines/xinggan.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim import Adam

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
from methods.perceptual import perceptual_distance
from methods.pose import PoseMap, heatmaps, to_openpose18
from methods.pose_gan_networks import DROPOUT, JOINTS, Discriminator
from methods.schedules import linear_decay, set_lr


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be set. Each method names its published values, but for the pose map."""

    lr: float
    l1_weight: float
    perceptual_weight: float
    gan_weight: float
    dropout: float = DROPOUT  # in the generator's blocks
    pose_map: PoseMap = "gaussian"  # "onehot": what the released 8-bit preparation amounts to


class DiscriminatorPair:
    """D_PP, which sees an image beside the source image, and D_PB, beside the target pose."""

    def __init__(
        self, channels: Sequence[int], pose_channels: int, lr: float, gan_weight: float, device: torch.device
    ) -> None:
        self.gan_weight = gan_weight
        self.appearance = Discriminator(3 + 3, channels).to(device)
        self.shape = Discriminator(3 + pose_channels, channels).to(device)
        self.appearance_optimizer, self.shape_optimizer = (
            Adam(network.parameters(), lr=lr, betas=(0.5, 0.999), fused=True)
            for network in (self.appearance, self.shape)
        )

    @property
    def optimizers(self) -> tuple[Adam, Adam]:
        return self.appearance_optimizer, self.shape_optimizer

    def train(self, mode: bool = True) -> None:
        """Switches dropout on (or off)."""
        self.appearance.train(mode)
        self.shape.train(mode)

    def generator_losses(self, fake: Tensor, source: Tensor, target_pose: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's adversarial loss by D_PP and by D_PB, unweighted; both stay as they are."""
        with frozen(self.appearance), frozen(self.shape):
            appearance = gan_loss(self.appearance(torch.cat([fake, source], 1)), real=True, kind="lsgan")
            shape = gan_loss(self.shape(torch.cat([fake, target_pose], 1)), real=True, kind="lsgan")
        return appearance, shape

    def step(self, fake: Tensor, target: Tensor, source: Tensor, target_pose: Tensor) -> tuple[Tensor, Tensor]:
        """One update of D_PP, then one of D_PB; their losses, unweighted. `fake` is the generator step's."""
        fake = fake.detach()  # the published image pool has size 0 in this configuration
        return (
            self._update(self.appearance, self.appearance_optimizer, fake, target, source),
            self._update(self.shape, self.shape_optimizer, fake, target, target_pose),
        )

    def _update(self, network: Discriminator, optimizer: Adam, fake: Tensor, real: Tensor, beside: Tensor) -> Tensor:
        on_real = gan_loss(network(torch.cat([real, beside], 1)), real=True, kind="lsgan")
        on_fake = gan_loss(network(torch.cat([fake, beside], 1)), real=False, kind="lsgan")
        loss = 0.5 * (on_real + on_fake)
        optimizer.zero_grad()
        (self.gan_weight * loss).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()


@dataclass(frozen=True)
class Real:
    """The images to be drawn, and their VGG19 relu1_2 maps: none without a VGG."""

    images: Tensor
    maps: list[Tensor]

    @classmethod
    @torch.no_grad()
    def of(cls, images: Tensor, vgg: nn.Module | None) -> Real:
        return cls(images, vgg(images) if vgg is not None else [])


def image_losses(fake: Tensor, real: Real, vgg: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Mean absolute difference of the images, and of their VGG19 relu1_2 maps (None without a `vgg`)."""
    l1 = l1_loss(fake.float(), real.images.float())
    return l1, perceptual_distance(vgg(fake), real.maps) if vgg is not None else None


class PoseGAN:
    """A method that trains a generator against D_PP and D_PB; a subclass brings the generator and its numbers.

    A generator takes (source [B, 3, H, W], maps of source and target pose [B, 36, H, W]) -> [B, 3, H, W].
    """

    title: ClassVar[str]
    reference: ClassVar[str]
    perceptual_nets: ClassVar[tuple[str, ...]] = ("vgg19",)
    few_shot: ClassVar[bool] = False
    published: ClassVar[Options]
    published_batch: ClassVar[int]
    constant_epochs: ClassVar[int]  # at the full learning rate
    decay_epochs: ClassVar[int]  # then, falling linearly to 0

    def __init__(self, setup: Setup, generator: Callable[[Options], nn.Module], channels: Sequence[int]) -> None:
        """`channels`: the discriminators', at full, half and quarter size."""
        self.setup = setup
        self.options: Options = options_from(Options, {**asdict(self.published), **setup.options})
        self.batch = setup.batch or self.published_batch
        self.vgg = setup.perceptual.get("vgg19")
        self.generator = generator(self.options).to(setup.device)
        self.generator_optimizer = Adam(self.generator.parameters(), lr=self.options.lr, betas=(0.5, 0.999), fused=True)
        self.discriminators = DiscriminatorPair(
            channels, JOINTS, self.options.lr, self.options.gan_weight, setup.device
        )

    def phases(self) -> Sequence[Phase]:
        return [Phase("joint", "pairs", batch=self.batch, samples=self.setup.budget.pairs)]

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        assert isinstance(batch, PairBatch)
        lr = self.options.lr * linear_decay(progress, self.constant_epochs, self.decay_epochs)
        for optimizer in (self.generator_optimizer, *self.discriminators.optimizers):
            set_lr(optimizer, lr)
        self.generator.train()
        self.discriminators.train()

        target_pose = self.pose(batch.target_keypoints)
        fake = self.draw(self.generator, batch.source, batch.source_keypoints, target_pose)

        losses = self.generator_losses(fake, self.real(batch.target), batch.source, target_pose)
        self.generator_optimizer.zero_grad()
        self.generator_loss(losses).backward()  # type: ignore[no-untyped-call]
        self.generator_optimizer.step()

        d_appearance, d_shape = self.discriminators.step(fake, batch.target, batch.source, target_pose)
        losses |= {"d_appearance": d_appearance, "d_shape": d_shape}
        return {name: value.detach() for name, value in losses.items()}

    def pose(self, keypoints: Tensor) -> Tensor:
        """[B, 17, 3] -> heat maps of 18 joints, [B, 18, H, W] in [0, 1]."""
        return heatmaps(to_openpose18(keypoints), self.setup.image_size, self.options.pose_map)

    def draw(self, generator: nn.Module, source: Tensor, source_keypoints: Tensor, target_pose: Tensor) -> Tensor:
        """The source's character in the target's pose, which is given as heat maps."""
        image: Tensor = generator(source, torch.cat([self.pose(source_keypoints), target_pose], 1))
        return image

    def real(self, target: Tensor) -> Real:
        """What generated images are compared with; of a support set it is made once."""
        return Real.of(target, self.vgg)

    def generator_losses(self, fake: Tensor, real: Real, source: Tensor, target_pose: Tensor) -> dict[str, Tensor]:
        """The terms of the generator's loss, before weighting; the discriminators stay as they are."""
        g_appearance, g_shape = self.discriminators.generator_losses(fake, source, target_pose)
        l1, perceptual = image_losses(fake, real, self.vgg)
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

        def loss(sample: PairBatch) -> Callable[[nn.Module], Tensor]:
            target_pose, real = self.pose(sample.target_keypoints), self.real(sample.target)
            poses = torch.cat([self.pose(sample.source_keypoints), target_pose], 1)

            def of(generator: nn.Module) -> Tensor:
                fake: Tensor = generator(sample.source, poses)
                return self.generator_loss(self.generator_losses(fake, real, sample.source, target_pose))

            return of

        report = None if on_pass is None else lambda n, generator: on_pass(n, self.transfer(generator))
        return self.transfer(fine_tune(self.generator, loss, support, finetune, report))

    def transfer(self, generator: nn.Module) -> Transfer:
        """The generator as a function of (source, source keypoints, target keypoints), without dropout."""

        @torch.no_grad()
        def run(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            return self.draw(generator.eval(), source, source_keypoints, self.pose(target_keypoints)).float()

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
        notes = [f"{self.title} in its DeepFashion configuration (InstanceNorm, LSGAN) on square images."]
        if self.options.pose_map == "gaussian":
            notes.append(f"{self.title} poses are Gaussian maps (released 8-bit preparation: one pixel each).")
        if self.vgg is None:
            notes.append(f"{self.title} without its perceptual loss: there are no VGG19 weights.")
        if self.setup.width != 1:
            notes.append(f"{self.title} channels × {self.setup.width:g}.")
        if self.batch != self.published_batch:
            notes.append(f"{self.title} batch {self.batch} (published: {self.published_batch}).")
        for name in ("lr", "l1_weight", "perceptual_weight", "gan_weight", "dropout"):
            value, published = getattr(self.options, name), getattr(self.published, name)
            if value != published:
                notes.append(f"{self.title} {name} {value:g} (published: {published:g}).")
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
            raise KeyError(f"a {self.title} state has {sorted(parts)}, not {sorted(state)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
