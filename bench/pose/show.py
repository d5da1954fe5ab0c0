"""Pictures above the stick figures of their exact and of their detected joints."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.data.pack import Pack
from bench.files import write_bytes
from bench.pose.detector import THRESHOLD, Detector
from methods.pose import stick_figure


def comparison_sheet(
    detector: Detector, pack: Pack, frames: NDArray[np.int64], path: Path, threshold: float = THRESHOLD
) -> None:
    """A PNG with a column a frame: the picture, the figure of its exact joints, that of the detected ones."""
    size, pictures = pack.image_size, np.asarray(pack.rgb[frames])
    detected = detector.detect(pictures).keypoints(size, size, threshold)
    rows = [pictures, *(_figures(joints, size) for joints in (np.asarray(pack.keypoints[frames]), detected))]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    encoded = io.BytesIO()
    Image.fromarray(sheet).save(encoded, "PNG", optimize=True)
    write_bytes(path, encoded.getvalue())


def _figures(joints: NDArray[np.float32], size: int) -> NDArray[np.uint8]:
    drawn = stick_figure(torch.from_numpy(joints), size).add(1).mul(127.5).round().to(torch.uint8)
    return drawn.permute(0, 2, 3, 1).numpy()
