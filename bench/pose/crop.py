"""Square pieces of pictures on white, wherever they lie: what a network of fixed input sees of a character."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

U8 = NDArray[np.uint8]

NEAR_WHITE = 240  # of 255: a pixel is foreground when its darkest channel is below


@dataclass(frozen=True)
class Square:
    """A square of a picture, in its pixels; it may reach beyond the edge."""

    left: float
    top: float
    side: float


def around_foreground(image: U8, margin: float) -> Square:
    """The square around what is not white in [H, W, 3], `margin` times its longer side; the whole if all is white."""
    dark = image.min(axis=2) < NEAR_WHITE
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    if not len(rows):
        rows, columns = np.arange(image.shape[0]), np.arange(image.shape[1])
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    side = float(max(height, width)) * margin
    middle_y, middle_x = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    return Square(float(middle_x - side / 2), float(middle_y - side / 2), side)


def cut_out(image: U8, square: Square, size: int) -> U8:
    """A square of [H, W, 3] as [size, size, 3], white beyond the picture; by area, or bilinear when it grows."""
    height, width = image.shape[:2]
    left, top, side = square.left, square.top, square.side
    before_x, before_y = max(0, int(np.ceil(-left))), max(0, int(np.ceil(-top)))
    after_x = max(0, int(np.ceil(left + side)) - width)
    after_y = max(0, int(np.ceil(top + side)) - height)
    padded = np.pad(image, ((before_y, after_y), (before_x, after_x), (0, 0)), mode="constant", constant_values=255)
    x, y = left + before_x, top + before_y
    resample = Image.Resampling.BOX if side >= size else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(padded).resize((size, size), resample, box=(x, y, x + side, y + side)))
