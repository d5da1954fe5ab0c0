"""A training step of PATN or XingGAN made of torch's layers and optimiser as they come.

The same losses and gradients up to rounding; what the step of this suite has instead (group_norm for instance_norm, a
perceptual network in channels_last, attention that keeps no map, one kernel for Adam) is what their ratio is worth.
"""

from __future__ import annotations

from unittest import mock

import torch
from torch import Tensor
from torch.nn.functional import instance_norm

from baselines import xinggan
from bench.spec import TrainSpec
from bench.speed.memory import materialised
from bench.speed.steps import Steps
from methods import pose_gan_networks
from methods.perceptual import VGGFeatures
from methods.pose_gan import PoseGAN

METHODS = ("patn", "xinggan")


class PlainSteps(Steps):
    """As `Steps`, for one of METHODS."""

    def __init__(self, spec: TrainSpec, stretch: str, device: torch.device) -> None:
        super().__init__(spec, stretch, device)
        assert isinstance(self.method, PoseGAN)
        if self.method.vgg is not None:
            self.method.vgg.to(memory_format=torch.contiguous_format)
        for optimizer in (self.method.generator_optimizer, *self.method.discriminators.optimizers):
            for group in optimizer.param_groups:
                group["fused"] = None  # torch's own choice

    def __call__(self, number: int) -> None:
        with (
            mock.patch.object(pose_gan_networks, "group_norm", lambda x, channels: instance_norm(x)),
            mock.patch.object(xinggan, "attend", materialised),
            mock.patch.object(VGGFeatures, "forward", _features),
        ):
            super().__call__(number)


def _features(network: VGGFeatures, images: Tensor) -> list[Tensor]:
    maps, x = [], ((images + 1) / 2 - network.mean) / network.std
    for segment in network.segments:
        x = segment(x)
        maps.append(x)
    return maps
