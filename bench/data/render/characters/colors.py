"""Colours of a character: 8-bit display-referred RGB triples."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

RGB = tuple[int, int, int]
T = TypeVar("T")

OFF_WHITE: RGB = (244, 243, 240)  # the lightest cloth: the ground of every picture is pure white


def hsv(hue: float, saturation: float, value: float) -> RGB:
    """Colour from hue (turns, wraps), saturation and value (clipped to [0, 1])."""
    r, g, b = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(255 * r), round(255 * g), round(255 * b)


def scaled(color: RGB, factor: float) -> RGB:
    """The colour darkened (factor < 1) or brightened, clipped."""
    r, g, b = (min(255, round(channel * factor)) for channel in color)
    return r, g, b


def mixed(first: RGB, second: RGB, share: float) -> RGB:
    """`first` with a share in [0, 1] of `second`."""
    r, g, b = (round(x + (y - x) * share) for x, y in zip(first, second, strict=True))
    return r, g, b


def cloth(color: RGB) -> RGB:
    """The colour kept off pure white, so that a light garment keeps its edge on a white ground."""
    r, g, b = (min(channel, most) for channel, most in zip(color, OFF_WHITE, strict=True))
    return r, g, b


def luminance(color: RGB) -> float:
    """Rec. 601 luma in [0, 1]."""
    return (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255


def distance(first: RGB, second: RGB) -> float:
    """The "redmean" approximation of a perceptual distance; black to white is about 765."""
    mean_red = (first[0] + second[0]) / 2
    dr, dg, db = (float(x - y) for x, y in zip(first, second, strict=True))
    return float(((2 + mean_red / 256) * dr * dr + 4 * dg * dg + (2 + (255 - mean_red) / 256) * db * db) ** 0.5)


def apart(colors: Iterable[RGB], others: Sequence[RGB], least: float) -> tuple[RGB, ...]:
    """Those colours that differ from every one of `others` by `least`; all of them when none does."""
    colors = tuple(colors)
    kept = tuple(color for color in colors if all(distance(color, other) >= least for other in others))
    return kept or colors


def most_distinct(draw: Callable[[int], T], margin: Callable[[T], float], attempts: int = 16) -> T:
    """The first of `draw(0), draw(1), …` whose margin is at least 1, else the one with the largest."""
    best = draw(0)
    for attempt in range(1, attempts):
        if margin(best) >= 1:
            break
        candidate = draw(attempt)
        if margin(candidate) > margin(best):
            best = candidate
    return best
