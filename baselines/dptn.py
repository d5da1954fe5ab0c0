"""DPTN (Zhang et al. 2022): reconstructing the source teaches the transfer, a transformer carries its texture over.

The generator runs twice with shared weights, for the source pose and for the target pose; the reconstruction's
features are where the transfer looks up the source's texture. Written from facts about the paper and its code
(PangzeCheung/Dual-task-Pose-Transformer-Network), none of it copied; METHODS §10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, l1_loss, normalize, scaled_dot_product_attention
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
from methods.perceptual import VGGFeatures, layer_names, perceptual_distance
from methods.pose import heatmaps, to_openpose18
from methods.schedules import linear_decay, set_lr

JOINTS = 18
HEADS = 2
BATCH = 32
CONTENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


@dataclass(frozen=True)
class Options:
    """What may be set; the defaults are the published values."""

    lr: float = 2e-4
    lr_discriminator: float = 2e-5
    l1_weight: float = 5.0
    style_weight: float = 500.0
    content_weight: float = 0.5
    gan_weight: float = 2.0
    init_gain: float = 0.02  # of the generator's orthogonal weights


def before_convolution(channels: int) -> list[nn.Module]:
    """What precedes a convolution of the generator: affine InstanceNorm, LeakyReLU."""
    return [SampleNorm(channels), nn.LeakyReLU(0.1)]


def encoder(inputs: int, channels: Sequence[int]) -> nn.Sequential:
    """Three halvings: [B, inputs, H, W] -> [B, channels[2], H/8, W/8]."""
    c1, c2, c3 = channels
    layers = [nn.Conv2d(inputs, c1, 4, stride=2, padding=1), *before_convolution(c1), nn.Conv2d(c1, c1, 3, padding=1)]
    for narrow, wide in ((c1, c2), (c2, c3)):
        layers += [*before_convolution(narrow), nn.Conv2d(narrow, wide, 4, stride=2, padding=1)]
        layers += [*before_convolution(wide), nn.Conv2d(wide, wide, 3, padding=1)]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """The sum of two ways through."""

    def __init__(self, main: Sequence[nn.Module], shortcut: Sequence[nn.Module]) -> None:
        super().__init__()
        self.main, self.shortcut = nn.Sequential(*main), nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.main(x) + self.shortcut(x)
        return output


def residual_block(channels: int) -> Residual:
    """Two convolutions beside a 1 × 1 one, at constant width and size."""
    main = [*before_convolution(channels), nn.Conv2d(channels, channels, 3, padding=1)]
    main += [*before_convolution(channels), nn.Conv2d(channels, channels, 3, padding=1)]
    return Residual(main, [nn.Conv2d(channels, channels, 1)])


def up_block(inputs: int, outputs: int) -> Residual:
    """[B, inputs, h, w] -> [B, outputs, 2h, 2w]: a convolution and a transposed one beside a transposed one."""

    def double(channels: int) -> nn.Module:
        return nn.ConvTranspose2d(channels, outputs, 3, stride=2, padding=1, output_padding=1)

    main = [*before_convolution(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)]
    main += [*before_convolution(outputs), double(outputs)]
    return Residual(main, [double(inputs)])


class Attention(nn.Module):
    """Multi-head attention with its projections: queries, keys, values [B, N, C] -> [B, N, C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        projected = (self.query(queries), self.key(keys), self.value(values))
        q, k, v = (x.unflatten(2, (HEADS, -1)).transpose(1, 2) for x in projected)  # [B, heads, N, C / heads]
        output: Tensor = self.out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return output


class TokenNorm(SampleNorm):
    """InstanceNorm over the tokens, affine: every channel of [B, N, C] by its own mean and variance."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens.transpose(1, 2)).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Attention and a feed-forward network on tokens [B, N, C], a norm after each sum.

    With `cross`, in between: where the tokens resemble `keys` they take over `values`. The paper's texture
    transfer block is the one with it, its context augment block the one without.
    """

    def __init__(self, channels: int, cross: bool) -> None:
        super().__init__()
        self.attention, self.norm = Attention(channels), TokenNorm(channels)
        if cross:
            self.cross_attention, self.cross_norm = Attention(channels), TokenNorm(channels)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, channels), nn.LeakyReLU(0.1), nn.Linear(channels, channels)
        )
        self.last_norm = TokenNorm(channels)

    def forward(self, x: Tensor, keys: Tensor | None = None, values: Tensor | None = None) -> Tensor:
        x = self.norm(x + self.attention(x, x, x))
        if keys is not None:
            x = self.cross_norm(x + self.cross_attention(x, keys, values))
        x = self.last_norm(x + self.feed_forward(x))
        return x


