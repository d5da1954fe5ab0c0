"""Meta-training (§3.3, Fig. 2): adapt a copy of G to each character's support set, refine G by its query loss.

θ_{s+1} = θ_s − α ∇ L_CA(θ_s; support sample s) for s = 0 … S−1, from θ_0 = θ, one sample a step; then
∇_θ mean over tasks of Σ_s v_s L_CR(θ_s; query) (eq. 11). First order takes ∂θ_s/∂θ as the identity; second order
differentiates through the steps.

The tasks of a batch run side by side: their fast weights are stacked, [T, …] a parameter, and the generator is
mapped over them, which on a CPU costs two thirds of running them in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from methods.interface import EpisodeBatch
from methods.pose import stick_figure
from ours.generator import Generator
from ours.losses import GeneratorLoss, Loss

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Samples:
    """N samples of each of T tasks: poses and images [T, N, 3, H, W], features of the images or none."""

    poses: Tensor
    images: Tensor
    features: list[Tensor]  # each [T · N, …]; empty: no perceptual term

    @classmethod
    def of(cls, images: Tensor, keypoints: Tensor, loss: GeneratorLoss | None) -> Samples:
        """Stick figures are drawn and the real images' features computed once; `loss` None: no features."""
        poses = stick_figure(keypoints.flatten(0, 1), images.shape[-1]).to(images.dtype).view_as(images)
        return cls(poses, images, loss.real_features(images.flatten(0, 1)) if loss else [])

    def take(self, number: int) -> Samples:
        """Sample `number`, modulo N, of every task: N = 1."""
        tasks, count = self.poses.shape[:2]
        chosen = slice(number % count, number % count + 1)
        features = [f.view(tasks, count, *f.shape[1:])[:, chosen].flatten(0, 1) for f in self.features]
        return Samples(self.poses[:, chosen], self.images[:, chosen], features)


@dataclass
class MetaResult:
    """What an episode batch leaves: query poses, query images of the steps that count, and losses to watch."""

    poses: Tensor  # [T · Q, 3, H, W]
    fakes: list[tuple[float, Tensor]]  # (v_s, [T · Q, 3, H, W] detached)
    query: Loss  # after the last step, mean over tasks
    inner: list[Tensor]  # adapting loss before each update, mean over tasks


def meta_gradient(
    generator: Generator,
    loss: GeneratorLoss,
    batch: EpisodeBatch,
    step_weights: Sequence[float],
    lr: float,
    inner_features: bool,
    second_order: bool = False,
) -> MetaResult:
    """Write the gradient of eq. 11 for one episode batch into the generator's `.grad`.

    One inner step a weight in `step_weights` (v_1 … v_S); with K < S the support samples are cycled (METHODS §8,
    15). `inner_features`: perceptual term in the inner steps too. At first order each step's graph is freed
    before the next, so memory does not grow with S.
    """
    tasks = len(batch.source)
    base = dict(generator.named_parameters())
    buffers = dict(generator.named_buffers())
    support = Samples.of(batch.support, batch.support_keypoints, loss if inner_features else None)
    query = Samples.of(batch.query, batch.query_keypoints, loss)
    fast: Weights = {name: p.expand(tasks, *p.shape) for name, p in base.items()}
    if not second_order:  # every θ_s is a leaf of its own; at second order all hang together on θ
        fast = {name: w.detach().clone().requires_grad_() for name, w in fast.items()}

    def draw_task(weights: Weights, poses: Tensor, source: Tensor) -> Tensor:
        sources = source.expand(len(poses), -1, -1, -1)
        image: Tensor = functional_call(generator, {**weights, **buffers}, (poses, sources))
        return image

    def evaluate(weights: Weights, samples: Samples) -> tuple[Loss, Tensor]:
        fake = vmap(draw_task)(weights, samples.poses, batch.source).flatten(0, 1)
        poses, images = samples.poses.flatten(0, 1), samples.images.flatten(0, 1)
        return loss(poses, fake, images, samples.features), fake

    result = MetaResult(query.poses.flatten(0, 1), [], Loss(*(torch.zeros(()) for _ in fields(Loss))), [])
    outer = torch.zeros((), device=batch.source.device)
    total = [torch.zeros_like(p) for p in base.values()]
    for step, weight in enumerate(step_weights):
        adapting, _ = evaluate(fast, support.take(step))
        # the loss is a mean over tasks, and each task descends its own: hence the factor
        gradients = torch.autograd.grad(tasks * adapting.total, list(fast.values()), create_graph=second_order)
        result.inner.append(adapting.total.detach())
        moved = torch._foreach_sub(list(fast.values()), gradients, alpha=lr)
        if not second_order:
            moved = tuple(w.detach().requires_grad_() for w in moved)
        fast = dict(zip(base, moved, strict=True))
        if weight == 0:
            continue
        refining, fake = evaluate(fast, query)
        result.fakes.append((weight, fake.detach()))
        result.query = Loss(*(getattr(refining, field.name).detach() for field in fields(Loss)))
        if second_order:
            outer = outer + weight * refining.total
        else:
            gradients = torch.autograd.grad(refining.total, list(fast.values()))
            torch._foreach_add_(total, [g.sum(0) for g in gradients], alpha=weight)
    if second_order:
        total = list(torch.autograd.grad(outer, list(base.values())))
    for parameter, gradient in zip(base.values(), total, strict=True):
        parameter.grad = gradient
    return result
