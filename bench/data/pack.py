"""The packed memory map: all frames of a data set as one uint8 array, which training and evaluation read.

<pack>/
  pixels.npy      uint8 [N, H, W, 4]: RGB composited on white, alpha
  keypoints.npy   float32 [N, 17, 3]
  index.npy       int32 [N, 3]: character, view (VIEWS, -1 for dance), clip (CLIPS, -1 for basic views)
  pack.json       names, split and tags by character, digests of the data and of the files; written last
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from bench.data.layout import CLIPS, SPLITS, UNREADABLE, VIEWS, Dataset, pixel_digest
from bench.data.make import make_dataset
from bench.data.origin import Remedy, how_to_make
from bench.data.pixels import as_foreground, as_images, fitted
from bench.data.recipe import Recipe
from bench.data.trust import pack_fault
from bench.errors import FULL, DataError, DiskFull, UsageError
from bench.files import read_json, sha256_of, write_array, write_json
from bench.presets import DataSize

SCHEMA = 1
FILES = ("pixels.npy", "keypoints.npy", "index.npy")
RESIDENT_SHARE = 0.3  # of a GPU's free memory that the pack may take to live there

I64 = NDArray[np.int64]
Indices = NDArray[np.integer[Any]] | list[int]


def _ignore(done: int, total: int) -> None:
    return


@dataclass(frozen=True, eq=False)
class Pack:
    """An open pack. Frames of a character are contiguous; all indices count frames of the whole pack."""

    folder: Path
    digest: str  # of the data
    pixel_digest: str  # of the decoded pixels they were packed from
    image_size: int
    names: tuple[str, ...]  # by character
    splits: tuple[str, ...]  # by character
    tags: tuple[dict[str, Any], ...]  # by character
    pixels: NDArray[np.uint8]  # [N, H, W, 4], mapped
    keypoints: NDArray[np.float32]  # [N, 17, 3]
    character: NDArray[np.int32]  # [N]
    view: NDArray[np.int8]  # [N], index into VIEWS or -1
    clip: NDArray[np.int8]  # [N], index into CLIPS or -1
    files: dict[str, str] = field(default_factory=dict, repr=False)  # sha256 by name; none in packs of before
    _resident: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _checked: set[str] = field(default_factory=set, repr=False)

    def __len__(self) -> int:
        return len(self.character)

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """`[N, H, W, 3]` on white."""
        return self.pixels[..., :3]

    @property
    def alpha(self) -> NDArray[np.uint8]:
        """`[N, H, W]`, the foreground."""
        return self.pixels[..., 3]

    def check(self) -> None:
        """Raises DataError where a file is not the one that was packed; reads all of them, once a process."""
        if "files" in self._checked:
            return
        for name, digest in self.files.items():
            if sha256_of(self.folder / name) != digest:
                raise DataError(
                    f"{self.folder / name} is damaged: its sha256 is not the recorded one; {_again(self.folder)}"
                )
        self._checked.add("files")

    def characters(self, split: str) -> I64:
        """Indices of the characters of a split, in the order of their names."""
        if split not in SPLITS:
            raise UsageError(f"unknown split '{split}'. Known: {', '.join(SPLITS)}")
        return np.flatnonzero(np.asarray(self.splits) == split)

    def frames_of(self, character: int) -> I64:
        """Indices of a character's frames, in order."""
        first, end = np.searchsorted(self.character, [character, character + 1])
        return np.arange(first, end)

    def frames_in(self, split: str) -> I64:
        """Indices of all frames of a split."""
        return np.flatnonzero(np.isin(self.character, self.characters(split)))

    def view_of(self, character: int, view: str) -> int:
        """Index of a character's basic view; raises DataError where it has none."""
        frames = self.frames_of(character)
        found = frames[self.view[frames] == VIEWS.index(view)]
        if not len(found):
            raise DataError(
                f"character {self.names[character]} has no {view} view; name one of its frames '{view}' "
                "in the frame list and import the data again"
            )
        return int(found[0])

    def images(self, indices: Indices, device: torch.device | str = "cpu") -> Tensor:
        """`float32 [B, 3, H, W]` in [-1, 1]."""
        return as_images(self._gather(indices, torch.device(device)))

    def foreground(self, indices: Indices, device: torch.device | str = "cpu") -> Tensor:
        """Alpha as `float32 [B, 1, H, W]` in [0, 1]."""
        return as_foreground(self._gather(indices, torch.device(device)))

    def keypoints_of(self, indices: Indices, device: torch.device | str = "cpu") -> Tensor:
        """`float32 [B, 17, 3]`, x and y in pixels."""
        return torch.from_numpy(self.keypoints[np.asarray(indices)]).to(device)

    def leave_devices(self) -> None:
        """Free the copies of the pixels that GPUs hold; the next use makes them again."""
        self._resident.clear()

    def _gather(self, indices: Indices, device: torch.device) -> Tensor:
        stored = self._stored(device)
        rows = torch.as_tensor(np.asarray(indices, dtype=np.int64), device=stored.device)
        return stored.index_select(0, rows).to(device)

    def _stored(self, device: torch.device) -> Tensor:
        """All pixels: on a GPU that has room for them, there; else mapped from the disk."""
        key = f"{device.type}:{device.index or 0}"
        if key not in self._resident:
            stored = torch.from_numpy(self.pixels)
            if device.type == "cuda" and stored.nbytes <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
                stored = stored.to(device)
            self._resident[key] = stored
        return self._resident[key]


