"""What becomes of pixels between a data set, a pack and a network: part of the key of each stage that looks at them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

U8 = NDArray[np.uint8]


def on_white(images: U8) -> U8:
    """Composite `[…, 4]` straight-alpha RGBA on white: `[…, 3]`, rounded to nearest."""
    color = images[..., :3].astype(np.uint16)
    alpha = images[..., 3:].astype(np.uint16)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def as_images(pixels: Tensor) -> Tensor:
    """uint8 RGBA `[B, H, W, 4]`, on white already -> `float32 [B, 3, H, W]` in [-1, 1]."""
    return pixels[..., :3].permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)


def as_foreground(pixels: Tensor) -> Tensor:
    """uint8 RGBA `[B, H, W, 4]` -> its alpha as `float32 [B, 1, H, W]` in [0, 1]."""
    return pixels[..., 3:].permute(0, 3, 1, 2).contiguous().float().div_(255)


def fitted(images: U8, size: int) -> U8:
    """RGB on white and alpha, `[n, size, size, 4]`, area-averaged when the size differs."""
    packed = np.concatenate([on_white(images), images[..., 3:]], axis=-1)
    if images.shape[1:3] == (size, size):
        return packed
    # each channel by itself: the colours are already on white and must not be weighted by alpha again
    resized = [
        [np.asarray(Image.fromarray(frame[..., c]).resize((size, size), Image.Resampling.BOX)) for c in range(4)]
        for frame in packed
    ]
    return np.stack([np.stack(channels, axis=-1) for channels in resized])
