"""Painted eyes and brows, open and closed, on a face seen straight from the front.

Places are in canvas pixels; widths of lines are given for a canvas of 1024 px and scaled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bench.data.render.characters.colors import RGB, mixed, scaled
from bench.data.render.characters.traits import Face
from bench.data.render.edition2.extras import Extras

CANVAS = 768
EYE_WHITE: RGB = (250, 250, 252)
EYE_SHADOW: RGB = (212, 208, 222)
WHITE: RGB = (255, 255, 255)

Point = tuple[float, float]


def at(x: float, y: float) -> Point:
    """Canvas place of face coordinates in [-1, 1], y up."""
    return CANVAS * (0.5 + x / 2), CANVAS * (0.5 - y / 2)


def stroke(width: float) -> int:
    """Line width in pixels of one that is `width` wide on a canvas of 1024 px."""
    return max(1, round(width * CANVAS / 1024))


def points(curve: NDArray[np.float64]) -> list[Point]:
    return [(float(x), float(y)) for x, y in curve]


@dataclass(frozen=True)
class Eye:
    """Where an eye is on the canvas: centre, half width, half height; side −1 left on the canvas, +1 right."""

    side: int
    x: float
    y: float
    w: float
    h: float
    tilt: float

    @classmethod
    def of(cls, face: Face, side: int) -> Eye:
        x, y = at(side * face.eye_x, face.eye_y)
        return cls(side, x, y, CANVAS * face.eye_width / 2, CANVAS * face.eye_height / 2, face.eye_tilt)

    def lean(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the eye's axis rises at t in [-1, 1] across it."""
        return np.asarray(t * self.side * self.tilt * self.w)


@dataclass(frozen=True)
class Lids:
    """How an eye is held."""

    upper: float = 1.0  # height of the upper lid's arch, 1: fully open
    lower: float = 1.0  # depth of the lower lid's
    slope: float = 0.0  # > 0: the inner corner of the upper lid comes down (angry), < 0: the outer one (sad)
    iris: float = 1.0  # size of iris and pupil


def paint_open(
    picture: Image.Image, eye: Eye, lids: Lids, face: Face, extras: Extras, iris: RGB, skin: RGB, dark: RGB
) -> None:
    """White, iris with highlights, lashes and lid crease."""
    t = np.linspace(-1, 1, 41)
    arch = lids.upper * (1 - np.abs(t) ** 2.4)
    # the lid's slope lowers one half of the arch: −side is the inner half
    arch = arch * (1 - np.clip(lids.slope * -eye.side * t, 0, 1)) - 0.15 * abs(lids.slope) * (1 - np.abs(t))
    upper = np.stack([eye.x + eye.w * t, eye.y - eye.h * arch - eye.lean(t)], axis=1)
    lower_y = eye.y + 0.95 * eye.h * lids.lower * (1 - np.abs(t) ** 3) - 0.8 * eye.lean(t)
    lower = np.stack([eye.x + 0.86 * eye.w * t, lower_y], axis=1)
    outline = np.concatenate([upper, lower[::-1]])
    corner = np.floor(outline.min(0)) - 6
    extent = np.ceil(outline.max(0)) + 6 - corner
    mask = Image.new("L", (int(extent[0]), int(extent[1])), 0)
    ImageDraw.Draw(mask).polygon(points(outline - corner), fill=255)
    middle = (eye.x - float(corner[0]), eye.y - float(corner[1]))
    ball = _eyeball(mask.size, middle, eye, lids, face, extras, iris)
    picture.paste(ball, (int(corner[0]), int(corner[1])), mask.filter(ImageFilter.GaussianBlur(0.8)))

    draw = ImageDraw.Draw(picture)
    thick = eye.h * face.lash
    lash = upper - np.stack([0 * t, thick * (0.55 + 0.45 * (1 - np.abs(t)))], axis=1)
    draw.polygon(points(np.concatenate([upper + (0, 0.35 * thick), lash[::-1]])), fill=dark)
    _wing(draw, eye, upper[-4] if eye.side > 0 else upper[3], thick, dark)
    draw.line(points(lower[8:33]), fill=scaled(skin, 0.5), width=stroke(6))
    _crease(draw, eye, skin)


def paint_closed(picture: Image.Image, eye: Eye, face: Face, skin: RGB, dark: RGB, happy: bool) -> None:
    """A closed eye: an arch (∩) where it is happy, else the lid's lower edge (∪)."""
    draw = ImageDraw.Draw(picture)
    t = np.linspace(-1, 1, 31)
    thick = eye.h * face.lash * 0.85
    bend = 0.62 if happy else -0.28
    base = eye.y + (0.30 if happy else 0.25) * eye.h
    line = base - bend * eye.h * (1 - t * t) - eye.lean(t)
    profile = thick * (0.25 + 0.75 * (1 - np.abs(t) ** 1.5))
    x = eye.x + 0.95 * eye.w * t
    above, below = np.stack([x, line - 0.5 * profile], axis=1), np.stack([x, line + 0.5 * profile], axis=1)
    draw.polygon(points(np.concatenate([above, below[::-1]])), fill=dark)
    if not happy:
        for reach in (0.55, 0.85):  # lashes
            i = round((eye.side * reach + 1) * 15)
            start = np.array([x[i], line[i]])
            end = start + (eye.side * 0.14 * eye.w, 0.20 * eye.h)
            draw.line(points(np.stack([start, end])), fill=dark, width=stroke(9))
        _crease(draw, eye, skin)


