"""Joints of pictures out of files: COCO keypoints and AlphaPose results. Names in them are looked up, never opened."""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.imports.faults import Faults, read_json_of_anybody
from bench.data.imports.folder import Found, Picture
from bench.data.layout import CLIPS, VIEWS
from bench.errors import DataError

F32 = NDArray[np.float32]
KINDS = ("coco", "alphapose")


@dataclass(frozen=True)
class Label:
    """What a file says of one picture."""

    joints: F32 | None = None  # [17, 3]: x, y in its pixels, COCO visibility; None: nobody is annotated
    view: str | None = None
    clip: str | None = None
    size: tuple[int, int] | None = None  # width and height that the file names
    rank: float = -1.0  # of several people in a picture the highest is taken


@dataclass
class Labels:
    """By picture key; and how many pictures had more than one person."""

    by_picture: dict[str, Label] = field(default_factory=dict)
    crowded: set[str] = field(default_factory=set)

    def add(self, key: str, label: Label) -> None:
        """Keep the higher-ranked of two people, and the view, clip and size of either."""
        known = self.by_picture.get(key, Label())
        if label.joints is not None and known.joints is not None:
            self.crowded.add(key)
        best = label if label.joints is not None and label.rank >= known.rank else known
        self.by_picture[key] = replace(
            best, view=known.view or label.view, clip=known.clip or label.clip, size=known.size or label.size
        )


def kind_of(content: object) -> str | None:
    """ "coco" or "alphapose" by the shape of a JSON file; None for any other."""
    if isinstance(content, dict) and {"images", "annotations"} <= content.keys():
        return "coco"
    if isinstance(content, list) and content and isinstance(content[0], dict) and "image_id" in content[0]:
        return "alphapose"
    return None


def label_files(found: Found, wanted: str, chosen: Path | None, faults: Faults) -> dict[Path, tuple[str, Any]]:
    """The JSON files to read joints from, each with its kind and content.

    `wanted` is one of KINDS or "auto"; `chosen` a file that the user named. Other JSON files (a split, a manifest)
    are left alone; a broken one is a fault, since it may be the one.
    """
    files: dict[Path, tuple[str, Any]] = {}
    for path in [chosen] if chosen else found.json_files:
        try:
            content = read_json_of_anybody(path)
        except DataError as error:
            faults.add(str(error))
            continue
        kind = kind_of(content)
        if kind in KINDS and wanted in ("auto", kind):
            files[path] = (str(kind), content)
        elif chosen or path.name == "annotations.json":
            faults.add(
                f"{path.name}: {'not what --joints ' + wanted + ' reads' if kind else 'neither COCO nor AlphaPose'}; "
                'COCO is {"images": […], "annotations": […]}, AlphaPose a list of {"image_id", "keypoints", "score"}'
            )
    return files


def read_labels(found: Found, files: Mapping[Path, tuple[str, Any]], threshold: float, faults: Faults) -> Labels:
    """The joints of every picture that the files name."""
    labels, keys = Labels(), _Keys(found)
    for path, (kind, content) in files.items():
        folder = path.parent.name if path.parent != found.root and path in found.json_files else ""
        rows = (
            _coco(content, path.name, faults) if kind == "coco" else _alphapose(content, path.name, threshold, faults)
        )
        for name, label in rows:
            key = keys.find(name, folder)
            if not isinstance(key, str):
                several = f"{len(key)} pictures are called that; write character/file" if key else "it is not there"
                faults.add(f"named in {path.name}, but {several}", name)
            elif isinstance(label, str):
                faults.add(f"{label} (in {path.name})", key)
            else:
                labels.add(key, label)
    return labels


class _Keys:
    """Finds a picture by what an annotation calls it: `character/file`, a longer path, or the file alone."""

    def __init__(self, found: Found) -> None:
        self._exact = {_plain(picture.key): picture for picture in found}
        self._by_file: dict[str, list[Picture]] = defaultdict(list)
        for picture in found:
            self._by_file[_plain(picture.path.name)].append(picture)

    def find(self, name: str, folder: str) -> str | list[Picture]:
        """The picture's key, or those that the name could mean, none or several."""
        parts = [part for part in _plain(name).replace("\\", "/").split("/") if part not in ("", ".")]
        if folder:
            parts = [_plain(folder), *parts[-1:]]
        picture = self._exact.get("/".join(parts[-2:]))
        if picture:
            return picture.key
        candidates = self._by_file.get(parts[-1], []) if len(parts) == 1 else []
        return candidates[0].key if len(candidates) == 1 else candidates


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _rows(value: object, what: str, faults: Faults) -> Iterator[Mapping[str, Any]]:
    """The objects of a list; anything else is a fault."""
    if not isinstance(value, list):
        faults.add(f"{what} is not a list")
        return
    for index, row in enumerate(value):
        if isinstance(row, dict):
            yield row
        else:
            faults.add(f"{what}[{index}] is not an object")


