"""What the fusion residual blocks make of a pose that moves across the canvas (Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.figures.sheet import U8, Sheet, Span, draw_sheet

Maps = NDArray[np.floating[Any]]
COLOUR_MAP = "viridis"  # from dark to light in even steps, for colour-blind eyes too (van der Walt & Smith 2015)


def feature_maps(
    source: U8,
    poses: Sequence[U8],
    maps: Mapping[str, Maps],
    outputs: Sequence[U8],
    offsets: Sequence[int],
    path_stem: Path,
) -> list[Path]:
    """The source, the stick figure at several places, the aligned maps of each block, and what is drawn from them.

    `maps` holds [poses, C, h, w] by the name of its block; shown is the mean over channels of the absolute
    activation, and one scale of colours serves the whole row of a block. Raises DataError for lists of different
    lengths.
    """
    if not len(poses) == len(outputs) == len(offsets) or any(len(found) != len(poses) for found in maps.values()):
        raise DataError("poses, maps, outputs and shifts must be as many as each other")
    rows: list[list[U8 | None]] = [[source, *poses]]
    rows += [[None, *heat(activation(found))] for found in maps.values()]
    rows.append([None, *outputs])
    sheet = Sheet(
        rows,
        heads=["Source", *(shift_words(pixels) for pixels in offsets)],
        sides=[Span(name, row, row) for row, name in enumerate(("target pose", *maps, "output"))],
        column_breaks=frozenset({1}),
        crop=False,  # where the character stands in the frame is what is shown
    )
    return draw_sheet(sheet, path_stem)


def shift_words(pixels: int) -> str:
    return "not shifted" if not pixels else f"{'+' if pixels > 0 else '−'}{abs(pixels)} px"


def activation(maps: Maps) -> NDArray[np.float64]:
    """Mean absolute value over channels: [N, C, h, w] -> [N, h, w]."""
    strength: NDArray[np.float64] = np.abs(np.asarray(maps, np.float64)).mean(axis=1)
    return strength


def follows(maps: Maps, offsets: Sequence[int], size: int) -> float:
    """How many pixels the centre of the maps [N, C, h, w] moves for each pixel the pose moves, by least squares.

    `size` is that of the images, in whose pixels both are counted. The centre is the horizontal centre of gravity
    of the activation above its median, which is what a map shows where nothing stands. 1 is a map that goes where
    the pose goes, 0 one that stays. What a map cannot show beyond its border draws the number towards 0.
    """
    strength = activation(maps)
    above = np.maximum(strength - np.median(strength, axis=(1, 2), keepdims=True), 0).sum(axis=1)
    across = (np.arange(strength.shape[2]) + 0.5) * size / strength.shape[2]
    centre = (above * across).sum(1) / np.maximum(above.sum(1), 1e-12)
    return float(np.polyfit(np.asarray(offsets, np.float64), centre, 1)[0])


def heat(strength: NDArray[np.float64]) -> U8:
    """Maps [N, h, w] in colours: uint8 [N, h, w, 3], one scale for all, from their 1st to their 99th percentile."""
    low, high = np.percentile(strength, (1, 99))
    scaled = np.clip((strength - low) / max(high - low, 1e-12), 0, 1)
    coloured: U8 = matplotlib.colormaps[COLOUR_MAP](scaled, bytes=True)[..., :3]
    return coloured
