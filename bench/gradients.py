"""Norms of the gradients that a method's optimisers follow, for the log: what goes wrong in a GAN shows there first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from methods.interface import Method


@contextmanager
def gradient_norms(method: Method, found: dict[str, float | None]) -> Iterator[None]:
    """Within, `found` gets the Euclidean norm of all gradients of each optimiser that steps; None for NaN or infinity.

    By the name of the method's attribute, without "optimizer" where that leaves one. Optimisers are those it holds and
    those that what it holds holds: one made within a step belongs to an inner loop. A GPU is waited for.
    """
    names = {id(optimizer): name for name, optimizer in _optimizers(method, 1)}

    def after_step(optimizer: Optimizer, *_: Any) -> None:
        if id(optimizer) not in names:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)).float()))
            found[names[id(optimizer)]] = norm if math.isfinite(norm) else None

    handle = register_optimizer_step_post_hook(after_step)
    try:
        yield
    finally:
        handle.remove()


def _optimizers(owner: object, depth: int) -> Iterator[tuple[str, Optimizer]]:
    for name, value in vars(owner).items():
        if isinstance(value, Optimizer):
            yield name.replace("optimizer", "").strip("_") or name, value
        elif depth and hasattr(value, "__dict__"):
            yield from _optimizers(value, depth - 1)
