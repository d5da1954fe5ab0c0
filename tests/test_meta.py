"""Meta-gradients: first order is the gradient at the adapted weights, second order that of the whole procedure."""

from typing import Any

import pytest
import torch
from torch.func import functional_call

from methods.interface import EpisodeBatch
from methods.pose import stick_figure
from ours.discriminator import Discriminator
from ours.generator import Generator
from ours.losses import GeneratorLoss
from ours.meta import MetaResult, meta_gradient
from ours.multi_step import step_weights
from tests.live_tensors import LiveTensors

SIZE, LR = 32, 1e-3
STEPS = 3


class Smooth(torch.nn.Module):
    """A small smooth stand-in for G.

    Where a channel hardly varies, as on a white canvas, the norms of the real generator have second derivatives
    in the millions, and finite differences of it say nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Conv2d(6, 4, 3, padding=1), torch.nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, pose: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.last(torch.tanh(self.first(torch.cat([pose, source], 1)))))


def networks(smooth: bool = False, dtype: torch.dtype = torch.float64) -> tuple[Any, GeneratorLoss]:
    torch.manual_seed(0)
    generator = (Smooth() if smooth else Generator(4)).to(dtype)
    discriminator = Discriminator(4, layers=1).to(dtype).requires_grad_(False)
    return generator, GeneratorLoss(discriminator, l1=75.0, perceptual=0.5, features=None)


def episodes(tasks: int = 2, shots: int = 2, dtype: torch.dtype = torch.float64) -> EpisodeBatch:
    rng = torch.Generator().manual_seed(1)

    def images(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, 3, SIZE, SIZE, generator=rng, dtype=dtype) * 2 - 1

    def keypoints(*shape: int) -> torch.Tensor:
        points = torch.rand(*shape, 17, 3, generator=rng, dtype=dtype) * SIZE
        points[..., 2] = 2
        return points

    return EpisodeBatch(
        images(tasks), keypoints(tasks), images(tasks, shots), keypoints(tasks, shots),
        images(tasks, 1), keypoints(tasks, 1),
    )  # fmt: skip


def run(
    order: str, weights: list[float], smooth: bool = False, **changes: Any
) -> tuple[dict[str, torch.Tensor], MetaResult]:
    generator, loss = networks(smooth)
    result = meta_gradient(
        generator,
        loss,
        episodes(**changes),
        weights,
        LR,
        inner_features=False,
        second_order=order == "second",
    )
    return {n: p.grad for n, p in generator.named_parameters() if p.grad is not None}, result


def outer_loss(
    generator: Any, loss: GeneratorLoss, weights: dict[str, torch.Tensor], batch: EpisodeBatch
) -> torch.Tensor:
    """The query loss after STEPS steps, written out task by task: the definition the fast code must meet."""
    total = torch.zeros((), dtype=torch.float64)
    for task in range(len(batch.source)):
        fast = dict(weights)
        source = batch.source[task : task + 1]
        support = stick_figure(batch.support_keypoints[task], SIZE).double()
        for step in range(STEPS):
            k = step % len(support)
            fake = functional_call(generator, fast, (support[k : k + 1], source))
            value = loss(support[k : k + 1], fake, batch.support[task, k : k + 1], []).total
            gradients = torch.autograd.grad(value, list(fast.values()), create_graph=True)
            fast = {n: w - LR * g for (n, w), g in zip(fast.items(), gradients, strict=True)}
        pose = stick_figure(batch.query_keypoints[task], SIZE).double()
        fake = functional_call(generator, fast, (pose, source))
        total = total + loss(pose, fake, batch.query[task], []).total / len(batch.source)
    return total


def test_second_order_equals_finite_differences_of_the_whole_procedure() -> None:
    gradients, _ = run("second", step_weights(STEPS, 0, 15, enabled=False), smooth=True)
    generator, loss = networks(smooth=True)
    batch = episodes()
    torch.manual_seed(3)
    direction = {n: torch.randn_like(p) for n, p in generator.named_parameters()}

    def at(h: float) -> float:
        moved = {n: (p.detach() + h * direction[n]).requires_grad_() for n, p in generator.named_parameters()}
        return float(outer_loss(generator, loss, moved, batch).detach())

    h = 1e-6
    numeric = (at(h) - at(-h)) / (2 * h)
    analytic = sum(float((gradients[n] * direction[n]).sum()) for n in gradients)
    assert analytic == pytest.approx(numeric, rel=1e-4)
    first, _ = run("first", step_weights(STEPS, 0, 15, enabled=False), smooth=True)
    approximate = sum(float((first[n] * direction[n]).sum()) for n in first)
    assert abs(approximate - numeric) > 10 * abs(analytic - numeric), "first order is another gradient"


def test_first_order_is_the_query_gradient_at_the_adapted_weights() -> None:
    gradients, result = run("first", step_weights(STEPS, 0, 15, enabled=False), tasks=1)
    generator, loss = networks()
    batch = episodes(tasks=1)
    fast = {n: p.detach().clone().requires_grad_() for n, p in generator.named_parameters()}
    support = stick_figure(batch.support_keypoints[0], SIZE).double()
    for step in range(STEPS):
        k = step % 2
        fake = functional_call(generator, fast, (support[k : k + 1], batch.source))
        value = loss(support[k : k + 1], fake, batch.support[0, k : k + 1], []).total
        assert float(result.inner[step]) == pytest.approx(float(value.detach()))
        steps = torch.autograd.grad(value, list(fast.values()))
        fast = {n: (w - LR * g).detach().requires_grad_() for (n, w), g in zip(fast.items(), steps, strict=True)}
    pose = stick_figure(batch.query_keypoints[0], SIZE).double()
    value = loss(pose, functional_call(generator, fast, (pose, batch.source)), batch.query[0], []).total
    for (name, _), expected in zip(fast.items(), torch.autograd.grad(value, list(fast.values())), strict=True):
        torch.testing.assert_close(gradients[name], expected)


def test_tasks_do_not_see_each_other_and_their_mean_is_taken() -> None:
    weights = step_weights(STEPS, 4, 15)  # multi-step: every step counts
    both, _ = run("first", weights, tasks=2)
    generator, loss = networks()
    batch = episodes(tasks=2)
    parts = []
    for task in range(2):
        one = EpisodeBatch(*(value[task : task + 1] for value in vars(batch).values()))
        meta_gradient(generator, loss, one, weights, LR, inner_features=False)
        parts.append({n: p.grad for n, p in generator.named_parameters() if p.grad is not None})
    for name in both:
        torch.testing.assert_close(both[name], (parts[0][name] + parts[1][name]) / 2)


def test_the_multi_step_loss_keeps_the_query_images_of_every_step_that_counts() -> None:
    _, early = run("first", step_weights(4, 0, 15))
    _, late = run("first", step_weights(4, 20, 15))
    assert [weight for weight, _ in early.fakes] == [0.25] * 4
    assert [weight for weight, _ in late.fakes] == [1.0]
    assert not torch.equal(early.fakes[0][1], early.fakes[-1][1]), "each image is drawn after its own update"


def test_meta_training_leaves_weights_and_buffers_of_the_base_alone() -> None:
    generator, loss = networks()
    before = {n: t.clone() for n, t in generator.state_dict().items()}
    meta_gradient(generator, loss, episodes(), [0, 0, 1], LR, inner_features=False)
    assert all(torch.equal(before[n], t) for n, t in generator.state_dict().items())


@pytest.mark.parametrize("order", ["first", "second"])
def test_the_multi_step_gradient_is_the_weighted_sum_of_the_steps_own(order: str) -> None:
    both, _ = run(order, [0.25, 0.0, 0.75], smooth=True)
    early, _ = run(order, [1.0, 0.0, 0.0], smooth=True)
    late, _ = run(order, [0.0, 0.0, 1.0], smooth=True)
    for name in both:
        torch.testing.assert_close(both[name], 0.25 * early[name] + 0.75 * late[name])


@pytest.mark.parametrize(("order", "grows"), [("first", False), ("second", True)])
def test_memory_at_first_order_does_not_grow_with_the_inner_steps(order: str, grows: bool) -> None:
    def peak(steps: int) -> int:
        generator, loss = networks(dtype=torch.float32)
        batch = episodes(dtype=torch.float32)
        with LiveTensors() as live:
            meta_gradient(generator, loss, batch, [1 / steps] * steps, LR, False, order == "second")
        return live.peak

    few, many = peak(1), peak(4)
    assert many > 2 * few if grows else many < 1.02 * few + 4 * 2 * 3 * SIZE**2 * 4  # the query images are kept for D
