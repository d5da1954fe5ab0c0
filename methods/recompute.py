"""Less memory for the backward pass: what convolutions gave is kept, what lies between them is computed again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

LARGE = 128 * 128
"""Pixels of an image above which memory is scarcer than the few per cent of time."""


def keep_convolutions(part: Callable[[Tensor], Tensor], x: Tensor, pixels: int) -> Tensor:
    """`part(x)`, to the bit and in its gradients, of a network for images of so many `pixels`.

    Above LARGE, norms, activations, padding and dropout are computed a second time in the backward pass, with the
    same random numbers. They cost little, but kept they are three or four maps for each one of a convolution.
    """
    if pixels <= LARGE or not torch.is_grad_enabled():
        return part(x)
    contexts = partial(create_selective_checkpoint_contexts, _policy)
    output: Tensor = checkpoint(part, x, use_reentrant=False, context_fn=contexts)
    return output


def _policy(context: object, operator: object, *_: Any, **__: Any) -> CheckpointPolicy:
    kept = operator is torch.ops.aten.convolution.default
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE
