"""Faults of a data set as a whole: its digest, its annotations, and the pack in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bench.data.layout import SCHEMA, SPLITS, Dataset
from bench.data.pack import open_pack
from bench.errors import DataError
from bench.files import digest_of, read_json


def set_faults(dataset: Dataset, again: str) -> Iterator[str]:
    """What no single character shows; `again` is the remedy."""
    yield from _digest_faults(dataset, again)
    yield from _annotation_faults(dataset, again)
    if (dataset.folder / "pixels.npy").exists() or (dataset.folder / "pack.json").exists():
        yield from _pack_faults(dataset, again)


def _digest_faults(dataset: Dataset, again: str) -> Iterator[str]:
    try:
        recipe = read_json(dataset.folder / "manifest.json").get("recipe")
    except (OSError, ValueError, AttributeError) as error:
        yield f"manifest.json: unreadable ({error}); {again}"
        return
    if not isinstance(recipe, dict):
        yield f"manifest.json: no recipe, which says what the data are; {again}"
        return
    if {name: entry.pixels for name, entry in dataset.entries.items()} and dataset.pixel_digest != digest_of(
        {name: entry.pixels for name, entry in dataset.entries.items()}
    ):
        yield f"manifest.json: pixel_digest is not that of its characters; {again}"
    if recipe.get("kind") != "imported":
        return  # rendered data are named by their recipe
    files = {name: entry.sha256 for name, entry in dataset.entries.items()}
    names = {part: list(dataset.split[part]) for part in SPLITS}
    if dataset.digest != digest_of({"schema": SCHEMA, "split": names, "files": files}):
        yield f"manifest.json: digest is not that of its characters and split.json; {again}"


def _annotation_faults(dataset: Dataset, again: str) -> Iterator[str]:
    """annotations.json names each frame once."""
    try:
        content: Mapping[str, Any] = read_json(dataset.folder / "annotations.json")
        images = [str(image["file_name"]).split("/")[0] for image in content["images"]]
        people = len(content["annotations"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"annotations.json: not COCO keypoints ({type(error).__name__}: {error}); {again}"
        return
    for name, entry in dataset.entries.items():
        if (count := images.count(name)) != entry.frames:
            yield f"annotations.json: {count} images of {name}, which has {entry.frames} frames; {again}"
    if people != len(images):
        yield f"annotations.json: {people} annotations of {len(images)} images; {again}"


def _pack_faults(dataset: Dataset, again: str) -> Iterator[str]:
    """The pack that commands read is that of these characters."""
    try:
        pack = open_pack(dataset.folder)
    except DataError as error:
        yield str(error)
        return
    if pack.digest != dataset.digest or pack.pixel_digest != dataset.pixel_digest:
        yield f"pack.json: the pack of other data than manifest.json names; {again}"
    parts = {name: part for part in SPLITS for name in dataset.split[part]}
    if dict(zip(pack.names, pack.splits, strict=False)) != parts:
        yield f"pack.json: other characters or splits than split.json; {again}"
    counts = {name: len(pack.frames_of(index)) for index, name in enumerate(pack.names)}
    for name, entry in dataset.entries.items():
        if counts.get(name) != entry.frames:
            yield f"pack.json: {counts.get(name, 0)} frames of {name}, which has {entry.frames}; {again}"
    shape = (pack.image_size, pack.image_size, 4)
    if pack.pixels.shape[1:] != shape or pack.pixels.dtype != np.uint8 or pack.keypoints.shape[1:] != (17, 3):
        yield f"pixels.npy, keypoints.npy: not uint8 {shape} and (17, 3) a frame; {again}"
