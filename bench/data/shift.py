"""Horizontal shifts of an image and its keypoints: how one picture becomes K support samples (paper §5.5)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.errors import UsageError


def shift_offsets(size: int, shots: int) -> tuple[int, ...]:
    """K horizontal shifts in whole pixels, the unshifted image first, then the nearest ones.

    They contain 0, are evenly spaced and reach at least size/16 to both sides (an even K goes one step
    further to the right; K = 2 has one shift, to the right).
    """
    if shots < 1:
        raise UsageError(f"shots is {shots}; at least 1 is needed")
    reach, left = size / 16, (shots - 1) // 2
    spacing = max(1, math.ceil(reach / max(left, 1)))
    steps = sorted(range(-left, shots - left), key=lambda n: (abs(n), n < 0))
    return tuple(n * spacing for n in steps)


def shift(image: Tensor, keypoints: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """`[…, H, W]` moved right by `pixels` (left if negative), white let in, and its keypoints moved too."""
    width = image.shape[-1]
    moved = torch.ones_like(image)
    if abs(pixels) < width:
        to, since = (
            slice(max(pixels, 0), width + min(pixels, 0)),
            slice(max(-pixels, 0), width - max(pixels, 0)),
        )
        moved[..., to] = image[..., since]
    offset = torch.zeros_like(keypoints)
    offset[..., 0] = pixels
    return moved, keypoints + offset
