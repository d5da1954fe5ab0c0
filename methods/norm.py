"""Batch normalisation whose result does not depend on the batch it happens to be computed in.

A published network trained at batch 1 normalises by the statistics of one sample; the same network trained
here at batch 8, or sharded over ranks, must too (METHODS §8, 10 and 37). Neither layer keeps running
statistics; parameters (`weight`, `bias`) are those of `BatchNorm2d`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm


class SampleNorm(nn.Module):
    """BatchNorm at batch 1: every channel of every sample by its own mean and variance, then affine."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # one group a channel is instance normalisation, by the faster of torch's two kernels
        return group_norm(x, self.channels, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}"


class GroupedBatchNorm(SampleNorm):
    """BatchNorm over each run of `samples` consecutive samples: [n · samples, C, H, W].

    `samples` is the batch the network was published with. Raises ValueError for a batch that does not divide.
    """

    def __init__(self, channels: int, samples: int, eps: float = 1e-5) -> None:
        super().__init__(channels, eps)
        self.samples = samples

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if batch % self.samples:
            raise ValueError(f"a batch of {batch} does not split into groups of {self.samples} samples")
        grouped = x.view(-1, self.samples, channels, height, width).transpose(1, 2)
        return super().forward(grouped).transpose(1, 2).reshape(batch, channels, height, width)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, samples={self.samples}"
