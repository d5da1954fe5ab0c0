"""One picture: decoded, composited on white with its foreground kept, padded to a square, resized, its joints moved."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.layout import LARGEST_SIDE, UNREADABLE
from bench.errors import DataError

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # none that starts another program, as EPS does
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
WHITE_FROM = 250  # of 255: without alpha, a pixel is foreground when its darkest channel is below
SHARE_OF_BORDER = 0.05  # of the border's pixels may be foreground before the background counts as not removed


@dataclass(frozen=True)
class Decoded:
    """A picture as it was brought."""

    rgba: U8  # [H, W, 4], straight alpha
    exact: bool  # the alpha is the picture's own; else it is what is not white
    clear_border: bool  # the character stands free

    @property
    def width(self) -> int:
        return int(self.rgba.shape[1])

    @property
    def height(self) -> int:
        return int(self.rgba.shape[0])


def decode_picture(path: Path) -> Decoded:
    """Raises DataError, one line that says what is wrong with the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's, about sizes and palettes; the limit here is ours
            with Image.open(path, formats=FORMATS) as opened:
                if max(opened.size) > LARGEST_SIDE:
                    raise DataError(f"{opened.width}×{opened.height} px is larger than {LARGEST_SIDE}; make it smaller")
                if opened.mode not in MODES:
                    raise DataError(f"mode {opened.mode}; save it as 8-bit RGB or RGBA")
                rgba = np.asarray(ImageOps.exif_transpose(opened).convert("RGBA"))
    except Image.DecompressionBombError as error:
        raise DataError(f"larger than {LARGEST_SIDE} px a side; make it smaller") from error
    except UnidentifiedImageError as error:
        raise DataError(f"not an image of a known format ({', '.join(FORMATS)}); save it again as PNG") from error
    except (*UNREADABLE, AttributeError, IndexError, OverflowError, MemoryError) as error:
        raise DataError(f"unreadable or truncated image ({type(error).__name__}: {error}); save it again") from error
    exact = bool(rgba[..., 3].min() < 255)
    if not exact:
        rgba = rgba.copy()
        rgba[..., 3] = np.where(rgba[..., :3].min(-1) < WHITE_FROM, 255, 0)
    alpha = rgba[..., 3]
    if not alpha.any():
        raise DataError("nothing on it: transparent or white everywhere; remove it")
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    return Decoded(rgba, exact, bool((border > 127).mean() <= SHARE_OF_BORDER))


def fitted(rgba: U8, size: int) -> U8:
    """[H, W, 4] in the middle of a transparent square, as [size, size, 4]: by area, or bilinear when it grows.

    Colours are averaged by their weight on white, so that compositing the result on white gives the average of the
    composited original.
    """
    left, top, side = padding(rgba.shape[1], rgba.shape[0])
    weight: F32 = np.divide(rgba[..., 3], 255, dtype=np.float32)
    alpha = np.rint(_resized(weight, left, top, side, size) * 255)
    channels = []
    for channel in range(3):
        darkness: F32 = np.multiply(
            255 - rgba[..., channel], weight, dtype=np.float32
        )  # 0 is white, and so is the padding
        shrunk = _resized(darkness, left, top, side, size)
        channels.append(255 - np.divide(shrunk * 255, alpha, out=np.zeros_like(shrunk), where=alpha > 0))
    return np.stack([*(np.rint(c).clip(0, 255) for c in channels), alpha], -1).astype(np.uint8)


def padding(width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square around a picture."""
    side = max(width, height)
    return (side - width) // 2, (side - height) // 2, side


def _resized(plane: F32, left: int, top: int, side: int, size: int) -> F32:
    square = np.zeros((side, side), np.float32)
    square[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
    if side < size:
        return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR))
    return _averaged(_averaged(square, size).T, size).T


def _averaged(plane: F32, size: int) -> F32:
    """The means of [side, n] over `size` equal stretches of its rows, [size, n].

    Rows count by the part of them that lies in a stretch. Pillow's BOX takes a row whole or not at all, which moves
    edges by up to half a row, and joints would not move with them.
    """
    side = len(plane)
    edges = np.linspace(0, side, size + 1)
    whole = np.minimum(np.floor(edges).astype(np.int64), side - 1)
    sums = np.zeros((side + 1, plane.shape[1]))
    np.cumsum(plane, axis=0, out=sums[1:])
    up_to = sums[whole] + (edges - whole)[:, None] * plane[whole]
    means: F32 = (np.diff(up_to, axis=0) * (size / side)).astype(np.float32)
    return means


def moved(joints: F32, width: int, height: int, size: int) -> F32:
    """Joints [17, 3] of a width × height picture, in the pixels of its `fitted` square; absent ones are 0."""
    left, top, side = padding(width, height)
    places = (joints[:, :2] + np.asarray([left, top], np.float32)) * np.float32(size / side)
    there = joints[:, 2:] > 0
    return np.where(there, np.concatenate([places, joints[:, 2:]], 1), 0).astype(np.float32)
