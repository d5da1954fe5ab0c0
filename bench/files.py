"""Writing files so that a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bench.errors import FULL, DiskFull

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path` to write to, flushed to the disk and renamed into place at the end.

    On any error the old file stays and the temporary one goes. Raises DiskFull where there is no room.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(path) from error
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """The file with this content, by `replacing`."""
    with replacing(path) as file:
        file.write(content)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """An array, rows first, byte for byte as `numpy.save` writes such a one, by `replacing`.

    numpy writes to a file below Python's reach: on a full disk its error does not say that the disk is full.
    """
    from numpy.lib import format as npy

    whole = array if array.flags.c_contiguous else array.copy(order="C")
    with replacing(path) as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(whole))
        file.write(whole.reshape(-1).view("u1").data)


def kept_array(path: Path, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array of `path`, if it is what was written there; else what `make` gives, which is kept there.

    A file `<path>.json` beside it holds its sha256.
    """
    import numpy as np

    beside = path.with_name(path.name + ".json")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, EOFError, RecursionError):
        if sha256_of(path) == read_json(beside)["sha256"]:
            kept: NDArray[Any] = np.load(path)
            return kept
    made = make()
    write_array(path, made)
    write_json(beside, {"sha256": sha256_of(path)})
    return made


def write_json(path: Path, value: Any) -> None:
    """Indented, key order kept, newline at the end."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Mapping[str, Any]) -> str:
    """sha256 (16 hex digits) of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
