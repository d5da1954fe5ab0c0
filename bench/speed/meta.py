"""What a meta-step of Ours costs in units of a plain training step of the same network."""

from __future__ import annotations

from collections.abc import Iterator

from bench.speed.record import Group, Scope, line
from bench.speed.steps import Steps
from ours.method import EPOCHS, Ours
from ours.multi_step import step_weights

PLAIN = "plain step, one pair a task"
CASES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("first order", "", {}),
    ("first order, MSL", "msl", {}),
    ("second order", "", {"order": "second"}),
    ("second order, MSL", "msl", {"order": "second"}),
)
"""Name, variant and options; with MSL, the steps in which every inner step has a query pass."""


def meta(scope: Scope) -> Iterator[Group]:
    """One group without a perceptual term, where an inner step and a plain one are alike; one as the preset has it."""
    alike: dict[str, object] = {"perceptual": 0.0}
    yield _group("meta-step", "without perceptual terms", alike, alike, scope)
    if not scope.quick:  # which has no perceptual networks
        # a plain step of the preset is one of its warm start
        plain = {} if scope.preset.perceptual_everywhere else alike
        yield _group("meta-step as trained", f"perceptual terms as {scope.preset_name} has them", plain, {}, scope)


def _group(name: str, terms: str, plain: dict[str, object], meta: dict[str, object], scope: Scope) -> Group:
    running = {PLAIN: Steps(scope.spec(scope.cell("ours", "wo-ml", **plain)), "joint", scope.device)}
    for title, variant, options in CASES:
        spec = scope.spec(scope.cell("ours", variant, **{**meta, **options}))
        steps = Steps(spec, "multi-step loss" if variant else "meta", scope.device)
        running[f"{title} (floor {passes(steps)})"] = steps
    with scope.report.task(name):
        timed = scope.time(running)
    heading = f"Meta-step, {terms}; ratios to {PLAIN}; floor: inner steps and query passes"
    return Group(name, heading, tuple(line(timed, title, PLAIN) for title in running))


def passes(steps: Steps) -> int:
    """Forward and backward passes of a meta-step: its inner steps, and the query passes whose loss counts."""
    method, stretch = steps.method, steps.stretch
    assert isinstance(method, Ours)
    options = method.options
    epoch = EPOCHS * stretch.first // stretch.phase.steps
    weights = step_weights(options.inner_steps, epoch, options.msl_epochs, options.msl)
    return len(weights) + sum(weight > 0 for weight in weights)
