"""Pictures that a user brings: a folder of images with COCO keypoints, framed like the suite's characters (Fig. 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.data.layout import LARGEST_SIDE, UNREADABLE
from bench.data.pixels import on_white
from bench.data.shift import shift, shift_offsets
from bench.errors import DataError
from bench.files import read_json
from bench.pose.crop import NEAR_WHITE, Square, cut_out
from methods.interface import Support

F32 = NDArray[np.float32]
ANNOTATIONS = "annotations.json"
SHARE_OF_BORDER = 0.05  # of the border's pixels may be darker before the background counts as not removed


@dataclass(frozen=True)
class Framing:
    """How large a body stands in a frame, and where: the extent of its joints and their middle, in pixels."""

    height: float
    x: float
    y: float

    @classmethod
    def of(cls, keypoints: F32) -> Framing:
        """The median framing of frames [N, 17, 3]."""
        boxes = np.array([_box(points) for points in keypoints])
        low, high = boxes[:, 0], boxes[:, 1]
        middle = np.median((low + high) / 2, axis=0)
        return cls(float(np.median((high - low)[:, 1])), float(middle[0]), float(middle[1]))


@dataclass(frozen=True)
class Person:
    """One picture of somebody, framed: uint8 [size, size, 3] on white, joints [17, 3] in its pixels."""

    name: str
    image: NDArray[np.uint8]
    keypoints: F32
    white_background: bool

    def support(self, shots: int, device: torch.device) -> Support:
        """The picture as the source of a support set, made from it by horizontal shifts."""
        image = torch.tensor(self.image, device=device).permute(2, 0, 1).float().div(127.5).sub(1)
        keypoints = torch.tensor(self.keypoints, device=device)
        moved = [shift(image, keypoints, pixels) for pixels in shift_offsets(image.shape[-1], shots)]
        samples, joints = (torch.stack(parts) for parts in zip(*moved, strict=True))
        return Support(image[None], keypoints[None], samples, joints)


def read_people(folder: Path, size: int, framing: Framing) -> list[Person]:
    """Everybody in `folder`, in the order of their file names.

    The folder holds images (background removed, as the paper did: transparent or white) and `annotations.json` in
    COCO's keypoint format. Of several people annotated in one image the largest is taken. Each is scaled and moved
    until the joints stand as `framing` says, since methods know characters of one size only. Raises DataError
    with all faults found.
    """
    try:
        described = read_json(folder / ANNOTATIONS)
        poses = _largest_pose(described["annotations"])
        images = sorted(described["images"], key=lambda entry: str(entry["file_name"]))
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder}: give a folder of images with COCO keypoints in {ANNOTATIONS} ({type(error).__name__}: {error})"
        ) from error
    people: list[Person] = []
    faults: list[str] = []
    for entry in images:
        name = str(entry["file_name"])
        if entry["id"] not in poses:
            faults.append(f"{name}: no annotation with keypoints")
            continue
        try:
            people.append(_person(folder, name, poses[entry["id"]], size, framing))
        except (*UNREADABLE, DataError) as error:
            faults.append(f"{name}: {error}")
    if faults or not people:
        raise DataError(f"{folder}: " + ("; ".join(faults) or f"no image in {ANNOTATIONS}"))
    return people


def _largest_pose(annotations: list[Mapping[str, Any]]) -> dict[Any, F32]:
    """The joints [17, 3] by image, those of the largest extent where there are several."""
    poses: dict[Any, F32] = {}
    for annotation in annotations:
        points = np.asarray(annotation["keypoints"], np.float32)
        if points.size != 51:
            raise ValueError(f"annotation {annotation.get('id')} has {points.size} numbers, not 51 (17 joints)")
        points = points.reshape(17, 3)
        before = poses.get(annotation["image_id"])
        if (points[:, 2] > 0).sum() >= 2 and (before is None or _area(points) > _area(before)):
            poses[annotation["image_id"]] = points
    return poses


def _box(points: F32) -> tuple[F32, F32]:
    """The corners of the box around the joints that are there."""
    present = points[points[:, 2] > 0, :2]
    if not len(present):
        raise DataError("a pose without any joint")
    return present.min(0), present.max(0)


def _area(points: F32) -> float:
    low, high = _box(points)
    return float(np.prod(high - low))


def _person(folder: Path, name: str, points: F32, size: int, framing: Framing) -> Person:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError("its file name leads out of the folder")
    with Image.open(path) as opened:
        if max(opened.size) > LARGEST_SIDE:
            raise DataError(f"{opened.width}×{opened.height} px is larger than {LARGEST_SIDE}")
        pixels = on_white(np.asarray(opened.convert("RGBA")))
    return frame_person(name, pixels, points, size, framing)


def frame_person(name: str, pixels: NDArray[np.uint8], points: F32, size: int, framing: Framing) -> Person:
    """A picture uint8 [H, W, 3] on white, scaled and moved until its joints [17, 3] stand as `framing` says.

    Raises DataError for joints that cannot be those of the picture.
    """
    low, high = _box(points)
    beyond = max(pixels.shape[:2])
    if (low < -beyond).any() or (high > np.array(pixels.shape[1::-1]) + beyond).any():
        raise DataError("its joints lie far outside of it")
    extent = float(high[1] - low[1])
    if extent < 2:
        raise DataError("its joints have no height")
    scale = framing.height / extent  # frame pixels in an image pixel
    left, top = ((low + high) / 2 - np.array([framing.x, framing.y]) / scale).tolist()
    side = size / scale
    framed = cut_out(pixels, Square(left, top, side), size)
    moved = points.copy()
    moved[:, :2] = (points[:, :2] - np.array([left, top], np.float32)) * scale
    moved[points[:, 2] <= 0] = 0
    return Person(name, framed, moved, bool(np.mean(list(_border_is_dark(pixels))) <= SHARE_OF_BORDER))


def _border_is_dark(pixels: NDArray[np.uint8]) -> Iterator[bool]:
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        yield from (edge.min(axis=1) < NEAR_WHITE).tolist()
