"""One character, one motion, one trained method: the pictures of the character in every pose."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.people import Person
from bench.generate import to_uint8
from bench.progress import Task
from bench.transfer.fit import fit
from bench.transfer.model import Published
from bench.transfer.source import support_of
from methods.interface import Transfer
from methods.pose import stick_figure

BATCH = 16  # poses drawn at once


@dataclass(frozen=True)
class Transferred:
    """The animated character."""

    images: NDArray[np.uint8]  # [N, H, W, 3]
    poses: NDArray[np.float32]  # [N, 17, 3], as they were drawn
    adapt_seconds: float
    draw_seconds: float
    passes: int  # of fine-tuning that were made: fewer than asked for where it diverged

    def with_poses(self) -> NDArray[np.uint8]:
        """Each image with its stick figure on its left, [N, H, 2W, 3]."""
        return np.concatenate(
            [to_uint8(stick_figure(torch.tensor(self.poses), self.images.shape[1])), self.images], axis=2
        )


def transfer(
    published: Published,
    people: Sequence[Person],
    motion: NDArray[np.float32],
    shots: int,
    task: Task,
    keep_place: bool = False,
) -> Transferred:
    """Adapt the method to the character of `people` and draw it in every pose of `motion` [N, 17, 3].

    The motion is brought to the character's proportions and place, unless `keep_place` says that its pixels are
    those of the framed picture already. The published model is left as it is.
    """
    model, size = published.model, people[0].image.shape[0]
    support = support_of(people, shots, model.device)
    poses = motion.astype(np.float32) if keep_place else fit(motion, people[0].keypoints, size)
    planned, passes = model.schedule.passes if model.schedule else 0, 0

    def passed(number: int, _: Transfer) -> None:
        nonlocal passes
        passes = number
        task.update(number, planned + len(poses), "adapting")

    started = time.perf_counter()
    call = model.adapt(support, people[0].name, passed)
    adapted = time.perf_counter()
    drawn, keypoints = [], torch.tensor(poses, device=model.device)
    for start in range(0, len(poses), BATCH):
        part = keypoints[start : start + BATCH]
        count = len(part)
        source = support.source.expand(count, -1, -1, -1)
        drawn.append(to_uint8(call(source, support.source_keypoints.expand(count, -1, -1), part)))
        task.update(planned + min(start + BATCH, len(poses)), planned + len(poses), "drawing")
    return Transferred(np.concatenate(drawn), poses, adapted - started, time.perf_counter() - adapted, passes)
