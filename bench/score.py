"""The score stage: stored images in, numbers out. Pure functions of images, truth and the extractor."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.pack import Pack
from bench.files import kept_array, read_json, write_bytes
from bench.generate import all_test_pairs
from bench.metrics.bootstrap import interval
from bench.metrics.features import Extractor
from bench.metrics.frechet import frechet_distance
from bench.metrics.kid import kernel_distance
from bench.metrics.lpips import LPIPS, SMALLEST_SIDE
from bench.metrics.pixel import l1
from bench.metrics.ssim import ssim
from bench.progress import Task

PER_IMAGE = ("ssim", "ssim_foreground", "l1_foreground", "l1_background")


def image_scores(
    images: NDArray[np.uint8], truth: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> dict[str, NDArray[np.float64]]:
    """Every per-image score: arrays [N] by name."""
    similarity, error = ssim(images, truth, alpha), l1(images, truth, alpha)
    return {
        "ssim": similarity.full,
        "ssim_foreground": similarity.foreground,
        "l1_foreground": error.foreground,
        "l1_background": error.background,
    }


def reference_features(pack: Pack, extractor: Extractor, store: Path) -> NDArray[np.float64]:
    """Features of the reference frames (the other clip of the test characters), computed once and kept."""
    frames = np.concatenate([pairs.fid_reference for pairs in all_test_pairs(pack)])
    images = pack.rgb[frames]
    key = hashlib.sha256(images.tobytes() + extractor.sha256.encode()).hexdigest()[:16]
    path = store / "features" / f"{extractor.name}-{key}.npy"
    return np.asarray(kept_array(path, lambda: np.asarray(extractor(images), dtype=np.float64)), dtype=np.float64)


def score(
    images_folder: Path,
    pack: Pack,
    folder: Path,
    extractor: Extractor,
    store: Path,
    task: Task,
    lpips: LPIPS | None = None,
) -> dict[str, Any]:
    """Score the images of a generate stage; writes per-image scores as CSV and returns the metrics.

    Without `lpips`, and for images smaller than it can take, there is no LPIPS among them.
    """
    started = time.perf_counter()
    images = np.load(images_folder / "images.npy", mmap_mode="r")
    frames = np.asarray(read_json(images_folder / "frames.json"))
    owners = np.asarray(pack.character)[frames]
    perceptual = lpips if pack.image_size >= SMALLEST_SIDE else None
    names = (*PER_IMAGE, "lpips") if perceptual else PER_IMAGE
    columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for number, owner in enumerate(np.unique(owners)):
        mine = frames[owners == owner]
        drawn, truth = np.asarray(images[owners == owner]), pack.rgb[mine]
        found = image_scores(drawn, truth, pack.alpha[mine])
        if perceptual:
            found["lpips"] = perceptual(drawn, truth)
        for name in names:
            columns[name].append(found[name])
        task.update(number + 1, len(np.unique(owners)) + 1, "SSIM, L1, LPIPS")
    order = np.concatenate([np.flatnonzero(owners == owner) for owner in np.unique(owners)])
    scores = {name: np.concatenate(values)[np.argsort(order)] for name, values in columns.items()}
    metrics: dict[str, Any] = {}
    for name in names:
        span = interval(scores[name], owners)
        # one character has no spread between characters: no interval, rather than a NaN in a record
        bounded = np.isfinite(span.low)
        metrics[name] = {
            "mean": span.mean,
            "low": span.low if bounded else None,
            "high": span.high if bounded else None,
        }

    fid_frames = np.concatenate([pairs.fid_targets for pairs in all_test_pairs(pack)])
    generated = np.asarray(images[np.isin(frames, fid_frames)])
    real = reference_features(pack, extractor, store)
    fake = np.asarray(extractor(generated), dtype=np.float64)
    metrics["fid"] = {"value": frechet_distance(fake, real)}
    kernel = kernel_distance(fake, real)
    metrics["kid"] = {"value": kernel.value, "error": kernel.error}
    task.update(1, 1, "FID, KID")

    header = ["character", "frame", *names]
    rows = [
        ",".join([pack.names[owners[i]], str(frames[i]), *(f"{scores[name][i]:.6f}" for name in names)])
        for i in range(len(frames))
    ]
    write_bytes(folder / "images.csv", ("\n".join([",".join(header), *rows]) + "\n").encode())
    return {
        "metrics": metrics,
        "features": {
            "name": extractor.name,
            "sha256": extractor.sha256,
            "dim": int(fake.shape[1]),
            "n": len(fake),
        },
        "per_character": {
            pack.names[owner]: {name: float(scores[name][owners == owner].mean()) for name in names}
            for owner in np.unique(owners)
        },
        "images": len(frames),
        "characters": len(np.unique(owners)),
        "seconds": time.perf_counter() - started,
    }