def open_pack(folder: Path) -> Pack:
    """Open a pack; raises DataError where there is none or it is not whole."""
    if not (folder / "pack.json").exists():
        raise DataError(f"{folder}: no data set that can be used (no pack.json); {how_to_make(folder)}")
    again = _again(folder)
    try:
        description = read_json(folder / "pack.json")
        if description["schema"] != SCHEMA:
            raise DataError(f"{folder.name}: pack of another version; {again}")
        # copy-on-write: torch wants writable memory, and nothing may ever change the file
        pixels = np.load(folder / "pixels.npy", mmap_mode="c")
        keypoints, index = np.load(folder / "keypoints.npy"), np.load(folder / "index.npy")
        files = {str(name): str(digest) for name, digest in description.get("files", {}).items()}
        fault = pack_fault(description, pixels, keypoints, index)
    except (*UNREADABLE, MemoryError, tokenize.TokenError) as error:  # the last: numpy parses a header as Python
        raise DataError(f"{folder.name}: not a whole pack ({error}); {again}") from error
    if fault:
        raise DataError(f"{folder.name}: {fault}; {again}")
    return Pack(
        folder=folder,
        digest=description["digest"],
        pixel_digest=description["pixel_digest"],
        image_size=description["image_size"],
        names=tuple(description["names"]),
        splits=tuple(description["splits"]),
        tags=tuple(description["tags"]),
        pixels=pixels,
        keypoints=keypoints,
        character=index[:, 0],
        view=index[:, 1].astype(np.int8),
        clip=index[:, 2].astype(np.int8),
        files={name: digest for name, digest in files.items() if name in FILES},
    )


def _again(folder: Path) -> str:
    """A pack without the data set is one of the store's, and made again when it is asked for."""
    whole = (folder / "manifest.json").exists()
    return Remedy.of(folder).whole if whole else f"delete the folder {folder} and run the same command again"


