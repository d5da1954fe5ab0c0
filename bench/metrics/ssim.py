"""Structural similarity (Wang et al. 2004), over the whole frame and on the character alone.

On this kind of data a blank picture already scores 0.68 to 0.86 over the whole frame, because white agrees
with white; the foreground score is the one that says something about the character.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.metrics.pixel import foreground_of

SIGMA = 1.5  # pixels
RADIUS = 5  # pixels; the window is 11 × 11
DATA_RANGE = 255
C1, C2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
_BATCH = 8


@dataclass(frozen=True)
class SSIM:
    """Structural similarity of each image, at most 1; float64 [N]."""

    full: NDArray[np.float64]
    foreground: NDArray[np.float64]


def ssim(
    generated: NDArray[np.uint8],
    target: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
    device: str | torch.device = "cpu",
) -> SSIM:
    """SSIM of uint8 RGB images [N, H, W, 3], H and W at least 11; the mean of the three channels.

    `full` is the mean over all windows that lie inside the image, which is what scikit-image returns for
    gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255. `foreground` is the mean
    over those that touch a pixel with target alpha [N, H, W] above 0 (alpha dilated by half the window).
    Raises ValueError for shapes that do not match, or for a target without a foreground.
    """
    foreground = foreground_of(generated, target, alpha)
    if min(target.shape[1:3]) <= 2 * RADIUS:
        raise ValueError(f"images of {target.shape[1]} × {target.shape[2]} are smaller than SSIM's window")
    full, inside = [], []
    for start in range(0, len(target), _BATCH):
        part = slice(start, start + _BATCH)
        pair = (_planes(images[part], device) for images in (generated, target))
        values = ssim_map(*pair).mean(1)
        # a window of radius 5 touches the foreground where the alpha dilated by 5 is set; the valid windows'
        # centres are the image less a border of 5, which is also what an unpadded maximum leaves
        mask = F.max_pool2d(torch.from_numpy(foreground[part]).to(device).float(), 2 * RADIUS + 1, stride=1)
        full.append(values.mean((1, 2)))
        inside.append((values * mask).sum((1, 2)) / mask.sum((1, 2)))
    return SSIM(torch.cat(full).cpu().numpy(), torch.cat(inside).cpu().numpy())


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of every window inside the image: float64 [B, C, H, W] in [0, 255] -> [B, C, H − 10, W − 10]."""
    mean_a, mean_b, square_a, square_b, product = _blur(torch.cat((a, b, a * a, b * b, a * b), 1)).chunk(5, 1)
    variance_a, variance_b = square_a - mean_a * mean_a, square_b - mean_b * mean_b
    covariance = product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1)
    return luminance * (2 * covariance + C2) / (variance_a + variance_b + C2)


def _planes(images: NDArray[np.uint8], device: str | torch.device) -> Tensor:
    # float64: a variance is a small difference of squares up to 65 025
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).double()


def _blur(planes: Tensor) -> Tensor:
    """Gaussian windows without padding, one axis after the other: [B, C, H, W] -> [B, C, H − 10, W − 10]."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=planes.dtype, device=planes.device)
    window = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    window = window / window.sum()
    height, width = planes.shape[2] - 2 * RADIUS, planes.shape[3] - 2 * RADIUS
    rows = planes.new_zeros((*planes.shape[:2], height, planes.shape[3]))
    for index, weight in enumerate(window.tolist()):
        rows.add_(planes[:, :, index : index + height], alpha=weight)
    blurred = planes.new_zeros((*planes.shape[:2], height, width))
    for index, weight in enumerate(window.tolist()):
        blurred.add_(rows[..., index : index + width], alpha=weight)
    return blurred