class PoseTransformer(nn.Module):
    """The pose transformer module on three maps [B, C, h, w] -> [B, C, h, w]; no positional code, no dropout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context = nn.ModuleList(TransformerBlock(channels, cross=False) for _ in range(2))
        self.transfer = nn.ModuleList(TransformerBlock(channels, cross=True) for _ in range(2))
        self.norm = TokenNorm(channels)

    def forward(self, reconstruction: Tensor, target: Tensor, texture: Tensor) -> Tensor:
        keys, x, values = (maps.flatten(2).transpose(1, 2) for maps in (reconstruction, target, texture))
        for block in self.context:
            keys = block(keys)
        for block in self.transfer:
            x = block(x, keys, values)
        output: Tensor = self.norm(x).transpose(1, 2).reshape_as(target)
        return output


class Generator(nn.Module):
    """(source [B, 3, H, W], source pose, target pose [B, 18, H, W] each) -> [B, 3, H, W]; H divides by 8."""

    def __init__(self, width: float = 1.0, init_gain: float = Options.init_gain) -> None:
        super().__init__()
        c1, c2 = scaled(64, width), scaled(128, width)
        c3 = HEADS * c2  # 256, and whole heads at any width
        self.pose_encoder = nn.Sequential(
            encoder(3 + 2 * JOINTS, (c1, c2, c3)), *(residual_block(c3) for _ in range(3))
        )
        self.texture_encoder = encoder(3, (c1, c2, c3))
        self.transformer = PoseTransformer(c3)
        self.decoder = nn.Sequential(
            *(up_block(c3, c2), up_block(c2, c1), up_block(c1, c1), nn.LeakyReLU(0.1)),
            *(nn.Conv2d(c1, 3, 3, padding=1, padding_mode="reflect"), nn.Tanh()),
        )
        self.apply(partial(initialise, gain=init_gain))

    def features(self, source: Tensor, source_pose: Tensor, target_pose: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder makes the reconstructed source of, and what it makes the target of."""
        reconstruction = self.pose_encoder(torch.cat([source, source_pose, source_pose], 1))
        target = self.pose_encoder(torch.cat([source, source_pose, target_pose], 1))
        return reconstruction, self.transformer(reconstruction, target, self.texture_encoder(source))

    def both(self, source: Tensor, source_pose: Tensor, target_pose: Tensor) -> tuple[Tensor, Tensor]:
        """The source reconstructed and the target generated: the two tasks of training."""
        reconstruction, target = self.features(source, source_pose, target_pose)
        return self.decoder(reconstruction), self.decoder(target)

    def forward(self, source: Tensor, source_pose: Tensor, target_pose: Tensor) -> Tensor:
        image: Tensor = self.decoder(self.features(source, source_pose, target_pose)[1])
        return image


