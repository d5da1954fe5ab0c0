"""A metric compares what can be compared, and refuses the rest rather than print a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.metrics.bootstrap import interval, paired_difference
from bench.metrics.frechet import frechet_distance
from bench.metrics.kid import kernel_distance
from bench.metrics.pixel import l1
from bench.metrics.ssim import ssim

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
ALPHA = np.full((3, 16, 16), 255, np.uint8)
FEATURES = np.random.default_rng(1).standard_normal((5, 4))


@pytest.mark.parametrize("metric", [ssim, l1])
@pytest.mark.parametrize(
    ("generated", "target", "alpha"),
    [
        (IMAGES / 255.0, IMAGES, ALPHA),  # in [0, 1]
        (IMAGES.astype(np.float32) / 127.5 - 1, IMAGES.astype(np.float32) / 127.5 - 1, ALPHA),  # in [-1, 1]
        (IMAGES.astype(np.int64), IMAGES, ALPHA),
        (IMAGES[:2], IMAGES, ALPHA),  # another N
        (IMAGES[:1], IMAGES, ALPHA),  # one that would be compared with all
        (IMAGES, IMAGES, ALPHA[:1]),
        (IMAGES[:0], IMAGES[:0], ALPHA[:0]),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES.transpose(0, 3, 1, 2), ALPHA),  # channels first
        (IMAGES[..., :1], IMAGES[..., :1], ALPHA),
        (IMAGES[0], IMAGES[0], ALPHA[0]),
    ],
)
def test_pictures_of_another_range_kind_number_or_shape_are_refused(
    metric: Callable[..., Any], generated: Any, target: Any, alpha: Any
) -> None:
    metric(IMAGES, IMAGES, ALPHA)
    with pytest.raises(ValueError, match=r"cannot compare|images .* with alpha"):
        metric(generated, target, alpha)


@pytest.mark.parametrize(("distance", "least"), [(frechet_distance, 2), (kernel_distance, 3)])
def test_a_distance_of_too_few_samples_or_of_other_features_is_refused(
    distance: Callable[..., Any], least: int
) -> None:
    distance(FEATURES[:least], FEATURES)
    distance(FEATURES, FEATURES[:least])  # the numbers may differ: FID is one of two sets
    nothing, infinite = FEATURES[:0], FEATURES.copy()
    infinite[2, 1] = np.inf
    for wrong in (FEATURES[: least - 1], nothing, FEATURES[:, :3], FEATURES[0], infinite):
        for pair in ((wrong, FEATURES), (FEATURES, wrong)):
            with pytest.raises(ValueError, match=r"needs features|dimensions|not finite"):
                distance(*pair)


def test_an_interval_of_nothing_of_nan_or_of_other_owners_is_refused() -> None:
    owners = ["a", "a", "b"]
    interval(np.ones(3), owners)
    for values, whose in ((np.ones(2), owners), (np.ones(0), []), (np.array([1, np.nan, 1]), owners),
                          (np.array([1, np.inf, 1]), owners), (np.ones((3, 1)), owners)):  # fmt: skip
        with pytest.raises(ValueError, match=r"characters for values|not finite"):
            interval(values, whose)
    with pytest.raises(ValueError, match="paired"):
        paired_difference(np.ones(3), np.ones(2), owners)
