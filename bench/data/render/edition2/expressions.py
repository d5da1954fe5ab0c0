"""The painted face in seven expressions: the same eyes, brows and mouth, held differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bench.data.render.characters.colors import RGB, mixed, scaled
from bench.data.render.characters.traits import Face, Traits
from bench.data.render.edition2.extras import Extras
from bench.data.render.edition2.eyes import (
    CANVAS,
    WHITE,
    Eye,
    Lids,
    Point,
    at,
    paint_brow,
    paint_closed,
    paint_open,
    points,
    stroke,
)

SIZE = 256  # enough for a picture of 256 px, in which a face is some 60 px wide
LIP: RGB = (150, 60, 60)
MOUTH: RGB = (140, 46, 56)
TONGUE: RGB = (222, 110, 116)
BLUSH: RGB = (240, 130, 120)
TEAR: RGB = (176, 222, 250)

OPEN, SHUT, HAPPY = "open", "shut", "happy"
AT_REST = Lids()


@dataclass(frozen=True)
class Expression:
    """How a face is held; eyes as (on the canvas's left, right): open, shut or happy."""

    mouth: str  # own: the one that the character's traits name
    eyes: tuple[str, str] = (OPEN, OPEN)
    lids: Lids = AT_REST
    brow_raised: float = 0.0
    brow_slope: float = 0.0
    blush: float = 1.0
    tear: bool = False


EXPRESSIONS: dict[str, Expression] = {
    "neutral": Expression("own"),
    "smile": Expression("wide smile", lids=Lids(upper=0.96, lower=0.86), brow_raised=0.10, blush=1.5),
    "singing": Expression("singing", brow_raised=0.22),
    "wink": Expression("grin", eyes=(OPEN, SHUT), brow_raised=0.05, blush=1.4),
    "laughing": Expression("laughing", eyes=(HAPPY, HAPPY), brow_raised=0.20, blush=1.8),
    "sad": Expression("frown", lids=Lids(upper=0.82, slope=-0.60), brow_raised=0.02, brow_slope=-0.45, tear=True),
    "angry": Expression("clenched", lids=Lids(upper=0.94, slope=0.50, iris=0.90), brow_raised=-0.42, brow_slope=0.50),
}
NEUTRAL = "neutral"


def face_texture(traits: Traits, extras: Extras, expression: str = NEUTRAL) -> Image.Image:
    """The face [256, 256] RGB on a ground of skin, in one of `EXPRESSIONS`."""
    face, skin, held = traits.face, traits.body.skin, EXPRESSIONS[expression]
    lash, brow = scaled(traits.hair.color, 0.22), scaled(traits.hair.color, 0.55)
    picture = Image.new("RGB", (CANVAS, CANVAS), skin)
    for side in (-1, 1):
        _blush(picture, at(side * face.eye_x * 1.25, face.eye_y - 0.30), skin, held.blush)
    _mark(picture, face, extras.face_mark, skin)
    eyes = Eye.of(face, -1), Eye.of(face, 1)
    # on the canvas's left is the character's right
    for eye, state, iris in zip(eyes, held.eyes, (extras.right_iris, face.iris), strict=True):
        if state == OPEN:
            paint_open(picture, eye, held.lids, face, extras, iris, skin, lash)
        else:
            paint_closed(picture, eye, face, skin, lash, state == HAPPY)
    draw = ImageDraw.Draw(picture)
    if held.tear:
        _tear(draw, eyes[1], skin)
    for eye in eyes:
        paint_brow(draw, eye, face, brow, held.brow_raised, held.brow_slope)
    _mouth(draw, face, face.mouth if held.mouth == "own" else held.mouth, extras.fang)
    x, y = at(0, face.nose_y)
    draw.ellipse((x - stroke(7), y - stroke(5), x + stroke(7), y + stroke(5)), fill=scaled(skin, 0.72))
    if face.glasses is not None:
        _glasses(draw, eyes, face.glasses)
    return picture.reduce(CANVAS // SIZE)


def face_textures(traits: Traits, extras: Extras) -> dict[str, NDArray[np.uint8]]:
    """Every expression as RGBA [256, 256, 4]."""
    return {name: np.asarray(face_texture(traits, extras, name).convert("RGBA")) for name in EXPRESSIONS}


def _blush(picture: Image.Image, centre: Point, skin: RGB, strength: float) -> None:
    w, h = stroke(110), stroke(60)
    spot = Image.new("L", (2 * w, 2 * h), 0)
    inset = stroke(40), stroke(34)
    ImageDraw.Draw(spot).ellipse((*inset, 2 * w - inset[0], 2 * h - inset[1]), fill=min(255, round(120 * strength)))
    place = round(centre[0]) - w, round(centre[1]) - h
    picture.paste(mixed(skin, BLUSH, 0.9), place, spot.filter(ImageFilter.GaussianBlur(stroke(16))))


def _mark(picture: Image.Image, face: Face, kind: str, skin: RGB) -> None:
    draw = ImageDraw.Draw(picture)
    if kind == "beauty mark":
        x, y = at(0.72 * face.eye_x, face.mouth_y + 0.10)
        draw.ellipse((x - stroke(9), y - stroke(9), x + stroke(9), y + stroke(9)), fill=scaled(skin, 0.32))
    elif kind == "plaster":
        x, y = at(-face.eye_x * 1.12, face.eye_y - 0.33)
        box = (x - stroke(52), y - stroke(18), x + stroke(52), y + stroke(18))
        draw.rounded_rectangle(box, stroke(16), fill=(246, 214, 170), outline=scaled(skin, 0.6), width=stroke(5))
        draw.rectangle((x - stroke(16), y - stroke(16), x + stroke(16), y + stroke(16)), fill=(232, 186, 138))
    elif kind in ("freckles", "blush lines"):
        for side in (-1, 1):
            for i, (dx, dy) in enumerate(((-0.12, 0.0), (-0.04, -0.035), (0.05, 0.0), (0.12, -0.03))):
                x, y = at(side * face.eye_x * 1.1 + dx, face.eye_y - 0.29 + dy)
                if kind == "freckles":
                    draw.ellipse((x - stroke(6), y - stroke(6), x + stroke(6), y + stroke(6)), fill=scaled(skin, 0.70))
                elif i < 3:
                    ends = [(x - stroke(10), y + stroke(20)), (x + stroke(10), y - stroke(20))]
                    draw.line(ends, fill=mixed(skin, (214, 80, 80), 0.75), width=stroke(7))


def _mouth(draw: ImageDraw.ImageDraw, face: Face, kind: str, fang: bool) -> None:
    """Half width of a mouth at rest is `face.mouth_width`; open ones are drawn larger so that they read."""
    x, y = at(0, face.mouth_y)
    w = CANVAS * face.mouth_width / 2
    if kind == "smile":
        draw.arc((x - w, y - 0.9 * w, x + w, y + 0.5 * w), 25, 155, fill=LIP, width=stroke(9))
    elif kind == "open":
        _cavity(draw, (x, y), 0.8 * w, 0.9 * w, fang)
    elif kind == "cat":
        for left in (x - w, x):
            draw.arc((left, y - 0.5 * w, left + w, y + 0.5 * w), 10, 170, fill=LIP, width=stroke(8))
    elif kind == "wide smile":
        w = max(w, 0.075 * CANVAS) * 1.25
        draw.arc((x - w, y - 1.15 * w, x + w, y + 0.55 * w), 18, 162, fill=LIP, width=stroke(11))
    elif kind == "grin":
        _cavity(draw, (x, y - 0.1 * w), max(1.05 * w, 0.075 * CANVAS), max(0.75 * w, 0.055 * CANVAS), fang)
    elif kind == "laughing":
        _cavity(draw, (x, y - 0.25 * w), max(1.25 * w, 0.095 * CANVAS), max(1.35 * w, 0.10 * CANVAS), fang)
    elif kind == "singing":
        rx, ry = max(0.62 * w, 0.048 * CANVAS), max(0.85 * w, 0.066 * CANVAS)
        box = (x - rx, y - ry, x + rx, y + ry)
        draw.ellipse(box, fill=MOUTH, outline=LIP, width=stroke(8))
        draw.ellipse((x - 0.62 * rx, y + 0.15 * ry, x + 0.62 * rx, y + 0.82 * ry), fill=TONGUE)
    elif kind == "frown":
        w = max(w, 0.065 * CANVAS)
        draw.arc((x - 0.85 * w, y - 0.1 * w, x + 0.85 * w, y + 1.3 * w), 208, 332, fill=LIP, width=stroke(11))
    elif kind == "clenched":
        rx, ry = max(0.95 * w, 0.075 * CANVAS), max(0.42 * w, 0.034 * CANVAS)
        corners = [(x - rx, y + ry), (x - 0.72 * rx, y - 0.8 * ry), (x + 0.72 * rx, y - 0.8 * ry), (x + rx, y + ry)]
        draw.polygon(corners, fill=WHITE)
        draw.line([*corners, corners[0]], fill=LIP, width=stroke(9), joint="curve")
        draw.line([(x - 0.86 * rx, y + 0.1 * ry), (x + 0.86 * rx, y + 0.1 * ry)], fill=LIP, width=stroke(4))
    else:  # flat
        draw.line((x - 0.7 * w, y, x + 0.7 * w, y), fill=LIP, width=stroke(8))


def _tear(draw: ImageDraw.ImageDraw, eye: Eye, skin: RGB) -> None:
    """A drop that hangs from the outer corner of an eye."""
    x, top, w = eye.x + 0.62 * eye.side * eye.w, eye.y + 0.86 * eye.h, 0.15 * eye.w
    drop = [(x, top - 1.2 * w), (x + w, top + 1.1 * w), (x, top + 2.2 * w), (x - w, top + 1.1 * w)]
    draw.polygon(drop, fill=TEAR)
    draw.ellipse((x - w, top + 0.2 * w, x + w, top + 2.2 * w), fill=TEAR, outline=scaled(skin, 0.62), width=stroke(4))


def _cavity(draw: ImageDraw.ImageDraw, top: Point, w: float, h: float, fang: bool) -> None:
    """An open mouth, flat above and round below: half width `w`, height `h`."""
    x, y = top
    angle = np.linspace(0, np.pi, 25)
    rim = np.stack([x + w * np.cos(angle), y + h * np.sin(angle) ** 0.85], axis=1)
    draw.polygon(points(rim), fill=MOUTH)
    tongue = np.stack([x + 0.62 * w * np.cos(angle), y + 0.93 * h - 0.42 * h * (1 - np.sin(angle))], axis=1)
    draw.polygon(points(tongue), fill=TONGUE)
    draw.line([*points(rim), (x + w, y)], fill=LIP, width=stroke(8), joint="curve")
    if fang:
        draw.polygon([(x + 0.35 * w, y), (x + 0.70 * w, y), (x + 0.52 * w, y + 0.42 * h)], fill=WHITE)


def _glasses(draw: ImageDraw.ImageDraw, eyes: tuple[Eye, Eye], color: RGB) -> None:
    left, right = eyes
    for eye in eyes:
        frame = (eye.x - 1.2 * eye.w, eye.y - 1.2 * eye.h, eye.x + 1.2 * eye.w, eye.y + 1.32 * eye.h)
        draw.rounded_rectangle(frame, radius=stroke(60), outline=color, width=stroke(13))
    draw.line((left.x + 1.2 * left.w, left.y, right.x - 1.2 * right.w, right.y), fill=color, width=stroke(13))
