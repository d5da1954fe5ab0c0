"""Ours (Wang et al. 2024) behind the suite's interface: options, joint and meta-training steps, adapting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

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
from methods.pose import stick_figure
from methods.schedules import set_lr
from ours.discriminator import Discriminator
from ours.generator import Generator
from ours.losses import GeneratorLoss
from ours.meta import meta_gradient
from ours.multi_step import step_weights
from ours.spectral_norm import power_iteration

EPOCHS, COSINE_EPOCHS = 96, 64  # §5.1


@dataclass(frozen=True)
class Options:
    """§5.1 where it speaks, METHODS §8 where it is silent."""

    training: Literal["meta", "joint"] = "meta"  # joint: w/o ML
    frm: bool = True
    msl: bool = False
    msl_epochs: int = 15  # row 17
    support: int = 4  # K; 2 with MSL
    support_from: Literal["views", "shift"] = "views"  # §5.1 trains on basic views, §5.5 tests on shifts
    inner_steps: int = 4  # S
    inner_lr: float = 1e-3
    order: Literal["first", "second"] = "first"  # row 16
    inner_perceptual: bool = True
    l1: float = 75.0
    perceptual: float = 0.5
    lr: float = 2e-4
    lr_min: float = 5e-5
    lr_discriminator: float = 4e-4
    beta1: float = 0.5  # row 20
    beta2: float = 0.999
    d_layers: int = 3  # row 6


class Ours:
    """Meta-learned generator with fusion residual modules, fine-tuned on the support set of a character."""

    title: ClassVar[str] = "Ours"
    reference: ClassVar[str] = "Wang et al. 2024"
    perceptual_nets: ClassVar[tuple[str, ...]] = ("vgg16",)
    few_shot: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.options: Options = options_from(Options, setup.options)
        if self.options.order not in ("first", "second") or self.options.training not in ("meta", "joint"):
            raise ValueError("order is 'first' or 'second', training is 'meta' or 'joint'")
        if self.options.support_from not in ("views", "shift"):
            raise ValueError("support_from is 'views' or 'shift'")
        for name in ("support", "inner_steps"):
            if getattr(self.options, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self.options, name)}")
        # three halvings and reflection on the last map; the discriminator's last 4 × 4 convolutions need as much
        if setup.image_size % 8 or setup.image_size < 32:
            raise ValueError(f"the image size must be a multiple of 8, at least 32, not {setup.image_size}")
        channels = round(64 * setup.width)
        if channels < 1:
            raise ValueError(f"width {setup.width:g} leaves no channels; the published first layer has 64")
        with setup.device:
            self.generator = Generator(channels, self.options.frm)
            self.discriminator = Discriminator(channels, self.options.d_layers)
        betas = (self.options.beta1, self.options.beta2)
        fused = setup.device.type != "meta"
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), self.options.lr, betas, fused=fused)
        self.optimizer_d = torch.optim.Adam(
            self.discriminator.parameters(), self.options.lr_discriminator, betas, fused=fused
        )
        self.features = setup.perceptual.get("vgg16") if self.options.perceptual else None
        self.loss = GeneratorLoss(self.discriminator, self.options.l1, self.options.perceptual, self.features)

    # --- training -------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        batch = self.setup.batch or 4
        if self.options.training == "joint":
            return [Phase("joint", "pairs", batch, self.setup.budget.pairs)]
        options = self.options
        return [Phase("meta", "episodes", batch, self.setup.budget.queries, options.support, options.support_from)]

    def warm_start(self, state: Mapping[str, Any]) -> None:
        """Take the networks of another run of this method.

        The optimisers start afresh: their moments measured the loss as it stands, not as it is after adapting.
        """
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        set_lr(self.optimizer_g, self.learning_rate(progress.epoch(EPOCHS)))
        # row 11: u and v move once a step and are then the same for every inner and query pass of it
        power_iteration(self.generator)
        power_iteration(self.discriminator)
        if isinstance(batch, PairBatch):
            return self._joint_step(batch)
        return self._meta_step(batch, progress)

    def learning_rate(self, epoch: int) -> float:
        """Cosine from `lr` to `lr_min` over 64 of the 96 epochs, then constant (§5.1)."""
        top, low = self.options.lr, self.options.lr_min
        if epoch >= COSINE_EPOCHS:
            return low
        return low + (top - low) * (1 + math.cos(math.pi * epoch / COSINE_EPOCHS)) / 2

    def _joint_step(self, batch: PairBatch) -> dict[str, Tensor]:
        """w/o ML (row 26): the same networks and losses on plain pairs."""
        pose = stick_figure(batch.target_keypoints, self.setup.image_size)
        fake = self.generator(pose, batch.source)
        with frozen(self.discriminator):
            loss = self.loss(pose, fake, batch.target, self.loss.real_features(batch.target))
        self.optimizer_g.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        self.optimizer_g.step()
        losses = self._discriminator_step(pose, batch.target, [(1.0, fake.detach())])
        return {
            "g_gan": loss.gan.detach(),
            "g_l1": loss.l1.detach(),
            "g_perceptual": loss.perceptual.detach(),
            **losses,
        }

    def _meta_step(self, batch: EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        """Adapt to every task, then one step of G on the query losses and one of D (eq. 7-11)."""
        options = self.options
        weights = step_weights(options.inner_steps, progress.epoch(EPOCHS), options.msl_epochs, enabled=options.msl)
        with frozen(self.discriminator):  # row 14: D never changes inside, and only G's terms have gradients
            result = meta_gradient(
                self.generator,
                self.loss,
                batch,
                weights,
                options.inner_lr,
                options.inner_perceptual,
                options.order == "second",
            )
        self.optimizer_g.step()
        losses = self._discriminator_step(result.poses, batch.query.flatten(0, 1), result.fakes)
        return {
            "g_gan": result.query.gan,
            "g_l1": result.query.l1,
            "g_perceptual": result.query.perceptual,
            "inner_first": result.inner[0],
            "inner_last": result.inner[-1],
            **losses,
        }

    def _discriminator_step(self, pose: Tensor, real: Tensor, fakes: list[tuple[float, Tensor]]) -> dict[str, Tensor]:
        """Row 12: real + fake, without Pix2Pix's half; row 18: the fakes of each counted step, weighted."""
        d_real = gan_loss(self.discriminator(pose, real), real=True)
        d_fake = sum(
            (weight * gan_loss(self.discriminator(pose, fake), real=False) for weight, fake in fakes),
            start=torch.zeros_like(d_real),
        )
        self.optimizer_d.zero_grad(set_to_none=True)
        (d_real + d_fake).backward()  # type: ignore[no-untyped-call]
        self.optimizer_d.step()
        return {"d_real": d_real.detach(), "d_fake": d_fake.detach()}

    # --- use --------------------------------------------------------------------------------------------------

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        """The character adapting stage at test time: eq. 6 on the support set, D frozen (row 25)."""
        if finetune is None:
            return self._transfer(self.generator)

        def loss(sample: PairBatch) -> Callable[[Generator], Tensor]:
            pose = stick_figure(sample.target_keypoints, self.setup.image_size)
            features = self.loss.real_features(sample.target) if self.options.inner_perceptual else []
            return lambda net: self.loss(pose, net(pose, sample.source), sample.target, features).total

        def report(index: int, net: Generator) -> None:
            if on_pass is not None:
                on_pass(index, self._transfer(net))

        with frozen(self.discriminator):
            return self._transfer(fine_tune(self.generator, loss, support, finetune, report))

    def _transfer(self, generator: Generator) -> Transfer:
        def transfer(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            pose = stick_figure(target_keypoints, self.setup.image_size)
            return cast(Tensor, generator(pose, source)).float()

        return transfer

    def probes(self) -> Sequence[Probe]:
        image = torch.zeros(1, 3, self.setup.image_size, self.setup.image_size, device=self.setup.device)
        return [
            Probe("generator", self.generator, (image, image)),
            Probe("discriminator", self.discriminator, (image, image)),
        ]

    def notes(self) -> Sequence[str]:
        options, found = self.options, []
        if self.setup.width != 1:
            found.append(f"widths are {self.setup.width:g} of the published ones")
        if options.perceptual and self.features is None:
            found.append("no VGG-16 weights: trained without the perceptual term")
        elif not options.inner_perceptual:
            found.append("perceptual term in the refining (outer) step only")
        pairs = self.setup.budget.warm_start_pairs
        if pairs and options.training == "meta":
            found.append(f"meta-training starts from {pairs} pairs of joint training, which the paper does not do")
        elif pairs:
            found.append(f"joint training goes on from the same {pairs} pairs that meta-training starts from")
        if options.training == "meta" and options.support_from == "shift":
            found.append(
                "meta-trained on support sets made as at test time, by shifts of the source (§5.5), not of views"
            )
        if options.order == "second":
            found.append("second-order meta-gradient")
        return found

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in self._STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if set(state) != set(self._STATE):
            raise ValueError(f"the state must hold {', '.join(self._STATE)}; it holds {', '.join(sorted(state))}")
        for name in self._STATE:
            getattr(self, name).load_state_dict(state[name])

    _STATE: ClassVar[tuple[str, ...]] = ("generator", "discriminator", "optimizer_g", "optimizer_d")
