"""Data sets on disk: a stored zip (or folder) for each character, a split by character, hashes, annotations.

    <data set>/
      characters/c0000000.zip    c0000000/000.webp … and c0000000/frames.json
      split.json                 {"train": [names], "validation": [...], "test": [...]}
      annotations.json           COCO keypoints; file names as the zips unpack
      manifest.json              recipe, sizes, hashes, library versions; written last, it completes the set

Frames are lossless RGBA; alpha is the foreground. RGB below alpha 0 is white, so that equal pictures are
equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.origin import Remedy, how_to_make
from bench.data.trust import CLIPS as CLIPS  # these three are part of the layout and of its public names
from bench.data.trust import SPLITS as SPLITS
from bench.data.trust import VIEWS as VIEWS
from bench.data.trust import character_fault, manifest_fault
from bench.environment import package_versions
from bench.errors import DataError
from bench.files import digest_of, read_json, write_bytes, write_json

SCHEMA = 1
# what zipfile, json and Pillow raise on broken or hostile files
UNREADABLE = (
    KeyError,
    TypeError,
    ValueError,
    OSError,
    EOFError,
    OverflowError,
    SyntaxError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)
LARGEST_SIDE = 8192  # pixels; refuses decompression bombs before they are decoded
LARGEST_MEMBER = 1 << 28  # bytes of an unpacked file of a zip
COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
COCO_LIMBS = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9),
    (8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class FrameInfo:
    """What is known of one frame besides its pixels."""

    view: str | None  # one of VIEWS for a basic view, None for a dance frame
    clip: str | None  # one of CLIPS for a dance frame
    time: float  # seconds into the clip
    keypoints: F32  # [17, 3]: x, y in pixels, COCO visibility


@dataclass(frozen=True)
class CharacterFrames:
    """One character: its frames and metadata."""

    name: str
    frames: tuple[FrameInfo, ...]
    images: U8  # [frames, H, W, 4], straight alpha
    seed: int | None = None
    tags: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CharacterEntry:
    """A character's line in the manifest."""

    file: str  # relative to the data set
    bytes: int
    sha256: str  # of the file
    pixels: str  # sha256 of the decoded pixels
    frames: int


@dataclass(frozen=True)
class Dataset:
    """A complete data set on disk."""

    folder: Path
    digest: str
    pixel_digest: str
    image_size: int
    split: Mapping[str, tuple[str, ...]]
    entries: Mapping[str, CharacterEntry]

    def read(self, name: str) -> CharacterFrames:
        """Decode one character; raises DataError when its file is unreadable or not in the data set."""
        return read_character(self.path_of(name))

    def path_of(self, name: str) -> Path:
        """A character's file; raises DataError where the manifest names one outside of the data set."""
        path = self.folder / self.entries[name].file
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise DataError(f"manifest.json: the file of {name} lies outside of the data set")
        return path


def whiten(images: U8) -> U8:
    """A copy of `[…, 4]` straight-alpha pixels whose invisible ones are white."""
    clean = images.copy()
    clean[..., :3][clean[..., 3] == 0] = 255
    return clean


def pixel_digest(images: U8) -> str:
    """sha256 over shape and pixels, the same whatever stands below alpha 0."""
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(whiten(images).tobytes())
    return digest.hexdigest()


def _frame_json(file: str, frame: FrameInfo) -> dict[str, Any]:
    numbers = [round(float(value), 3) for value in frame.keypoints.ravel()]
    return {
        "file": file,
        "view": frame.view,
        "clip": frame.clip,
        "time": round(frame.time, 4),
        "keypoints": numbers,
    }


def write_character(path: Path, character: CharacterFrames) -> CharacterEntry:
    """Write one stored zip, atomically. The same frames give the same bytes under the same libraries."""
    files = [f"{index:03d}.webp" for index in range(len(character.frames))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes) -> None:
            # a fixed date: the time of writing must not change the file's hash
            archive.writestr(zipfile.ZipInfo(f"{character.name}/{name}", (1980, 1, 1, 0, 0, 0)), content)

        for file, pixels in zip(files, whiten(character.images), strict=True):
            encoded = io.BytesIO()
            Image.fromarray(pixels, "RGBA").save(encoded, "WEBP", lossless=True, exact=True, method=2)
            add(file, encoded.getvalue())
        description = {
            "schema": SCHEMA,
            "name": character.name,
            "seed": character.seed,
            "tags": dict(character.tags),
            "frames": [_frame_json(f, frame) for f, frame in zip(files, character.frames, strict=True)],
        }
        add("frames.json", json.dumps(description, ensure_ascii=False).encode())
    content = buffer.getvalue()
    write_bytes(path, content)
    return CharacterEntry(
        file=f"{path.parent.name}/{path.name}",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        pixels=pixel_digest(character.images),
        frames=len(character.frames),
    )


def open_character(path: Path) -> Path | zipfile.Path:
    """The folder with a character's files, be it in a zip or on the disk; raises DataError."""
    if path.is_dir():
        return path
    try:
        root = zipfile.Path(path)
        if any(info.file_size > LARGEST_MEMBER for info in root.root.infolist()):
            raise ValueError(f"a file of more than {LARGEST_MEMBER >> 20} MiB is packed in it")
        return root / path.stem
    except UNREADABLE as error:
        remedy = Remedy.of(path.parent.parent).file
        raise DataError(f"{path.name}: unreadable archive ({error}); {remedy}") from error


