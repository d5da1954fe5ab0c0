"""Contact sheets: what the data look like, frame above stick figure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.data.pack import Pack
from bench.files import write_bytes
from methods.pose import stick_figure


def chosen_frames(pack: Pack, character: int, dance_frames: int) -> NDArray[np.int64]:
    """A character's basic views and `dance_frames` evenly spaced dance frames."""
    frames = pack.frames_of(character)
    views, dance = frames[pack.view[frames] >= 0], frames[pack.view[frames] < 0]
    if len(dance) > dance_frames:
        dance = dance[np.linspace(0, len(dance) - 1, dance_frames).round().astype(int)]
    return np.concatenate([views, dance])


def contact_sheet(pack: Pack, characters: Sequence[int], path: Path, dance_frames: int = 8) -> None:
    """A PNG with two rows a character: its basic views and dance frames, and their stick figures below."""
    size = pack.image_size
    chosen = [chosen_frames(pack, character, dance_frames) for character in characters]
    columns = max(len(frames) for frames in chosen)
    sheet = np.full((2 * size * len(chosen), size * columns, 3), 255, np.uint8)
    for row, frames in enumerate(chosen):
        figures = stick_figure(pack.keypoints_of(frames), size)
        drawn = figures.add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for column, frame in enumerate(frames):
            across = slice(column * size, (column + 1) * size)
            top = 2 * row * size
            sheet[top : top + size, across] = pack.rgb[frame]
            sheet[top + size : top + 2 * size, across] = drawn[column]
    encoded = io.BytesIO()
    Image.fromarray(sheet).save(encoded, "PNG", optimize=True)
    write_bytes(path, encoded.getvalue())


def foreground_height(pack: Pack, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """Height of each frame's foreground as a fraction of the frame."""
    rows = np.any(pack.alpha[frames] > 127, axis=2)
    first, last = rows.argmax(1), rows.shape[1] - rows[:, ::-1].argmax(1)
    heights: NDArray[np.float64] = np.where(np.any(rows, axis=1), last - first, 0) / pack.image_size
    return heights
