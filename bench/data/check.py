"""Every fault of a data set on disk, each as one line that names the file and the fix."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.check_set import set_faults
from bench.data.duplicates import Thumbnails, duplicate_faults, thumbnail
from bench.data.layout import (
    CLIPS,
    SPLITS,
    UNREADABLE,
    VIEWS,
    CharacterEntry,
    Dataset,
    FrameInfo,
    decode,
    open_character,
    open_dataset,
    pixel_digest,
    read_frames,
)
from bench.data.origin import Remedy
from bench.errors import DataError

U8 = NDArray[np.uint8]


def check(folder: Path) -> list[str]:
    """All faults of the data set in `folder`; empty when it can be used."""
    try:
        dataset = open_dataset(folder)
    except DataError as error:
        return [str(error)]
    remedy = Remedy.of(folder)
    faults = list(_split_faults(dataset))
    seen: dict[str, Thumbnails] = {}
    for name, entry in dataset.entries.items():
        faults += _character_faults(dataset, name, entry, seen, remedy.file)
    faults += duplicate_faults(dataset.split, seen)
    faults += set_faults(dataset, remedy.whole)
    return faults


def _split_faults(dataset: Dataset) -> Iterator[str]:
    for first, second in combinations(SPLITS, 2):
        for name in sorted(set(dataset.split[first]) & set(dataset.split[second])):
            yield f"split.json: character {name} is in {first} and in {second}; remove it from one of them"
    listed = [name for part in SPLITS for name in dataset.split[part]]
    for name in sorted(set(listed) - set(dataset.entries)):
        yield f"split.json: character {name} is not in manifest.json; remove it here or add its file"
    for name in sorted(set(dataset.entries) - set(listed)):
        yield f"split.json: character {name} is in no split; add it to one"
    for file in sorted(dataset.folder.glob("characters/*.zip")):
        if file.stem not in dataset.entries:
            yield f"characters/{file.name}: not in manifest.json; delete the file"


def _character_faults(
    dataset: Dataset, name: str, entry: CharacterEntry, seen: dict[str, Thumbnails], again: str
) -> Iterator[str]:
    try:
        path = dataset.path_of(name)
    except DataError as error:
        yield f"{error}; {again}"
        return
    if not path.exists():
        yield f"{entry.file}: missing; {again}"
        return
    if path.is_file():
        content = path.read_bytes()
        if len(content) != entry.bytes:
            yield f"{entry.file}: {len(content)} bytes where the manifest says {entry.bytes}; {again}"
        elif hashlib.sha256(content).hexdigest() != entry.sha256:
            yield f"{entry.file}: sha256 differs from the manifest's; {again}"
    try:
        root = open_character(path)
        description, frames = read_frames(root)
        inside = {item.name for item in root.iterdir()}
        named = description["name"]
    except DataError as error:
        yield str(error)
        return
    except UNREADABLE as error:
        yield f"{entry.file}: no readable frames.json ({error!r}); {again}"
        return
    if named != name:
        yield f"{entry.file}: frames.json names it {named}, not {name}; rename one of them"
    if len(frames) != entry.frames:
        yield f"{entry.file}: {len(frames)} frames where the manifest says {entry.frames}; {again}"
    for extra in sorted(inside - {file for file, _ in frames} - {"frames.json"}):
        yield f"{entry.file}: image {extra} has no joints in frames.json; describe it there or remove it"

    yield from _role_faults(dataset, name, [frame for _, frame in frames])
    images: list[U8] = []
    for file, frame in frames:
        where = f"{entry.file}/{file}"
        if file not in inside:
            yield f"{where}: missing, or not a file beside frames.json; {again}"
            continue
        try:
            image = decode((root / file).read_bytes())
        except UNREADABLE as error:
            yield f"{where}: unreadable or truncated image ({error}); {again}"
        else:
            images.append(image)
            if image.shape[:2] != (dataset.image_size,) * 2:
                height, width = image.shape[:2]
                yield f"{where}: {width}×{height} px in data of {dataset.image_size} px; resize the image"
            elif not image[..., 3].any():
                yield f"{where}: no foreground, alpha is 0 everywhere; {again}"
        yield from _frame_faults(where, frame, dataset.image_size)
    whole = len(images) == len(frames) and len({image.shape for image in images}) == 1
    if whole and pixel_digest(np.stack(images)) != entry.pixels:
        yield f"{entry.file}: decoded pixels differ from the manifest's; {again}"
    if whole:
        front = next((i for i, (_, frame) in enumerate(frames) if frame.view == "front"), 0)
        seen[name] = Thumbnails(np.stack([thumbnail(image) for image in images]), front)


def _role_faults(dataset: Dataset, name: str, frames: list[FrameInfo]) -> Iterator[str]:
    """What a character lacks to be of use: a source, targets, and at test time a clip to score and one to compare."""
    views = [frame.view for frame in frames if frame.view]
    if "front" not in views:
        yield f"character {name}: no front view, which is the source; name one of its frames front"
    for view in sorted({view for view in views if views.count(view) > 1}):
        yield f"character {name}: {views.count(view)} frames are its {view} view; keep one"
    if len(frames) < 2:
        yield f"character {name}: {len(frames)} frames; pairs need two, so add some or remove it"
    elif name in dataset.split["test"]:
        for clip in CLIPS:
            if not any(frame.clip == clip for frame in frames):
                yield f"character {name}: a test character without frames of clip {clip}; FID and KID need them"


def _frame_faults(where: str, frame: FrameInfo, size: int) -> Iterator[str]:
    joints = frame.keypoints
    if frame.view is not None and frame.view not in VIEWS:
        yield f"{where}: unknown view '{frame.view}'; use one of {', '.join(VIEWS)}"
    if frame.clip is not None and frame.clip not in CLIPS:
        yield f"{where}: unknown clip '{frame.clip}'; use one of {', '.join(CLIPS)}"
    if joints.shape != (17, 3):
        yield f"{where}: {len(joints)} joints where COCO has 17; write all, absent ones as 0, 0, 0"
        return
    if not np.isfinite(joints).all():
        numbers = ", ".join(map(str, np.flatnonzero(~np.isfinite(joints).all(1))))
        yield f"{where}: joint {numbers} is not a number; write absent joints as 0, 0, 0"
        return
    if not np.isin(joints[:, 2], (0, 1, 2)).all():
        yield f"{where}: a visibility is none of 0, 1, 2; apply the detector's threshold when importing"
        return
    present = joints[:, 2] > 0
    if not present.any():
        yield f"{where}: no joint is present; remove the frame or detect its joints"
    outside = present & ((joints[:, :2] < 0) | (joints[:, :2] > size)).any(1)
    if outside.any():
        numbers = ", ".join(map(str, np.flatnonzero(outside)))
        yield f"{where}: joint {numbers} lies outside the {size} px frame; mark it absent (visibility 0)"