def _new_pixels(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A new mapped array whose room on the disk is taken already; raises DiskFull where there is none.

    Writing to a map of a file with holes in it ends the process with SIGBUS when the disk is full.
    """
    pixels: np.memmap[Any, np.dtype[np.uint8]]
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno in FULL:
                    raise DiskFull(path) from error
    return pixels


def build_pack(
    dataset: Dataset,
    folder: Path,
    image_size: int | None = None,
    on_progress: Callable[[int, int], None] = _ignore,
) -> Pack:
    """Pack `dataset` into `folder` (made beside it and renamed into place) and open it.

    With an `image_size` other than the data's, frames are resized and keypoints scaled with them.
    Raises DataError when a character cannot be read, is not square, or is not the one the manifest names.
    """
    size = image_size or dataset.image_size
    part = {name: split for split, members in dataset.split.items() for name in members}
    names = [name for split in SPLITS for name in sorted(dataset.split[split])]
    total = sum(dataset.entries[name].frames for name in names)
    building = folder.with_name(folder.name + ".building")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if (folder / "pack.json").exists():
            return open_pack(folder)
        shutil.rmtree(building, ignore_errors=True)  # left by a killed call
        building.mkdir()
        pixels = _new_pixels(building / "pixels.npy", (total, size, size, 4))
        keypoints = np.zeros((total, 17, 3), np.float32)
        index = np.full((total, 3), -1, np.int32)
        tags: list[dict[str, Any]] = []
        at = 0
        for number, name in enumerate(names):
            character = dataset.read(name)
            if pixel_digest(character.images) != dataset.entries[name].pixels:
                raise DataError(f"{name}: not the pixels its manifest names; run `bench data check`")
            height, width = character.images.shape[1:3]
            if height != width:
                raise DataError(f"{name}: frames are {width}×{height} px; pad them to squares and import again")
            frames = slice(at, at + len(character.frames))
            pixels[frames] = fitted(character.images, size)
            for row, frame in enumerate(character.frames, start=at):
                keypoints[row] = frame.keypoints * np.asarray([size / width, size / width, 1], np.float32)
                index[row] = (
                    number,
                    VIEWS.index(frame.view) if frame.view else -1,
                    CLIPS.index(frame.clip) if frame.clip else -1,
                )
            tags.append(dict(character.tags))
            at = frames.stop
            on_progress(number + 1, len(names))
        pixels.flush()
        del pixels
        write_array(building / "keypoints.npy", keypoints)
        write_array(building / "index.npy", index)
        write_json(
            building / "pack.json",
            {
                "schema": SCHEMA,
                "digest": dataset.digest,
                "pixel_digest": dataset.pixel_digest,
                "image_size": size,
                "names": names,
                "splits": [part[name] for name in names],
                "tags": tags,
                "files": {name: sha256_of(building / name) for name in FILES},
            },
        )
        building.replace(folder)
    return open_pack(folder)


def pack_of(
    dataset: Dataset,
    store_root: Path,
    image_size: int | None = None,
    on_progress: Callable[[int, int], None] = _ignore,
) -> Pack:
    """The pack of a data set in the store, built when it is not there yet."""
    folder = store_root / "packs" / f"{dataset.digest[:12]}-{image_size or dataset.image_size}"
    if (folder / "pack.json").exists():
        return open_pack(folder)
    return build_pack(dataset, folder, image_size, on_progress)


def link_pack(pack: Pack, store_root: Path) -> None:
    """Let the store find a pack that lies elsewhere by its digest, as those it made itself, through a link.

    Without one, where links are not allowed, `bench verify` must be told the folder.
    """
    link, folder = store_root / "packs" / f"{pack.digest[:12]}-{pack.image_size}", pack.folder.resolve()
    if link.resolve() == folder or (link.exists() and not link.is_symlink()):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.symlink_to(folder, target_is_directory=True)
        temporary.replace(link)


def open_procedural(data_size: DataSize, store_root: Path) -> Pack | None:
    """The pack of a preset's procedural data if the store has it."""
    recipe = Recipe.of(data_size)
    folder = store_root / "packs" / f"{recipe.digest[:12]}-{recipe.image_size}"
    return open_pack(folder) if (folder / "pack.json").exists() else None


def procedural_pack(
    data_size: DataSize,
    store_root: Path,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] = _ignore,
) -> Pack:
    """The open pack of a preset's procedural data: renders and packs whatever is missing in the store."""
    if (made := open_procedural(data_size, store_root)) is not None:
        return made
    return pack_of(make_dataset(Recipe.of(data_size), store_root / "data", workers, on_progress), store_root)