def decode(content: bytes) -> U8:
    """An RGBA image `[H, W, 4]` from WebP or PNG bytes; raises one of UNREADABLE."""
    with Image.open(io.BytesIO(content)) as image:
        if max(image.size) > LARGEST_SIDE:
            raise ValueError(f"{image.width}×{image.height} px is larger than {LARGEST_SIDE}")
        if image.mode not in ("RGB", "RGBA"):
            raise ValueError(f"mode {image.mode} where RGBA is needed")
        return np.asarray(image.convert("RGBA"))


def read_frames(root: Path | zipfile.Path) -> tuple[dict[str, Any], list[tuple[str, FrameInfo]]]:
    """An open character's description and its (file, frame) list; raises one of UNREADABLE."""
    description: dict[str, Any] = json.loads((root / "frames.json").read_text(encoding="utf-8"))
    frames = []
    for frame in description["frames"]:
        keypoints = np.asarray(frame["keypoints"], dtype=np.float32).reshape(-1, 3)
        frames.append((frame["file"], FrameInfo(frame["view"], frame["clip"], frame["time"], keypoints)))
    return description, frames


def read_character(path: Path) -> CharacterFrames:
    """Decode one character; raises DataError naming the file and the fix."""
    root = open_character(path)
    try:
        description, frames = read_frames(root)
        if fault := character_fault(description, frames):
            raise ValueError(fault)
        images = np.stack([decode((root / file).read_bytes()) for file, _ in frames])
    except UNREADABLE as error:
        remedy = Remedy.of(path.parent.parent).file
        raise DataError(
            f"{path.name}: unreadable ({error}); run `bench data check` for every fault, or {remedy}"
        ) from error
    return CharacterFrames(
        name=description["name"],
        frames=tuple(frame for _, frame in frames),
        images=images,
        seed=description["seed"],
        tags=description["tags"],
    )


def entry_of(path: Path) -> CharacterEntry:
    """The manifest line of a character already on disk; raises DataError when it cannot be read whole."""
    character = read_character(path)
    content = path.read_bytes()
    return CharacterEntry(
        file=f"{path.parent.name}/{path.name}",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        pixels=pixel_digest(character.images),
        frames=len(character.frames),
    )


def _annotations(folder: Path, entries: Mapping[str, CharacterEntry], size: int) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, entry in entries.items():
        for file, frame in read_frames(open_character(folder / entry.file))[1]:
            number = len(images) + 1
            points = frame.keypoints
            labelled = points[points[:, 2] > 0]
            low = labelled[:, :2].min(0) if len(labelled) else np.zeros(2)
            high = labelled[:, :2].max(0) if len(labelled) else np.zeros(2)
            box = [round(float(value), 2) for value in (*low, *(high - low))]
            images.append({"id": number, "file_name": f"{name}/{file}", "width": size, "height": size})
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": box,
                    "area": round(box[2] * box[3], 2),
                    "num_keypoints": len(labelled),
                    "keypoints": [round(float(value), 2) for value in points.ravel()],
                }
            )
    person = {
        "id": 1,
        "name": "person",
        "keypoints": COCO_JOINTS,
        "skeleton": [list(limb) for limb in COCO_LIMBS],
    }
    return {"images": images, "annotations": annotations, "categories": [person]}


def finish_dataset(
    folder: Path,
    image_size: int,
    split: Mapping[str, Iterable[str]],
    entries: Mapping[str, CharacterEntry],
    recipe: Mapping[str, Any],
    digest: str | None = None,
) -> Dataset:
    """Write split, annotations and, last, the manifest. Without a digest the files' hashes name the data."""
    names = {part: list(split.get(part, ())) for part in SPLITS}
    if digest is None:
        files = {name: entry.sha256 for name, entry in entries.items()}
        digest = digest_of({"schema": SCHEMA, "split": names, "files": files})
    pixels = digest_of({name: entry.pixels for name, entry in entries.items()})
    write_json(folder / "split.json", names)
    write_bytes(folder / "annotations.json", json.dumps(_annotations(folder, entries, image_size)).encode())
    write_json(
        folder / "manifest.json",
        {
            "schema": SCHEMA,
            "digest": digest,
            "pixel_digest": pixels,
            "image_size": image_size,
            "recipe": dict(recipe),
            "versions": package_versions(),
            "characters": {name: vars(entry) for name, entry in entries.items()},
        },
    )
    return open_dataset(folder)


def open_dataset(folder: Path) -> Dataset:
    """The complete data set in `folder`; raises DataError where there is none."""
    try:
        manifest, split = read_json(folder / "manifest.json"), read_json(folder / "split.json")
        if manifest["schema"] != SCHEMA:
            raise DataError(f"{folder.name}: layout {manifest['schema']}, this version reads {SCHEMA}; make it again")
        if fault := manifest_fault(manifest, split):
            raise ValueError(fault)
        return Dataset(
            folder=folder,
            digest=manifest["digest"],
            pixel_digest=manifest["pixel_digest"],
            image_size=manifest["image_size"],
            split={part: tuple(split[part]) for part in SPLITS},
            entries={name: CharacterEntry(**entry) for name, entry in manifest["characters"].items()},
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder.name}: no complete data set ({error}); {how_to_make(folder)}") from error
