"""Every method can learn one character by heart: the first thing to ask of a GAN that draws badly.

Slow (minutes a method). What a method cannot learn here is not a matter of data or of budget, but of a bug, or
of settings that do not suit its width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.build import method_class
from bench.data.recipe import Recipe, render_character
from bench.presets import preset
from methods.interface import Budget, PairBatch, Progress, Setup, Support

SIDE = 32
POSES = 6
LEARNING = {"patn": 300, "pg2": 600, "pix2pix": 600, "xinggan": 300, "dptn": 300, "ours": 200}
"""Training steps of 4 pairs in which each is expected to tell the poses apart."""


def one_character() -> tuple[torch.Tensor, torch.Tensor]:
    """Front, left and four frames of dances: images [6, 3, 32, 32] in [-1, 1] on white, keypoints [6, 17, 3]."""
    character = render_character(Recipe(SIDE, 1, 1, 1, frames=10), seed=0)
    chosen = [0, 2, 4, 5, 7, 9]
    rgb, alpha = np.split(character.images[chosen].astype(np.float32) / 255, [3], axis=-1)
    images = torch.from_numpy(2 * (rgb * alpha + 1 - alpha) - 1).permute(0, 3, 1, 2).contiguous()
    keypoints = np.stack([character.frames[frame].keypoints for frame in chosen])
    return images, torch.from_numpy(keypoints.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_a_method_learns_the_poses_of_one_character_by_heart(name: str) -> None:
    images, keypoints = one_character()
    options: dict[str, Any] = dict(preset("quick").options.get(name, {}))
    if name == "ours":
        options |= {"training": "joint", "perceptual": 0.0}
    torch.manual_seed(0)
    steps = LEARNING[name]
    method = method_class(name)(Setup(SIDE, Budget(4 * steps, 0), width=0.25, batch=4, options=options))
    rng = np.random.default_rng(0)
    for phase in method.phases():
        for step in range(phase.steps):
            source = rng.integers(POSES, size=4)
            target = (source + rng.integers(1, POSES, size=4)) % POSES
            pairs = PairBatch(images[source], keypoints[source], images[target], keypoints[target])
            method.train_step(pairs, Progress(phase, step))

    support = Support(images[:1], keypoints[:1], images[:1], keypoints[:1])
    source = [0] * (POSES - 1)
    drawn = method.adapt(support, None)(images[source], keypoints[source], keypoints[1:])
    distance = (drawn[:, None] - images[None, 1:]).abs().mean((2, 3, 4))
    right = distance.argmin(1) == torch.arange(POSES - 1)
    assert right.sum() >= POSES - 2, f"it draws other poses than it is asked for: {distance}"
