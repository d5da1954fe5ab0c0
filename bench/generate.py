"""The tune and generate stages: adapt a trained method to each character and draw every target pose."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.build import autocast
from bench.data.pack import Pack
from bench.data.support import CharacterPairs, shifted_support, test_pairs, views_support
from bench.errors import NonFiniteLoss, UsageError
from bench.files import write_array, write_json
from bench.metrics.pixel import l1
from bench.metrics.ssim import ssim
from bench.progress import Task
from bench.seeds import derive
from methods.interface import FineTune, Method, Support, Transfer

BATCH = 16  # targets drawn at once; the pictures do not depend on it


def to_uint8(images: torch.Tensor) -> NDArray[np.uint8]:
    """[B, 3, H, W] in [-1, 1] (clipped) -> [B, H, W, 3] uint8. Raises NonFiniteLoss for a pixel that is no number."""
    if not bool(torch.isfinite(images).all()):
        raise NonFiniteLoss("the method drew pixels that are NaN or infinite: its weights or its adapting diverged")
    scaled = ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


def support_set(pack: Pack, pairs: CharacterPairs, shots: int, protocol: str, device: torch.device) -> Support:
    """The K support samples of one character by protocol "shift" or "views" (METHODS §8, 24)."""
    if protocol == "views":
        return views_support(pack, int(pack.character[pairs.source]), shots, device)
    return shifted_support(pack, pairs.source, shots, device)


def draw(
    transfer: Transfer, pack: Pack, source: int, targets: Sequence[int] | NDArray[np.int64], device: torch.device
) -> NDArray[np.uint8]:
    """The character of frame `source` in the poses of frames `targets`: uint8 [N, H, W, 3]."""
    image = pack.images([source], device)
    keypoints = pack.keypoints_of([source], device)
    drawn = []
    with torch.no_grad():
        for start in range(0, len(targets), BATCH):
            poses = pack.keypoints_of(np.asarray(targets[start : start + BATCH]), device)
            count = len(poses)
            images = transfer(image.expand(count, -1, -1, -1), keypoints.expand(count, -1, -1), poses)
            wanted = (count, *image.shape[1:])
            if not torch.is_floating_point(images) or images.shape != wanted:
                raise UsageError(f"the method drew {images.dtype} {list(images.shape)}, not floats {list(wanted)}")
            drawn.append(to_uint8(images))
    return np.concatenate(drawn)


@dataclass(frozen=True)
class TuningPoint:
    """Mean foreground scores on the validation characters after `passes` passes at `lr`."""

    lr: float
    passes: int
    l1_foreground: float
    ssim_foreground: float


@dataclass
class _Judge:
    """Scores a character's generator at the passes that count; called by `Method.adapt` after each pass."""

    pack: Pack
    source: int
    targets: list[int]
    passes: tuple[int, ...]
    device: torch.device
    points: dict[tuple[float, int], list[tuple[float, float]]]
    lr: float = 0.0

    def __call__(self, index: int, transfer: Transfer) -> None:
        if index not in self.passes:
            return
        truth, alpha = self.pack.rgb[self.targets], self.pack.alpha[self.targets]
        images = draw(transfer, self.pack, self.source, self.targets, self.device)
        inside = float(l1(images, truth, alpha).foreground.mean())
        similar = float(ssim(images, truth, alpha).foreground.mean())
        self.points.setdefault((self.lr, index), []).append((inside, similar))


