"""Test-time fine-tuning on a support set, the same for every method (paper §3.3, §5.1; METHODS §8, 25, 36)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from methods.interface import FineTune, PairBatch, Support

Net = TypeVar("Net", bound=nn.Module)
SampleLoss = Callable[[PairBatch], Callable[[Net], Tensor]]
"""A support sample, as a pair of batch 1 -> the loss of a generator on it, a scalar.

What does not depend on the generator, such as pose maps and features of the real image, belongs in the outer call: it
is made once a sample, the inner one in every pass."""


def fine_tune(
    generator: Net,
    loss: SampleLoss[Net],
    support: Support,
    schedule: FineTune,
    on_pass: Callable[[int, Net], None] | None = None,
) -> Net:
    """A fine-tuned copy of `generator`: plain SGD, one step per support sample, `schedule.passes` passes.

    The given generator is left untouched, parameters and buffers. If the mean support loss of a pass or a weight
    after it becomes non-finite, or the loss ends more than twice above the best seen, the weights of the best pass
    are returned: a character that diverges is reported with its best state rather than as noise. `on_pass` sees
    the running copy after 0, 1, … passes; it must not keep it.
    """
    tuned = copy.deepcopy(generator)
    tuned.eval()
    parameters = [p for p in tuned.parameters() if p.requires_grad]
    if on_pass is not None:
        on_pass(0, tuned)
    losses = [
        loss(PairBatch(support.source, support.source_keypoints, image[None], keypoints[None]))
        for image, keypoints in zip(support.images, support.keypoints, strict=True)
    ]
    best_loss, best = float("inf"), None
    for index in range(schedule.passes):
        total = torch.zeros((), device=support.source.device)
        # the loss of a pass is measured while it is made, so it speaks for the weights the pass started from
        started_from = [p.detach().clone() for p in parameters]
        for sample_loss in losses:
            value = sample_loss(tuned)
            gradients = torch.autograd.grad(value, parameters, allow_unused=True)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    if gradient is not None:
                        parameter.sub_(gradient, alpha=schedule.lr)
            total = total + value.detach() / len(losses)
        current = float(total)
        if current < best_loss:
            best_loss, best = current, started_from
        # the first is also true for NaN; the second sees what the loss of the last pass cannot
        if not current <= 2 * best_loss or not _all_finite(parameters):
            with torch.no_grad():
                for parameter, value in zip(parameters, best or started_from, strict=True):
                    parameter.copy_(value)
            break
        if on_pass is not None:
            on_pass(index + 1, tuned)
    return tuned


def _all_finite(parameters: Sequence[Tensor]) -> bool:
    with torch.no_grad():
        return bool(torch.stack([parameter.isfinite().all() for parameter in parameters]).all())
