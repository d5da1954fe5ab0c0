"""Batch normalisation by the statistics of the whole batch, whatever share of it a rank has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import batch_norm
from torch.overrides import TorchFunctionMode

from bench.errors import UsageError
from bench.ranks.group import world_size


class MeanOverRanks(torch.autograd.Function):
    """The mean of the ranks' tensors; the gradient of each is the mean of the ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return MeanOverRanks.apply(gradients[0])


class SharedStatistics(TorchFunctionMode):
    """Within, `batch_norm` in training uses and remembers mean and variance of the whole batch.

    Its input has a multiple of the rank's `samples` as rows; any other is normalised where it is. In a step of
    episodes the rows may be one task's or all tasks': UsageError.
    """

    def __init__(self, samples: int, episodes: bool) -> None:
        super().__init__()
        self.samples, self.episodes = samples, episodes

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training or (not self.episodes and len(x) % self.samples):
            return batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        if self.episodes:
            raise UsageError(
                "batch normalisation in a step of episodes: ranks cannot tell a task's statistics from the batch's; "
                "train in one process, or use methods.norm, whose statistics are a sample's own"
            )
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [0, *range(2, x.dim())]
        per_channel = (1, -1, *[1] * (x.dim() - 2))
        mean: Tensor = MeanOverRanks.apply(exact.mean(over))
        centred = exact - mean.view(per_channel)
        variance: Tensor = MeanOverRanks.apply(centred.square().mean(over))
        if running_mean is not None and running_var is not None:
            count = world_size() * x.numel() // x.shape[1]
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((variance * count / max(1, count - 1)).to(running_var.dtype), momentum)
        normal = centred * (variance + eps).rsqrt().view(per_channel)
        if weight is not None:
            normal = normal * weight.view(per_channel)
        if bias is not None:
            normal = normal + bias.view(per_channel)
        return normal.to(x.dtype)
