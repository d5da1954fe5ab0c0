"""L1 on the character and, so that ghosts cost, around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class L1:
    """Mean |a − b| / 255 over pixels and channels, in [0, 1], for each image; float64 [N]."""

    full: NDArray[np.float64]
    foreground: NDArray[np.float64]  # where the target's alpha is above 0
    background: NDArray[np.float64]  # elsewhere; 0 where there is no elsewhere


def l1(generated: NDArray[np.uint8], target: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> L1:
    """L1 of uint8 RGB images [N, H, W, 3] by region of the target's alpha [N, H, W].

    Raises ValueError for shapes that do not match, or for a target without a foreground.
    """
    foreground = foreground_of(generated, target, alpha)
    totals = np.empty((len(target), 2))
    for index, (a, b, inside) in enumerate(zip(generated, target, foreground, strict=True)):
        difference = np.abs(a.astype(np.int16) - b).sum(-1)
        on_it = difference[inside].sum()
        totals[index] = on_it, difference.sum() - on_it
    totals /= 3 * 255
    pixels = foreground[0].size
    inside_count = foreground.sum((1, 2))
    outside_count = np.maximum(pixels - inside_count, 1)
    return L1(totals.sum(1) / pixels, totals[:, 0] / inside_count, totals[:, 1] / outside_count)


def foreground_of(
    generated: NDArray[np.uint8], target: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Where alpha is above 0, [N, H, W]; raises ValueError for inputs that no image metric can compare."""
    if generated.dtype != np.uint8 or target.dtype != np.uint8 or generated.shape != target.shape:
        kinds = [f"{images.dtype} {list(images.shape)}" for images in (generated, target)]
        raise ValueError(f"cannot compare {kinds[0]} with {kinds[1]}")
    if target.ndim != 4 or target.shape[-1] != 3 or len(target) == 0 or alpha.shape != target.shape[:3]:
        raise ValueError(f"images {list(target.shape)} with alpha {list(alpha.shape)}, not [N, H, W, 3] and [N, H, W]")
    foreground = alpha > 0
    empty = np.flatnonzero(~foreground.any((1, 2)))
    if len(empty):
        raise ValueError(f"no foreground in target {', '.join(map(str, empty[:8]))}")
    return foreground