def initialise(module: nn.Module, gain: float) -> None:
    """Orthogonal weights, zero biases; the attention's inputs are Xavier-uniform, as in torch's own."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.orthogonal_(module.weight, gain)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    elif isinstance(module, Attention):  # after its own layers
        for projection in (module.query, module.key, module.value):
            nn.init.xavier_uniform_(projection.weight)


class SpectralConv2d(nn.Conv2d):
    """A convolution with weight W/σ(W) (Miyato et al. 2018) that keeps, or with stride 2 halves, the size.

    Every forward pass of training makes one power iteration. Its products are sums, not matrix products, which
    autocast leaves in float32.
    """

    u: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2)
        nn.init.orthogonal_(self.weight)  # σ divides the gain out
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        self.register_buffer("u", normalize(self.weight.detach().flatten(1) @ torch.randn(inputs * kernel**2), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            u, v = self.u, normalize((matrix * self.u[:, None]).sum(0), dim=0)
            if self.training:
                u = normalize((matrix * v).sum(1), dim=0)
                self.u.copy_(u)
        weight: Tensor = self.weight / ((matrix * v).sum(1) * u).sum()
        return conv2d(x, weight, self.bias, self.stride, self.padding)


def down_block(inputs: int, outputs: int, first: bool = False) -> Residual:
    """[B, inputs, h, w] -> [B, outputs, h/2, w/2]: convolutions 3 × 3 and 4 × 4 beside a pooled 1 × 1 one."""
    # the first sees the image itself: no activation before its convolution, and the new width at once
    hidden = outputs if first else inputs
    main: list[nn.Module] = [
        SpectralConv2d(inputs, hidden, 3),
        nn.LeakyReLU(0.1),
        SpectralConv2d(hidden, outputs, 4, stride=2),
    ]
    if not first:
        main = [nn.LeakyReLU(0.1), *main]
    return Residual(main, [nn.AvgPool2d(2), SpectralConv2d(inputs, outputs, 1)])


class Discriminator(nn.Sequential):
    """[B, 3, H, W] -> scores [B, 1, H/16, W/16] of the image alone; spectral normalisation, no other norm."""

    def __init__(self, width: float = 1.0) -> None:
        c1, c2, c3, c4 = (scaled(channels, width) for channels in (32, 64, 128, 128))
        super().__init__(
            *(down_block(3, c1, first=True), down_block(c1, c2), down_block(c2, c3), down_block(c3, c4)),
            *(nn.LeakyReLU(0.1), SpectralConv2d(c4, 1, 1)),
        )


class Features(VGGFeatures):
    """The maps of VGG19 that content and style are compared in, of images in [-1, 1] as they are.

    `weights` holds VGG19's convolutions to relu5_2 under torchvision's names.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__("vgg19", weights, [*CONTENT_LAYERS, *STYLE_LAYERS])
        # (x + 1) / 2 normalised by a half and a half is x again: published without ImageNet's normalisation
        self.mean.fill_(0.5)
        self.std.fill_(0.5)

    def content_and_style(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The content maps, and the Gram matrices [B, C, C] of the style maps."""
        order = [layer for layer in layer_names("vgg19") if layer in self.layers]
        maps = dict(zip(order, self(images), strict=True))
        return [maps[layer] for layer in CONTENT_LAYERS], [gram_matrix(maps[layer]) for layer in STYLE_LAYERS]


@dataclass(frozen=True)
class Real:
    """Images to be drawn, with their content and style: none without a VGG."""

    images: Tensor
    content: list[Tensor]
    style: list[Tensor]


def gram_matrix(maps: Tensor) -> Tensor:
    """Products of the channels of [B, C, H, W] over C·H·W, [B, C, C] in float32."""
    with torch.autocast(maps.device.type, enabled=False):
        channels = maps.float().flatten(2)
        return channels @ channels.mT / channels[0].numel()


class DPTN:
    """Dual-task pose transformer: the source reconstructed beside the target generated."""

    title: ClassVar[str] = "DPTN"
    reference: ClassVar[str] = "Zhang et al., CVPR 2022"
    perceptual_nets: ClassVar[tuple[str, ...]] = ("vgg19",)
    few_shot: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        if setup.image_size % 8 or setup.image_size < 32:
            raise ValueError(f"the image size must be a multiple of 8, at least 32, not {setup.image_size}")
        self.setup = setup
        self.options: Options = options_from(Options, setup.options)
        # the network at hand ends behind relu1_2; a deeper one is made of the same weights
        weights = getattr(setup.perceptual.get("vgg19"), "weights", None)
        self.features = None if weights is None else Features(weights).to(setup.device).eval()
        self.generator = Generator(setup.width, self.options.init_gain).to(setup.device)
        self.discriminator = Discriminator(setup.width).to(setup.device)
        self.generator_optimizer, self.discriminator_optimizer = (
            Adam(network.parameters(), lr=lr, betas=(0.5, 0.999), fused=True)
            for network, lr in (
                (self.generator, self.options.lr),
                (self.discriminator, self.options.lr_discriminator),
            )
        )

    def phases(self) -> Sequence[Phase]:
        return [Phase("joint", "pairs", batch=self.setup.batch or BATCH, samples=self.setup.budget.pairs)]

    def train_step(self, batch: PairBatch | EpisodeBatch, progress: Progress) -> dict[str, Tensor]:
        assert isinstance(batch, PairBatch)
        factor = linear_decay(progress, constant=100, decay=100)
        set_lr(self.generator_optimizer, self.options.lr * factor)
        set_lr(self.discriminator_optimizer, self.options.lr_discriminator * factor)
        self.generator.train()
        self.discriminator.train()

        reconstruction, fake = self.draw(self.generator, batch)
        d_real = gan_loss(self.discriminator(batch.target), real=True, kind="lsgan")
        d_fake = gan_loss(self.discriminator(fake.detach()), real=False, kind="lsgan")
        self.discriminator_optimizer.zero_grad()
        (0.5 * (d_real + d_fake)).backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimizer.step()

        losses = self.generator_losses(self.real(batch), reconstruction, fake)
        self.generator_optimizer.zero_grad()
        self.generator_loss(losses).backward()  # type: ignore[no-untyped-call]
        self.generator_optimizer.step()
        losses |= {"d_real": d_real, "d_fake": d_fake}
        return {name: value.detach() for name, value in losses.items()}

    def pose(self, keypoints: Tensor) -> Tensor:
        """[B, 17, 3] -> Gaussian maps of 18 joints, [B, 18, H, W] in [0, 1]."""
        return heatmaps(to_openpose18(keypoints), self.setup.image_size)

    def draw(self, generator: Generator, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """The batch's sources reconstructed and its targets generated."""
        return generator.both(batch.source, self.pose(batch.source_keypoints), self.pose(batch.target_keypoints))

    @torch.no_grad()
    def real(self, batch: PairBatch) -> tuple[Real, Real]:
        """What the generated images and the reconstructions are compared with."""
        target, source = (
            Real(images, *(self.features.content_and_style(images) if self.features is not None else ([], [])))
            for images in (batch.target, batch.source)
        )
        return target, source

    def generator_losses(self, real: tuple[Real, Real], reconstruction: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """The terms of the generator's loss, before weighting; the discriminator stays as it is."""
        with frozen(self.discriminator):
            losses = {"g_gan": gan_loss(self.discriminator(fake), real=True, kind="lsgan")}
        for task, made, wanted in zip(("g", "self"), (fake, reconstruction), real, strict=True):
            losses[f"{task}_l1"] = l1_loss(made.float(), wanted.images.float())
            if self.features is not None:
                content, style = self.features.content_and_style(made)
                losses[f"{task}_content"] = perceptual_distance(content, wanted.content)
                losses[f"{task}_style"] = perceptual_distance(style, wanted.style)
        return losses

    def generator_loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        """λ_GAN · adversarial + half of each task's λ_1 · L1 + λ_style · style + λ_content · content."""
        loss = self.options.gan_weight * losses["g_gan"]
        for task in ("g", "self"):
            for term in ("l1", "style", "content"):
                if f"{task}_{term}" in losses:
                    loss = loss + 0.5 * getattr(self.options, f"{term}_weight") * losses[f"{task}_{term}"]
        return loss

    def adapt(
        self,
        support: Support,
        finetune: FineTune | None,
        on_pass: Callable[[int, Transfer], None] | None = None,
    ) -> Transfer:
        if finetune is None:
            return self.transfer(self.generator)
        self.discriminator.eval()  # no power iteration: adapting leaves it as it is

        def loss(sample: PairBatch) -> Callable[[Generator], Tensor]:
            real = self.real(sample)
            poses = self.pose(sample.source_keypoints), self.pose(sample.target_keypoints)
            return lambda net: self.generator_loss(self.generator_losses(real, *net.both(sample.source, *poses)))

        report = None if on_pass is None else lambda n, generator: on_pass(n, self.transfer(generator))
        return self.transfer(fine_tune(self.generator, loss, support, finetune, report))

    def transfer(self, generator: Generator) -> Transfer:
        """The generator as a function of (source, source keypoints, target keypoints)."""

        @torch.no_grad()
        def run(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            image: Tensor = generator(source, self.pose(source_keypoints), self.pose(target_keypoints)).float()
            return image

        return run

    def probes(self) -> Sequence[Probe]:
        size = self.setup.image_size

        def maps(channels: int) -> Tensor:
            return torch.zeros(1, channels, size, size, device=self.setup.device)

        return [
            Probe("generator", self.generator, (maps(3), maps(JOINTS), maps(JOINTS))),
            Probe("discriminator", self.discriminator, (maps(3),)),
        ]

    def notes(self) -> Sequence[str]:
        notes = []
        if self.features is None:
            notes.append("DPTN without its content and style losses: there are no VGG19 weights to relu5_2.")
        if self.setup.width != 1:
            notes.append(f"DPTN channels × {self.setup.width:g}.")
        if (self.setup.batch or BATCH) != BATCH:
            notes.append(f"DPTN batch {self.setup.batch} (published: {BATCH}).")
        for field in fields(Options):
            value = getattr(self.options, field.name)
            if value != field.default:
                notes.append(f"DPTN {field.name} {value:g} (published: {field.default:g}).")
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
            raise KeyError(f"a DPTN state has {sorted(parts)}, not {sorted(state)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