def tune(
    method: Method,
    pack: Pack,
    shots: int,
    protocol: str,
    lrs: Sequence[float],
    passes: Sequence[int],
    targets_per_character: int,
    device: torch.device,
    precision: str,
    task: Task,
) -> dict[str, Any]:
    """Try every fine-tuning schedule on the validation characters (METHODS §8, 25).

    Returns the curve and the schedule of lowest foreground L1. Full-frame SSIM would choose blurred shapes on
    white. Test characters are never looked at. Raises NonFiniteLoss where each schedule diverges for somebody.
    """
    points: dict[tuple[float, int], list[tuple[float, float]]] = {}
    characters = pack.characters("validation")
    started, done, total = time.perf_counter(), 0, len(characters) * len(lrs)
    for character in characters:
        pairs = test_pairs(pack, "validation", int(character))
        targets = [int(pairs.targets[i]) for i in _spread(len(pairs.targets), targets_per_character)]
        judge = _Judge(pack, pairs.source, targets, (0, *passes), device, points)
        support = support_set(pack, pairs, shots, protocol, device)
        for lr in lrs:
            torch.manual_seed(derive("tune", lr))
            judge.lr = lr
            with autocast(device, precision):
                method.adapt(support, FineTune(lr, max(passes)), judge)
            done += 1
            task.update(done, total, f"lr {lr:g}")
    curve = [
        TuningPoint(lr, count, *(float(x) for x in np.mean(values, axis=0)))
        for (lr, count), values in sorted(points.items())
        if len(values) == len(characters)  # a schedule that diverged for some character is out
    ]
    tried = [point for point in curve if point.passes > 0]
    if not tried:
        raise NonFiniteLoss(
            f"fine-tuning diverges at every learning rate tried ({', '.join(f'{lr:g}' for lr in lrs)}); "
            "give a smaller one with --adapt lr=…,passes=…"
        )
    best = min(tried, key=lambda point: point.l1_foreground)
    return {
        "lr": best.lr,
        "passes": best.passes,
        "chosen_on": f"{len(characters)} validation characters, lowest foreground L1",
        "curve": [vars(point) for point in curve],
        "seconds": time.perf_counter() - started,
    }


def _spread(count: int, wanted: int) -> list[int]:
    """`wanted` evenly spaced indices below `count`."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(wanted, count)).round()})


def all_test_pairs(pack: Pack, split: str = "test") -> Iterator[CharacterPairs]:
    """The source and targets of every character of a split, in order."""
    for character in pack.characters(split):
        yield test_pairs(pack, split, int(character))


def generate(
    method: Method,
    pack: Pack,
    folder: Path,
    shots: int,
    protocol: str,
    schedule: FineTune | None,
    device: torch.device,
    precision: str,
    task: Task,
) -> dict[str, Any]:
    """Adapt to and draw every test character; writes `images.npy` [N, H, W, 3] and `frames.json`.

    Returns seconds for adapting (a character) and generating (an image).
    """
    images, frames, adapting, drawing = [], [], 0.0, 0.0
    everyone = list(all_test_pairs(pack))
    for number, pairs in enumerate(everyone):
        torch.manual_seed(derive("adapt", pack.names[pack.character[pairs.source]]))
        support = support_set(pack, pairs, shots, protocol, device)
        started = time.perf_counter()
        with autocast(device, precision):
            transfer = method.adapt(support, schedule)
        _synchronise(device)
        adapted = time.perf_counter()
        with autocast(device, precision):
            images.append(draw(transfer, pack, pairs.source, pairs.targets, device))
        finished = time.perf_counter()
        adapting, drawing = adapting + adapted - started, drawing + finished - adapted
        frames += [int(frame) for frame in pairs.targets]
        task.update(number + 1, len(everyone))
    return _store(folder, images, frames, adapting, drawing, len(everyone))


def store_images(folder: Path, images: list[NDArray[np.uint8]], frames: list[int]) -> dict[str, Any]:
    """Write images that were not generated by a method (the floor rows)."""
    return _store(folder, images, frames, 0.0, 0.0, 1)


def _store(
    folder: Path,
    images: list[NDArray[np.uint8]],
    frames: list[int],
    adapting: float,
    drawing: float,
    characters: int,
) -> dict[str, Any]:
    write_array(folder / "images.npy", np.concatenate(images))
    write_json(folder / "frames.json", [int(frame) for frame in frames])
    return {
        "images": len(frames),
        "adapt_seconds": adapting,
        "adapt_seconds_per_character": adapting / characters,
        "generate_seconds": drawing,
    }


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
