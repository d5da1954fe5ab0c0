"""Rows that train nothing: what a score is worth (DESIGN, "Metrics")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.pack import Pack
from bench.data.support import CharacterPairs
from bench.generate import all_test_pairs, store_images
from bench.progress import Task


def copy_source(pack: Pack, pairs: CharacterPairs) -> NDArray[np.uint8]:
    """The source image for every target: right identity, wrong pose."""
    return np.repeat(pack.rgb[[pairs.source]], len(pairs.targets), axis=0)


def white(pack: Pack, pairs: CharacterPairs) -> NDArray[np.uint8]:
    """Nothing at all; scores 0.68–0.86 SSIM on this kind of data."""
    return np.full((len(pairs.targets), pack.image_size, pack.image_size, 3), 255, np.uint8)


def truth(pack: Pack, pairs: CharacterPairs) -> NDArray[np.uint8]:
    """The targets themselves: the best FID this reference set allows."""
    return np.asarray(pack.rgb[pairs.targets])


def pose_distance(keypoints: NDArray[np.float32], candidates: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean joint distance in pixels of one pose [17, 3] to M others [M, 17, 3].

    A joint drawn in one pose and absent from the other counts as an eighth of the usual image width, about a
    limb: from behind and from the front the body joints alone look alike.
    """
    here, there = keypoints[:, 2] > 0, candidates[:, :, 2] > 0
    distance = np.linalg.norm(candidates[:, :, :2].astype(np.float64) - keypoints[None, :, :2], axis=2)
    extent = float(np.ptp(keypoints[here, 1])) if here.any() else 1.0
    penalty = extent / 8
    both, either = there & here, there | here
    total = np.where(both, distance, 0).sum(1) + penalty * (either & ~both).sum(1)
    return np.asarray(total / np.maximum(either.sum(1), 1))


def nearest_pose(pack: Pack, pairs: CharacterPairs) -> NDArray[np.uint8]:
    """The training frame of the nearest pose: right pose, wrong identity."""
    candidates = np.concatenate([pack.frames_of(character) for character in pack.characters("train")])
    library = np.asarray(pack.keypoints[candidates])
    best = [candidates[np.argmin(pose_distance(np.asarray(pack.keypoints[t]), library))] for t in pairs.targets]
    return np.asarray(pack.rgb[best])


FLOOR_IMAGES = {"copy-source": copy_source, "white": white, "nearest-pose": nearest_pose, "truth": truth}


def generate_floor(name: str, pack: Pack, folder: Path, task: Task) -> dict[str, Any]:
    """Write the images of a floor row like those of a method."""
    images, frames = [], []
    everyone = list(all_test_pairs(pack))
    for number, pairs in enumerate(everyone):
        images.append(FLOOR_IMAGES[name](pack, pairs))
        frames += [int(frame) for frame in pairs.targets]
        task.update(number + 1, len(everyone))
    return store_images(folder, images, frames)
