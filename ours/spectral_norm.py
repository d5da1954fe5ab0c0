"""Convolutions with spectral normalisation (Miyato et al. 2018) whose power iteration is asked for, not implied.

Test-time adaptation and the inner loop change the raw weight W; the vectors u and v stay as they were before the
meta-step, so σ = uᵀWv is a smooth function of W and no task leaks into the next (METHODS §8, 11).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, normalize, pad


class SpectralConv2d(nn.Module):
    """`Conv2d` with weight W/σ(W); orthogonal W and zero bias at the start, so σ = 1 (METHODS §8, 32).

    `reflect` pads by reflection, which keeps a white canvas constant; otherwise by zeros.
    """

    u: Tensor
    v: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        reflect: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.reflect = stride, padding, reflect
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("u", normalize(torch.randn(outputs), dim=0))
        self.register_buffer("v", normalize(torch.randn(inputs * kernel * kernel), dim=0))
        if not self.weight.is_meta:
            nn.init.orthogonal_(self.weight)
            for _ in range(5):
                self.power_iteration()

    @torch.no_grad()
    def power_iteration(self) -> None:
        """Move u and v one step towards the first singular vectors of the current weight."""
        matrix = self.weight.flatten(1)
        with torch.autocast(matrix.device.type, enabled=False):
            self.v.copy_(normalize(matrix.T @ self.u, dim=0))
            self.u.copy_(normalize(matrix @ self.v, dim=0))

    def sigma(self) -> Tensor:
        """The spectral norm of the weight at hand, differentiable in it, in float32."""
        # products and sums, not a matrix product: autocast leaves these in float32
        return ((self.weight.flatten(1) * self.v).sum(1) * self.u).sum()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight / self.sigma()
        if self.reflect and self.padding:
            x = pad(x, (self.padding,) * 4, mode="reflect")
            return conv2d(x, weight, self.bias, self.stride)
        return conv2d(x, weight, self.bias, self.stride, self.padding)


def power_iteration(network: nn.Module) -> None:
    """One power iteration of every spectrally normalised convolution of a network."""
    for module in network.modules():
        if isinstance(module, SpectralConv2d):
            module.power_iteration()
