"""LPIPS v0.1 on AlexNet (Zhang et al. 2018)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench import weights
from bench.weights.convert import ALEXNET_CONVOLUTIONS

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of RGB in [-1, 1]
_BATCH = 8
SMALLEST_SIDE = 64
"""Pixels; below it AlexNet's last maps are empty."""


class LPIPS:
    """Learned perceptual distance of image pairs. Raises WeightsMissing where the weights cannot be had."""

    def __init__(self, device: str | torch.device = "cpu", fetch: bool = True) -> None:
        from torchvision import models

        network, heads = weights.load("alexnet", fetch), weights.load("lpips-alex", fetch)
        self.sha256 = (network.sha256, heads.sha256)  # of the network's and the heads' source files
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):  # building draws initial weights; nobody's seed should notice
            features = models.alexnet(weights=None).features
        features.load_state_dict({k.removeprefix("features."): v for k, v in network.state_dict.items()})
        self._features = features.eval().requires_grad_(False).to(self.device)
        # one weight a channel for each of the five ReLUs, [1, C, 1, 1]
        self._heads = [heads.state_dict[f"lin{i}.model.1.weight"].to(self.device) for i in range(5)]

    @torch.inference_mode()
    def __call__(self, generated: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The distance of each pair of uint8 RGB images [N, H, W, 3], H and W at least SMALLEST_SIDE; float64 [N].

        Raises ValueError for images of another kind, size or number.
        """
        for images in (generated, target):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
                raise ValueError(f"LPIPS takes uint8 images [N, H, W, 3], not {images.dtype} {list(images.shape)}")
        if generated.shape != target.shape or not len(target) or min(target.shape[1:3]) < SMALLEST_SIDE:
            raise ValueError(
                f"LPIPS takes pairs of at least one image of at least {SMALLEST_SIDE} px, not "
                f"{list(generated.shape)} beside {list(target.shape)}"
            )
        distances = []
        for start in range(0, len(target), _BATCH):
            part = slice(start, start + _BATCH)
            layers = zip(self._layers(generated[part]), self._layers(target[part]), self._heads, strict=True)
            weighted = [(head * (a - b) ** 2).sum(1).mean((1, 2)) for a, b, head in layers]
            distances.append(torch.stack(weighted).sum(0))
        return torch.cat(distances).cpu().double().numpy()

    def _layers(self, images: NDArray[np.uint8]) -> list[Tensor]:
        """The five ReLU outputs, each position's channels scaled to unit length."""
        planes = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).permute(0, 3, 1, 2)
        shift, scale = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (_SHIFT, _SCALE))
        x = (planes.float() / 127.5 - 1 - shift) / scale
        outputs = []
        for index, layer in enumerate(self._features):
            x = layer(x)
            if index - 1 in ALEXNET_CONVOLUTIONS:  # a ReLU follows each convolution
                outputs.append(F.normalize(x, dim=1, eps=1e-10))
        return outputs
