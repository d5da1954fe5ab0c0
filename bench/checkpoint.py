"""Checkpoints: written beside, flushed and renamed; digest checked on load; the last two kept."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from bench.errors import DataError
from bench.files import read_json, write_bytes, write_json


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) to `path`, its sha256 to `path`.json."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_bytes(path, content)
    write_json(
        path.with_name(path.name + ".json"),
        {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
    )


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a state written by `save_state`; never runs code that a file carries.

    Raises DataError when the file is missing, damaged or not a plain state.
    """
    try:
        content = path.read_bytes()
        expected = read_json(path.with_name(path.name + ".json"))["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"cannot read the checkpoint {path}: {error}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise DataError(f"the checkpoint {path} is damaged (its sha256 is not the recorded one); delete it")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception as error:
        raise DataError(f"the checkpoint {path} is not a plain state of tensors: {error}") from error
    return state


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int = 2) -> None:
    """Write `checkpoint-<step>.pt`, then forget all but the newest `keep`."""
    save_state(folder / f"checkpoint-{step:08d}.pt", state)
    for old in sorted(folder.glob("checkpoint-*.pt"))[:-keep]:
        old.unlink()
        old.with_name(old.name + ".json").unlink(missing_ok=True)


def latest_checkpoint(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The newest checkpoint that is whole, or None. A damaged one is passed over for the one before."""
    for path in sorted(folder.glob("checkpoint-*.pt"), reverse=True):
        try:
            return load_state(path, device)
        except DataError:
            continue
    return None


def clear_checkpoints(folder: Path) -> None:
    for path in folder.glob("checkpoint-*.pt*"):
        path.unlink()
