"""Feature extraction and the Fréchet distance, beside pytorch-fid's own."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import weights
from bench.errors import WeightsMissing
from bench.metrics.features import Extractor, Images
from bench.metrics.frechet import frechet_distance
from bench.speed.clock import Operation
from bench.speed.record import Group, Line, Scope, line

REFERENCE = "pytorch-fid"
OURS = "this suite"


def features(scope: Scope) -> list[Group]:
    """Images a second through the Inception network of FID, uint8 in, features out."""
    count = 1 if scope.quick else 16
    heading = f"Inception features, {count} images of 64 px; ratios to {REFERENCE}; apart: largest difference"
    try:
        extractor, reference = Extractor("inception", scope.device), reference_network(scope.device)
    except WeightsMissing as error:
        return [Group("features", heading, (Line(OURS, notes=(f"Not available: {error}",)),))]
    images = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), np.uint8)
    found: dict[str, NDArray[np.float32]] = {}

    @torch.inference_mode()
    def plain(number: int) -> None:
        found[REFERENCE] = _by_reference(reference, images, scope.device)

    def own(number: int) -> None:
        found[OURS] = extractor(images)

    running: dict[str, Operation] = {REFERENCE: plain, OURS: own}
    with scope.report.task("features"):
        timed = scope.time(running)
    apart = float(np.abs(found[OURS] - found[REFERENCE]).max())
    own_line = line(timed, OURS, REFERENCE, images=count, apart=apart)
    return [Group("features", heading, (line(timed, REFERENCE, REFERENCE, images=count), own_line))]


def reference_network(device: torch.device) -> torch.nn.Module:
    """pytorch-fid's network as it builds it, with weights from the table instead of its own download."""
    from pytorch_fid import inception

    state = {
        **weights.load("inception").state_dict,
        # the last layer, which FID does not use and not every source has
        "fc.weight": torch.zeros(1008, 2048),
        "fc.bias": torch.zeros(1008),
    }
    with mock.patch.object(inception, "load_state_dict_from_url", lambda *_, **__: state):
        network: torch.nn.Module = inception.InceptionV3((3,)).eval().to(device)
    return network


def _by_reference(network: torch.nn.Module, images: Images, device: torch.device) -> NDArray[np.float32]:
    """As pytorch_fid.fid_score does: all at once up to its batch of 50."""
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).to(device)
    (maps,) = network(batch)
    assert isinstance(maps, Tensor)
    found: NDArray[np.float32] = maps.flatten(1).cpu().numpy()
    return found


def frechet(scope: Scope) -> Iterator[Group]:
    """Both from features to distance: as many images as `quick` scores, and more images than dimensions."""
    d = 128 if scope.quick else 2048
    yield _frechet(144, d, scope)
    yield _frechet(2 * d, d, scope)


def _frechet(count: int, d: int, scope: Scope) -> Group:
    from pytorch_fid.fid_score import calculate_frechet_distance

    random, distances = np.random.default_rng(0), dict[str, float]()
    first, second = (random.standard_normal((count, d)) + shift for shift in (0.0, 0.1))

    def own(number: int) -> None:
        distances[OURS] = frechet_distance(first, second)

    def reference(number: int) -> None:
        # it takes minutes, so a corner of the features warms up
        seen = (features[:, :8] if number == 0 else features for features in (first, second))
        moments = ((features.mean(0), np.cov(features, rowvar=False)) for features in seen)
        (mean1, covariance1), (mean2, covariance2) = moments
        distances[REFERENCE] = float(calculate_frechet_distance(mean1, covariance1, mean2, covariance2))

    running: dict[str, Operation] = {OURS: own, REFERENCE: reference}
    with scope.report.task(f"Fréchet distance, N = {count}"):
        timed = scope.time(running)
    apart = abs(distances[REFERENCE] - distances[OURS]) / distances[OURS] if REFERENCE in distances else None
    heading = f"Fréchet distance, d = {d}, N = {count}; ratios to {OURS}; apart: relative difference"
    lines = (line(timed, OURS, OURS), line(timed, REFERENCE, OURS, apart=apart))
    return Group(f"Fréchet distance, N = {count}", heading, lines)
