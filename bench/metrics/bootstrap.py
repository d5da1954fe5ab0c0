"""Uncertainty of a mean over images: the bootstrap over characters.

Images of one character are alike, so the characters are the independent units: they are drawn with
replacement, each with all of its images (the cluster bootstrap; Davison & Hinkley 1997, §3.8). With few
characters the interval is too narrow rather than too wide.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """A mean over images and its 95 % percentile interval; the bounds are NaN for a single character."""

    mean: float
    low: float
    high: float
    characters: int

    @property
    def excludes_zero(self) -> bool:
        """For a paired difference: whether it is one, rather than a tie."""
        return self.low > 0 or self.high < 0


def interval(
    values: NDArray[np.floating], characters: Sequence[Hashable], samples: int = 2000, seed: int = 0
) -> Interval:
    """The mean of per-image values [N] with its interval; `characters[i]` is whose image i is.

    The draw depends on `seed` and the number of characters alone. Characters are numbered in sorted order, so
    the order of the images does not matter. Raises ValueError for no values, unequal lengths or values that
    are not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or len(values) != len(characters):
        raise ValueError(f"{len(characters)} characters for values {list(values.shape)}")
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    names = sorted(set(characters), key=str)
    number = {name: index for index, name in enumerate(names)}
    owner = np.array([number[name] for name in characters])
    sums, sizes = np.bincount(owner, values), np.bincount(owner)
    mean = float(sums.sum() / sizes.sum())
    if len(names) == 1:
        return Interval(mean, float("nan"), float("nan"), 1)
    drawn = np.random.default_rng(seed).integers(len(names), size=(samples, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(mean, float(low), float(high), len(names))


def paired_difference(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    characters: Sequence[Hashable],
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of `first - second`, two methods' values of the same images in the same order."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{list(first.shape)} values cannot be paired with {list(second.shape)}")
    return interval(first - second, characters, samples, seed)
