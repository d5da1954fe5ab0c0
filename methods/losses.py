"""Adversarial losses, and the switch that keeps a discriminator still while a generator learns from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

GANLoss = Literal["bce", "lsgan"]


def full_precision(x: Tensor) -> Tensor:
    """float32 for anything shorter (autocast's bfloat16); float64 stays, for numerical tests."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gan_loss(logits: Tensor, real: bool, kind: GANLoss = "bce") -> Tensor:
    """Mean loss of `logits` (any shape) against the label real (1) or fake (0), in float32.

    "bce" is binary cross-entropy with logits (vanilla GAN; with real=True for a generator, the non-saturating
    loss); "lsgan" is the squared distance to the label (Mao et al. 2017).
    """
    logits = full_precision(logits)
    if kind == "bce":
        return softplus(-logits if real else logits).mean()
    if kind == "lsgan":
        return (logits - float(real)).square().mean()
    raise ValueError(f"unknown GAN loss '{kind}'; known: bce, lsgan")


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within, `network` passes gradients on to its input but collects none for its parameters."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
