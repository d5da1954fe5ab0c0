"""What the files of a data set may say: types, counts that agree, and names that lead nowhere else.

Each function says what is wrong, or nothing; it may raise KeyError or TypeError where even the outline is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.data.layout import FrameInfo

SPLITS = ("train", "validation", "test")
VIEWS = ("front", "back", "left", "right")
CLIPS = ("A", "B")


def is_plain_name(name: object) -> bool:
    """Whether a name stays in the folder it is used in, on every system."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _counts(values: Iterable[object]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values)


def manifest_fault(manifest: Any, split: Any) -> str:
    """Of manifest.json and split.json."""
    entries = manifest["characters"]
    if not isinstance(entries, Mapping) or not all(isinstance(entry, Mapping) for entry in entries.values()):
        return "characters are not listed by name"
    if not all(isinstance(split[part], list) for part in SPLITS):
        return "a split that is no list"
    if not all(is_plain_name(name) for name in (*entries, *(name for part in SPLITS for name in split[part]))):
        return "a character's name that leads to another folder"
    if not _texts([manifest["digest"], manifest["pixel_digest"]]) or not _counts([manifest["image_size"]]):
        return "a digest that is no text, or an image size that is no number"
    for name, entry in entries.items():
        if not _texts(entry[key] for key in ("file", "sha256", "pixels")):
            return f"a file or a hash of {name} that is no text"
        if not _counts(entry[key] for key in ("bytes", "frames")):
            return f"a count of {name} that is no whole number"
    return ""


def character_fault(description: Any, frames: Sequence[tuple[Any, FrameInfo]]) -> str:
    """Of a character's frames.json."""
    if not is_plain_name(description["name"]) or not isinstance(description["tags"], Mapping):
        return "a name that leads to another folder, or tags that are no object"
    if description["seed"] is not None and not _counts([description["seed"]]):
        return "a seed that is no whole number"
    if not frames:
        return "no frames"
    for file, frame in frames:
        if not is_plain_name(file):
            return "a frame that lies in another folder"
        if frame.view not in (None, *VIEWS) or frame.clip not in (None, *CLIPS):
            return f"{file} is of an unknown view or clip"
        if frame.keypoints.shape != (17, 3):
            return f"{file} has {len(frame.keypoints)} joints where COCO has 17"
    return ""


def pack_fault(description: Any, pixels: NDArray[Any], keypoints: NDArray[Any], index: NDArray[Any]) -> str:
    """Of pack.json and the arrays it describes."""
    names, splits, tags, size = (description[key] for key in ("names", "splits", "tags", "image_size"))
    if not all(isinstance(part, list) for part in (names, splits, tags)) or not _counts([size]):
        return "names, splits and tags are not lists, or the image size is no number"
    if not all(is_plain_name(name) for name in names) or not all(isinstance(tag, Mapping) for tag in tags):
        return "a character's name that leads to another folder, or tags that are no objects"
    if not len(names) == len(splits) == len(tags) == len(set(names)) or not all(part in SPLITS for part in splits):
        return "names, splits and tags do not belong together"
    if not _texts([description["digest"], description["pixel_digest"]]):
        return "a digest that is no text"
    if not len(pixels) == len(keypoints) == len(index):
        return "arrays of different length"
    for what, array, kind, shape in (
        ("pixels", pixels, np.uint8, (size, size, 4)),
        ("keypoints", keypoints, np.float32, (17, 3)),
        ("index", index, np.int32, (3,)),
    ):
        if array.dtype != kind or array.shape[1:] != shape:
            return f"{what}.npy is {array.dtype} {list(array.shape[1:])} a frame, not {kind.__name__} {list(shape)}"
    owners = index[:, 0]
    if len(index) and (owners[0] < 0 or owners[-1] >= len(names) or bool((np.diff(owners) < 0).any())):
        return "index.npy names characters that there are not, or not in their order"
    return ""
