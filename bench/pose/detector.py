"""What a pose detector is, and which there are. None stands in for another: the one that is named is used, or none."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import unknown

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

THRESHOLD = 0.2
"""Score from which a joint counts as seen. Scores run low on drawn characters: MoveNet's mean is about .5."""

DETECTORS: dict[str, str] = {
    "movenet": "bench.pose.movenet:load",
    "rtmlib": "bench.pose.rtm:load",
}
"""`module:function` by name; the function takes nothing and gives a Detector."""


@dataclass(frozen=True)
class Detection:
    """One person a picture, found or not."""

    places: F32  # [N, 17, 2]: x, y in pixels, wherever the detector puts them
    scores: F32  # [N, 17] in [0, 1]

    def keypoints(self, width: int, height: int, threshold: float = THRESHOLD) -> F32:
        """COCO joints [N, 17, 3]: x, y, visibility 2; all 0 below the threshold and outside of the picture."""
        x, y = self.places[..., 0], self.places[..., 1]
        seen = (self.scores >= threshold) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
        joints = np.concatenate([self.places, np.full((*self.scores.shape, 1), 2, np.float32)], -1)
        return np.where(seen[..., None], joints, 0).astype(np.float32)


class Detector(Protocol):
    """Finds the 17 COCO joints of the one character of a picture."""

    @property
    def name(self) -> str:
        """What metadata and tables say was used: network, version, hash of its weights where there is one."""
        ...

    def detect(self, images: U8) -> Detection:
        """Joints of pictures on white, uint8 [N, H, W, 3]."""
        ...


def detector(name: str) -> Detector:
    """The detector of that name, ready; raises UsageError for another name and WeightsMissing where it is not here."""
    if name not in DETECTORS:
        raise unknown("pose detector", name, DETECTORS)
    module, _, function = DETECTORS[name].partition(":")
    found: Detector = getattr(importlib.import_module(module), function)()
    return found
