"""What using a trained method costs: adapting to a character, drawing an image."""

from __future__ import annotations

import torch

from bench.build import autocast, build
from bench.conformance import Subject
from bench.generate import BATCH
from bench.plan import BASELINES
from bench.speed.clock import Operation
from bench.speed.record import Group, Scope, line
from bench.speed.steps import title_of
from methods.interface import FineTune, Method, Support

HARMLESS = 1e-6  # learning rate: nothing diverges, so that no schedule stops early
TIMED_PASSES = 5


def _methods(scope: Scope) -> dict[str, Method]:
    """By title, Ours first: it is the base."""
    wanted = [name for name in scope.methods or (*BASELINES, "ours") if name != "ours"]
    built = {}
    for name in ("ours", *wanted):
        torch.manual_seed(0)
        built[title_of(name)] = build(scope.spec(scope.cell(name)), scope.device)
    return built


def adapt(scope: Scope) -> list[Group]:
    """The longest fine-tuning the preset tries, at one shot; a few passes are timed and multiplied."""
    shots, size = 1, scope.preset
    tried = [passes for passes in size.tuning_passes if passes * shots <= size.tuning_steps]
    timed_passes = min(TIMED_PASSES, max(tried))
    known = Subject("ours", scope.device, scope.image_size).support
    support = Support(known.source, known.source_keypoints, known.images[:shots], known.keypoints[:shots])

    def adapting(method: Method) -> Operation:
        def operate(number: int) -> None:
            with autocast(scope.device, "fp32"):
                method.adapt(support, FineTune(HARMLESS, timed_passes))

        return operate

    with scope.report.task("adaptation"):
        running = {title: adapting(method) for title, method in _methods(scope).items()}
        timed = scope.time(running)
    base, scale = next(iter(running)), max(tried) / timed_passes
    lines = tuple(line(timed, title, base, scale=scale) for title in running)
    multiplied = f", of which {timed_passes} timed" if scale != 1 else ""
    heading = f"Adaptation to a character, {shots} shot, {max(tried)} passes{multiplied}; ratios to {base}"
    return [Group("adaptation", heading, lines)]


def generate(scope: Scope) -> list[Group]:
    """Images drawn as bench/generate.py draws them, BATCH at once."""
    count = 2 if scope.quick else BATCH
    subject = Subject("ours", scope.device, scope.image_size)
    source, keypoints, poses = subject.poses(count)

    def drawing(method: Method) -> Operation:
        transfer = method.adapt(subject.support, None)

        def operate(number: int) -> None:
            with torch.no_grad(), autocast(scope.device, "fp32"):
                transfer(source, keypoints, poses)

        return operate

    with scope.report.task("generation"):
        running = {title: drawing(method) for title, method in _methods(scope).items()}
        timed = scope.time(running)
    base = next(iter(running))
    lines = tuple(line(timed, title, base, images=count) for title in running)
    return [Group("generation", f"Drawing one image, {count} at once; ratios to {base}", lines)]
