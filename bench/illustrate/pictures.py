"""Pictures for figures: what a cell drew, from the store, and what its trained model draws of something new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook

from bench.build import autocast, build, pick_device
from bench.cells import Stages, Workplace, stages
from bench.checkpoint import load_state
from bench.data.pack import Pack
from bench.data.support import CharacterPairs
from bench.errors import DataError, SkippedError
from bench.files import read_json
from bench.generate import all_test_pairs, to_uint8
from bench.image_scores import ImageScores, read_image_scores
from bench.run import row_title
from bench.seeds import derive
from bench.spec import Cell
from methods.interface import FineTune, Method, Support, Transfer
from methods.pose import stick_figure
from ours.generator import FusionResidualBlock

U8 = NDArray[np.uint8]


class NotInStore(SkippedError):
    """A cell that a figure shows has not been done."""


@dataclass(frozen=True)
class Drawn:
    """The images that a generate stage stored, by frame of the pack."""

    images: U8  # [N, H, W, 3], mapped
    rows: dict[int, int]  # frame -> row

    def __getitem__(self, frame: int) -> U8:
        return np.asarray(self.images[self.rows[frame]])


def drawn(cell: Cell, place: Workplace) -> Drawn:
    """What the cell drew; reads all of it once. Raises NotInStore, and DataError for what is damaged."""
    stage = stages(cell, place).generate
    if not stage.done:
        raise NotInStore(f"{row_title(cell)} has drawn nothing yet")
    stage.check()
    rows = {int(frame): row for row, frame in enumerate(read_json(stage.folder / "frames.json"))}
    return Drawn(np.load(stage.folder / "images.npy", mmap_mode="r"), rows)


def image_scores(cell: Cell, place: Workplace) -> ImageScores:
    """The scores of each image of a cell; raises NotInStore, and DataError for what is damaged."""
    stage = stages(cell, place).score
    if not stage.done:
        raise NotInStore(f"{row_title(cell)} has not been scored yet")
    stage.check()
    return read_image_scores(stage.folder)


@dataclass(frozen=True)
class Model:
    """A trained method with the fine-tuning schedule of its cell."""

    method: Method
    schedule: FineTune | None
    device: torch.device
    precision: str

    def adapt(self, support: Support, name: str, on_pass: Callable[[int, Transfer], None] | None = None) -> Transfer:
        """The generator for one character, as the generate stage makes it; `name` seeds the random numbers.

        `on_pass` is that of `Method.adapt`.
        """
        torch.manual_seed(derive("adapt", name))
        with autocast(self.device, self.precision):
            transfer = self.method.adapt(support, self.schedule, on_pass)

        def call(source: Tensor, source_keypoints: Tensor, target_keypoints: Tensor) -> Tensor:
            with torch.no_grad(), autocast(self.device, self.precision):
                return transfer(source, source_keypoints, target_keypoints)

        return call


def model(cell: Cell, place: Workplace) -> Model:
    """The trained model of a cell; raises NotInStore."""
    found: Stages = stages(cell, place)
    device = pick_device(cell.device)
    assert found.spec is not None and found.train is not None, "floors have no model"
    if not found.train.done:
        raise NotInStore(f"{row_title(cell)} has not been trained yet")
    schedule = found.schedule
    if found.tune is not None:
        if not found.tune.done:
            raise NotInStore(f"the fine-tuning schedule of {row_title(cell)} has not been chosen yet")
        chosen = found.tune.summary()
        schedule = FineTune(chosen["lr"], chosen["passes"])
    assert not isinstance(schedule, str)
    method = build(found.spec.when_adapting, device)
    method.load_state_dict(load_state(found.train.folder / "model.pt", device)["method"])
    return Model(method, schedule, device, found.spec.precision)


def draw_poses(transfer: Transfer, support: Support, poses: Tensor) -> U8:
    """The character of `support` in the poses [N, 17, 3]: uint8 [N, H, W, 3]."""
    count = len(poses)
    source = support.source.expand(count, -1, -1, -1)
    return to_uint8(transfer(source, support.source_keypoints.expand(count, -1, -1), poses))


@contextmanager
def aligned_maps() -> Iterator[list[Tensor]]:
    """Collects the aligned texture map f [B, C, h, w] of every fusion residual block that runs inside.

    A block gives pose + f and is given the pose, wherever the generator it belongs to may come from.
    """
    found: list[Tensor] = []

    def hook(module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, FusionResidualBlock):
            found.append((output - inputs[0]).detach().float().cpu())

    handle = register_module_forward_hook(hook)
    try:
        yield found
    finally:
        handle.remove()


def stick_figures(keypoints: Tensor, size: int) -> U8:
    """The poses [N, 17, 3] as uint8 images [N, size, size, 3]."""
    return to_uint8(stick_figure(keypoints, size))


def spread_pairs(pack: Pack, count: int) -> list[CharacterPairs]:
    """`count` test characters, evenly spread over all of them: nobody chose them."""
    everyone = list(all_test_pairs(pack))
    if not everyone:
        raise DataError("the data set has no test characters")
    return [everyone[i] for i in spread(len(everyone), count)]


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` evenly spaced indices below `count`, or all of them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(wanted, count))})


def spread_targets(pairs: CharacterPairs, count: int) -> list[int]:
    """`count` target frames of a character, evenly spread over its dance."""
    frames = pairs.fid_targets if len(pairs.fid_targets) else pairs.targets
    return [int(frames[i]) for i in spread(len(frames), count)]


def poses_of(pack: Pack, frames: Sequence[int]) -> U8:
    """The stick figures of frames: uint8 [N, H, W, 3]."""
    return stick_figures(pack.keypoints_of(list(frames)), pack.image_size)