def _numbers(value: object) -> F32:
    """The 17 joints [17, 3] of a keypoint list; raises ValueError."""
    if not isinstance(value, list) or len(value) != 51:
        count = len(value) if isinstance(value, list) else "no"
        raise ValueError(f"{count} numbers where 17 joints have 51 (x, y and a third each)")
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        raise ValueError("keypoints that are not numbers")
    joints = np.asarray([float(number) if abs(number) < 1e9 else math.nan for number in value], np.float32)
    if not np.isfinite(joints).all():
        numbers = ", ".join(map(str, np.flatnonzero(~np.isfinite(joints.reshape(17, 3)).all(1))))
        raise ValueError(f"joint {numbers} is not a number; write absent joints as 0, 0, 0")
    return joints.reshape(17, 3)


def _coco(content: dict[str, Any], file: str, faults: Faults) -> Iterator[tuple[str, Label | str]]:
    """(file name, label) of every image and every person of COCO keypoints; a text in a label's place is a fault."""
    names: dict[int | str, str] = {}
    for image in _rows(content["images"], f"{file}: images", faults):
        number, name = image.get("id"), image.get("file_name")
        if not isinstance(number, int | str) or not isinstance(name, str) or not name:
            faults.add(f"{file}: an image without id or file_name; write both")
            continue
        if number in names:
            faults.add(f"{file}: two images of id {number}; number them differently")
            continue
        names[number] = name
        sides = image.get("width"), image.get("height")
        known = all(isinstance(side, int) and 0 < side < 1e6 for side in sides)
        try:
            yield name, replace(_roles(image), size=(int(str(sides[0])), int(str(sides[1]))) if known else None)
        except ValueError as error:
            yield name, str(error)
    for index, person in enumerate(_rows(content["annotations"], f"{file}: annotations", faults)):
        number = person.get("image_id")
        owner = names.get(number) if isinstance(number, int | str) else None
        if owner is None:
            faults.add(f"{file}: annotations[{index}] is of image {number}, which is not listed")
            continue
        try:
            joints = _numbers(person.get("keypoints"))
            if not np.isin(joints[:, 2], (0, 1, 2)).all():
                raise ValueError("a visibility is none of 0, 1, 2; is it a detector's score?")
            label = _roles(person)
        except ValueError as error:
            yield owner, str(error)
            continue
        joints[joints[:, 2] == 0] = 0
        present = joints[joints[:, 2] > 0, :2]
        if len(present):
            yield owner, replace(label, joints=joints, rank=float(np.prod(np.ptp(present, 0))))


def _roles(row: Mapping[str, Any]) -> Label:
    """The view and the clip that an image or an annotation is tagged with; raises ValueError."""
    given = {}
    for key, known in (("view", VIEWS), ("clip", CLIPS)):
        given[key] = row.get(key)
        if given[key] is not None and given[key] not in known:
            raise ValueError(f"unknown {key} '{given[key]}'; use one of {', '.join(known)} or none")
    return Label(view=given.get("view"), clip=given.get("clip"))


def _alphapose(content: list[Any], file: str, threshold: float, faults: Faults) -> Iterator[tuple[str, Label | str]]:
    """(file name, label) of every person of AlphaPose's result list; joints below the threshold are absent."""
    for index, person in enumerate(_rows(content, file, faults)):
        name, score = person.get("image_id"), person.get("score", 0)
        if not isinstance(name, str) or not name:
            faults.add(f"{file}[{index}]: no image_id")
            continue
        try:
            joints = _numbers(person.get("keypoints"))
        except ValueError as error:
            yield name, str(error)
            continue
        certain = joints[:, 2] >= threshold
        joints = np.where(certain[:, None], np.column_stack([joints[:, :2], np.full(17, 2)]), 0).astype(np.float32)
        usable = isinstance(score, int | float) and math.isfinite(score)
        yield name, Label(joints=joints, rank=max(float(score), 0.0) if usable else 0.0)