def _wing(draw: ImageDraw.ImageDraw, eye: Eye, outer: NDArray[np.float64], thick: float, dark: RGB) -> None:
    """The lash that stands out at the outer corner."""
    wing = np.array(
        [
            (-eye.side * 0.25 * eye.w, -1.2 * thick),
            (eye.side * 0.22 * eye.w, -0.55 * thick - eye.tilt * eye.w),
            (eye.side * 0.04 * eye.w, 0.6 * thick),
        ]
    )
    draw.polygon(points(outer + wing), fill=dark)


def _crease(draw: ImageDraw.ImageDraw, eye: Eye, skin: RGB) -> None:
    high, top = eye.y - 1.38 * eye.h, eye.y - 1.55 * eye.h
    curve = [(eye.x - 0.8 * eye.w, high), (eye.x, top), (eye.x + 0.8 * eye.w, high)]
    draw.line(curve, fill=scaled(skin, 0.78), width=stroke(4), joint="curve")


def _eyeball(
    size: tuple[int, int], centre: Point, eye: Eye, lids: Lids, face: Face, extras: Extras, iris: RGB
) -> Image.Image:
    """The eye before the lids cut it: iris dark above and light below, pupil, highlights."""
    cx, cy = centre
    ball = Image.new("RGB", size, EYE_WHITE)
    draw = ImageDraw.Draw(ball)
    draw.rectangle((0, 0, size[0], cy - 0.55 * eye.h), fill=EYE_SHADOW)
    iw, ih = eye.w * face.iris_width * lids.iris, eye.h * 1.12 * lids.iris
    draw.ellipse((cx - iw, cy - ih, cx + iw, cy + ih), fill=scaled(iris, 0.34))
    steps = 22
    for f in np.linspace(0, 1, steps):
        y = cy - 0.9 * ih + 1.8 * ih * f
        reach = 0.88 * iw * max(0.0, 1 - ((y - cy) / (0.92 * ih)) ** 2) ** 0.5
        light = scaled(iris, 0.42 + 0.80 * f)
        draw.rectangle((cx - reach, y, cx + reach, y + 2.1 * ih / steps), fill=mixed(light, WHITE, 0.14 * f * f))
    _pupil(draw, extras.eye_style, (cx, cy), (iw, ih), iris)
    draw.ellipse((cx - 0.64 * iw, cy - 0.74 * ih, cx, cy - 0.18 * ih), fill=WHITE)
    draw.ellipse((cx + 0.22 * iw, cy + 0.30 * ih, cx + 0.58 * iw, cy + 0.60 * ih), fill=WHITE)
    return ball


def _pupil(draw: ImageDraw.ImageDraw, style: str, centre: Point, half: Point, iris: RGB) -> None:
    (cx, cy), (iw, ih) = centre, half
    dark = scaled(iris, 0.18)
    if style == "slit":
        draw.ellipse((cx - 0.16 * iw, cy - 0.62 * ih, cx + 0.16 * iw, cy + 0.58 * ih), fill=dark)
        return
    if style == "ring":
        bright = mixed(scaled(iris, 1.25), WHITE, 0.35)
        draw.ellipse((cx - 0.60 * iw, cy - 0.58 * ih, cx + 0.60 * iw, cy + 0.56 * ih), outline=bright, width=stroke(9))
    draw.ellipse((cx - 0.42 * iw, cy - 0.45 * ih, cx + 0.42 * iw, cy + 0.35 * ih), fill=dark)
    if style == "star":
        angle = np.arange(10) * np.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 0.36, 0.14)
        star = np.stack([cx + radius * iw * np.sin(angle), cy - 0.05 * ih - radius * ih * np.cos(angle)], axis=1)
        draw.polygon(points(star), fill=mixed(scaled(iris, 1.3), WHITE, 0.6))


def paint_brow(
    draw: ImageDraw.ImageDraw, eye: Eye, face: Face, color: RGB, raised: float = 0.0, slope: float = 0.0
) -> None:
    """A brow `raised` by a fraction of the eye's half height; slope > 0 lowers its inner end (angry)."""
    y = eye.y - eye.h * (1.55 + face.brow_gap + raised)
    lean = (face.brow_tilt * 0.6 + slope) * eye.side * eye.w
    arch = [(eye.x - 0.85 * eye.w, y + lean), (eye.x, y - 0.16 * eye.h), (eye.x + 0.85 * eye.w, y - lean)]
    draw.line(arch, fill=color, width=stroke(10 + 6 * face.brow_weight), joint="curve")
