"""Checkpoints: written beside, flushed and renamed; digest checked on load; the last two kept."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from bench.errors import DataError, NonFiniteLoss, of_the_machine
from bench.files import read_json, write_bytes, write_json


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) to `path`, its sha256 to `path`.json.

    Raises NonFiniteLoss, and writes nothing, where a tensor holds NaN or infinity: a step whose losses are finite can
    still leave such weights.
    """
    bad = [name for name, tensor in _tensors(state) if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise NonFiniteLoss(
            f"{path.parent.name}: {bad[0]} and {len(bad) - 1} more tensors are not finite where {path.name} was to be "
            "written; the last healthy checkpoint is kept. Try --precision fp32 or a smaller learning rate"
        )
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    write_bytes(path, content)
    write_json(_digest_file(path), {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)})


def load_state(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a state written by `save_state`; never runs code that a file carries.

    Raises DataError when the file is missing, damaged or not a plain state. What says nothing of the file, such as a
    disk that cannot be read or want of memory, is raised as it comes.
    """
    way_out = f"delete the folder {path.parent} and run the same command again"
    try:
        content = path.read_bytes()
        expected = read_json(_digest_file(path))["sha256"]
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"cannot read the checkpoint {path} ({error}); {way_out}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise DataError(f"the checkpoint {path} is damaged: its sha256 is not the recorded one; {way_out}")
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception as error:
        if of_the_machine(error):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"the checkpoint {path} is not a plain state of tensors ({reason}); {way_out}") from error
    if not isinstance(state, dict):
        raise DataError(f"the checkpoint {path} is a {type(state).__name__}, not a state; {way_out}")
    return state


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write `checkpoint-<step>.pt`, then forget all but it and the last whole one before it."""
    path = folder / f"checkpoint-{step:08d}.pt"
    save_state(path, state)
    # those of later steps could not be read when this run went on from an earlier one
    before = [other for other in _checkpoints(folder) if other < path and _digest_file(other).exists()]
    for other in _checkpoints(folder):
        if other not in (path, *before[-1:]):
            _forget(other)


def latest_checkpoint(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The newest checkpoint that is whole, or None. A damaged one is passed over for the one before."""
    for path in reversed(_checkpoints(folder)):
        try:
            return load_state(path, device)
        except DataError:
            continue
    return None


def clear_checkpoints(folder: Path, keep: int = 1) -> None:
    """Forget all checkpoints but the newest `keep`.

    One stays until the work is marked done: a kill between the two would cost all of the training.
    """
    checkpoints = _checkpoints(folder)
    for path in checkpoints[: len(checkpoints) - keep]:
        _forget(path)


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("checkpoint-*.pt"))


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _forget(path: Path) -> None:
    _digest_file(path).unlink(missing_ok=True)  # first: what is left without it is not whole
    path.unlink(missing_ok=True)  # another process that waited for the same training may be at it


def _tensors(state: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(state, torch.Tensor):
        yield name.removeprefix("."), state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from _tensors(value, f"{name}.{key}")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from _tensors(value, f"{name}.{number}")
