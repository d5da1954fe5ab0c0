"""What PATN and XingGAN share: their layers' building pieces, two discriminators, and all losses.

XingGAN was published on top of PATN's training code; everything here is the same in both (METHODS §4, §5), in
the DeepFashion configuration: InstanceNorm, hence biased convolutions, and LSGAN.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, l1_loss
from torch.optim import Adam

from methods.losses import frozen, gan_loss
from methods.perceptual import perceptual_distance


class InstanceNorm(nn.Module):
    """InstanceNorm2d(eps 1e-5) without parameters or running statistics: [B, C, H, W] -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return group_norm(x, x.shape[1])  # the faster of torch's two kernels for it


def stem(inputs: int, channels: Sequence[int]) -> nn.Sequential:
    """Convolution 7 × 7, then two that halve the size: [B, inputs, H, W] -> [B, channels[2], H/4, W/4]."""
    first, second, third = channels
    return nn.Sequential(
        *(nn.Conv2d(inputs, first, 7, padding=3, padding_mode="reflect"), InstanceNorm(), nn.ReLU()),
        *(nn.Conv2d(first, second, 3, stride=2, padding=1), InstanceNorm(), nn.ReLU()),
        *(nn.Conv2d(second, third, 3, stride=2, padding=1), InstanceNorm(), nn.ReLU()),
    )


def block_convolutions(inputs: int, outputs: int, last_norm: bool) -> nn.Sequential:
    """The two 3 × 3 convolutions of a block's stream: inputs -> inputs -> outputs channels."""
    return nn.Sequential(
        *(nn.Conv2d(inputs, inputs, 3, padding=1, padding_mode="reflect"), InstanceNorm(), nn.ReLU()),
        nn.Dropout(0.5),
        nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect"),
        *([InstanceNorm()] if last_norm else []),
    )


def upsampling(inputs: int, outputs: int) -> list[nn.Module]:
    """A transposed convolution that doubles the size, norm and ReLU."""
    double = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [double, InstanceNorm(), nn.ReLU()]


def initialise_generator(module: nn.Module) -> None:
    """Convolution weights N(0, 0.02); biases, and the discriminators altogether, keep torch's default."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)


class ResidualBlock(nn.Module):
    """x + two convolutions at constant width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = block_convolutions(channels, channels, last_norm=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.convolutions(x)
        return output


class Discriminator(nn.Sequential):
    """[B, inputs, H, W] -> scores [B, channels[2], H/4, W/4].

    As in the published code there is no convolution to one channel: the GAN loss is the mean over all feature
    maps of the last residual block. Activations are ReLU.
    """

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__(stem(inputs, channels), *(ResidualBlock(channels[2]) for _ in range(3)))


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


def image_losses(fake: Tensor, target: Tensor, vgg: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Mean absolute difference of the images, and of their VGG19 relu1_2 maps (None without a `vgg`)."""
    l1 = l1_loss(fake.float(), target.float())
    if vgg is None:
        return l1, None
    with torch.no_grad():
        wanted = vgg(target)
    return l1, perceptual_distance(vgg(fake), wanted)
