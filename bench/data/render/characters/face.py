"""The painted face: blush, eyes, brows, nose, mouth and glasses, seen straight from the front.

Painted at twice its final size, since Pillow draws without antialiasing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from bench.data.render.characters.colors import RGB, mixed, scaled
from bench.data.render.characters.traits import Face, Traits

CANVAS = 1024
SIZE = 512
# The picture spans a little more than the face: these are its half width and half height in half heads.
SPAN_X, SPAN_Y = 1.04, 1.06
LIP: RGB = (150, 60, 60)
TONGUE: RGB = (190, 70, 80)
BLUSH: RGB = (240, 130, 120)
EYE_WHITE: RGB = (250, 250, 252)
EYE_SHADOW: RGB = (212, 208, 222)
WHITE: RGB = (255, 255, 255)

Point = tuple[float, float]


def face_picture(traits: Traits) -> Image.Image:
    """The face [512, 512] RGB on a ground of skin."""
    face, skin = traits.face, traits.body.skin
    picture = Image.new("RGB", (CANVAS, CANVAS), skin)
    for side in (-1, 1):
        _blush(picture, _at(side * face.eye_x * 1.25, face.eye_y - 0.30), skin)
    for side in (-1, 1):
        _eye(picture, face, side, skin, scaled(traits.hair.color, 0.22))
    draw = ImageDraw.Draw(picture)
    for side in (-1, 1):
        _brow(draw, face, side, scaled(traits.hair.color, 0.55))
    _mouth(draw, face)
    x, y = _at(0, face.nose_y)
    draw.ellipse((x - 7, y - 5, x + 7, y + 5), fill=scaled(skin, 0.72))
    if face.glasses is not None:
        _glasses(draw, face, face.glasses)
    return picture.reduce(CANVAS // SIZE)


def _at(x: float, y: float) -> Point:
    return CANVAS * (0.5 + x / 2), CANVAS * (0.5 - y / 2)


def _half_eye(face: Face) -> Point:
    return CANVAS * face.eye_width / 2, CANVAS * face.eye_height / 2


def _points(curve: NDArray[np.float64]) -> list[Point]:
    return [(float(x), float(y)) for x, y in curve]


def _blush(picture: Image.Image, centre: Point, skin: RGB) -> None:
    spot = Image.new("L", (220, 120), 0)
    ImageDraw.Draw(spot).ellipse((40, 34, 180, 86), fill=120)
    left, top = round(centre[0]) - 110, round(centre[1]) - 60
    picture.paste(mixed(skin, BLUSH, 0.9), (left, top), spot.filter(ImageFilter.GaussianBlur(16)))


def _eye(picture: Image.Image, face: Face, side: int, skin: RGB, dark: RGB) -> None:
    """White, iris with highlights, lashes and lid crease of one eye."""
    cx, cy = _at(side * face.eye_x, face.eye_y)
    w, h = _half_eye(face)
    t = np.linspace(-1, 1, 41)
    lean = t * side * face.eye_tilt * w
    upper = np.stack([cx + w * t, cy - h * (1 - np.abs(t) ** 2.4) - lean], axis=1)
    lower = np.stack([cx + 0.86 * w * t, cy + 0.95 * h * (1 - np.abs(t) ** 3) - 0.8 * lean], axis=1)
    outline = np.concatenate([upper, lower[::-1]])
    corner = np.floor(outline.min(0)) - 8
    extent = np.ceil(outline.max(0)) + 8 - corner
    box = (int(corner[0]), int(corner[1]))
    mask = Image.new("L", (int(extent[0]), int(extent[1])), 0)
    ImageDraw.Draw(mask).polygon(_points(outline - corner), fill=255)
    ball = _eyeball(mask.size, (cx - corner[0], cy - corner[1]), face, (w, h))
    picture.paste(ball, box, mask.filter(ImageFilter.GaussianBlur(1)))

    draw = ImageDraw.Draw(picture)
    thick = h * face.lash
    lash = upper - np.stack([0 * t, thick * (0.55 + 0.45 * (1 - np.abs(t)))], axis=1)
    draw.polygon(_points(np.concatenate([upper + (0, 0.35 * thick), lash[::-1]])), fill=dark)
    outer = upper[-4] if side > 0 else upper[3]
    wing = np.array(
        [
            (-side * 0.25 * w, -1.2 * thick),
            (side * 0.22 * w, -0.55 * thick - face.eye_tilt * w),
            (side * 0.04 * w, 0.6 * thick),
        ]
    )
    draw.polygon(_points(outer + wing), fill=dark)
    draw.line(_points(lower[8:33]), fill=scaled(skin, 0.5), width=6)
    crease = [(cx - 0.8 * w, cy - 1.38 * h), (cx, cy - 1.55 * h), (cx + 0.8 * w, cy - 1.38 * h)]
    draw.line(crease, fill=scaled(skin, 0.78), width=4, joint="curve")


def _eyeball(size: tuple[int, int], centre: Point, face: Face, half: Point) -> Image.Image:
    """The eye before the lids cut it: iris dark above and light below, pupil, two highlights."""
    (cx, cy), (w, h) = centre, half
    ball = Image.new("RGB", size, EYE_WHITE)
    draw = ImageDraw.Draw(ball)
    draw.rectangle((0, 0, size[0], cy - 0.55 * h), fill=EYE_SHADOW)
    iw, ih = w * face.iris_width, h * 1.12
    draw.ellipse((cx - iw, cy - ih, cx + iw, cy + ih), fill=scaled(face.iris, 0.34))
    steps = 26
    for f in np.linspace(0, 1, steps):
        y = cy - 0.9 * ih + 1.8 * ih * f
        reach = 0.88 * iw * max(0.0, 1 - ((y - cy) / (0.92 * ih)) ** 2) ** 0.5
        light = scaled(face.iris, 0.42 + 0.80 * f)
        draw.rectangle((cx - reach, y, cx + reach, y + 2.1 * ih / steps), fill=mixed(light, WHITE, 0.14 * f * f))
    pupil = scaled(face.iris, 0.18)
    draw.ellipse((cx - 0.42 * iw, cy - 0.45 * ih, cx + 0.42 * iw, cy + 0.35 * ih), fill=pupil)
    draw.ellipse((cx - 0.64 * iw, cy - 0.74 * ih, cx, cy - 0.18 * ih), fill=WHITE)
    draw.ellipse((cx + 0.22 * iw, cy + 0.30 * ih, cx + 0.58 * iw, cy + 0.60 * ih), fill=WHITE)
    return ball


def _brow(draw: ImageDraw.ImageDraw, face: Face, side: int, color: RGB) -> None:
    cx, cy = _at(side * face.eye_x, face.eye_y)
    w, h = _half_eye(face)
    y = cy - h * (1.55 + face.brow_gap)
    lean = face.brow_tilt * side * w * 0.6
    arch = [(cx - 0.85 * w, y + lean), (cx, y - 0.16 * h), (cx + 0.85 * w, y - lean)]
    draw.line(arch, fill=color, width=round(10 + 6 * face.brow_weight), joint="curve")


def _mouth(draw: ImageDraw.ImageDraw, face: Face) -> None:
    x, y = _at(0, face.mouth_y)
    w = CANVAS * face.mouth_width / 2
    if face.mouth == "smile":
        draw.arc((x - w, y - 0.9 * w, x + w, y + 0.5 * w), 25, 155, fill=LIP, width=8)
    elif face.mouth == "open":
        box = (x - 0.8 * w, y - 0.9 * w, x + 0.8 * w, y + 0.9 * w)
        draw.chord(box, 0, 180, fill=TONGUE)
        draw.arc(box, 0, 180, fill=LIP, width=6)
        draw.line((x - 0.8 * w, y, x + 0.8 * w, y), fill=LIP, width=6)
    elif face.mouth == "cat":
        for left in (x - w, x):
            draw.arc((left, y - 0.5 * w, left + w, y + 0.5 * w), 10, 170, fill=LIP, width=7)
    else:
        draw.line((x - 0.7 * w, y, x + 0.7 * w, y), fill=LIP, width=7)


def _glasses(draw: ImageDraw.ImageDraw, face: Face, color: RGB) -> None:
    w, h = CANVAS * face.eye_width, CANVAS * face.eye_height
    for side in (-1, 1):
        cx, cy = _at(side * face.eye_x, face.eye_y)
        frame = (cx - 0.60 * w, cy - 0.60 * h, cx + 0.60 * w, cy + 0.66 * h)
        draw.rounded_rectangle(frame, radius=60, outline=color, width=13)
    (left, y), (right, _) = _at(-face.eye_x, face.eye_y), _at(face.eye_x, face.eye_y)
    draw.line((left + 0.60 * w, y, right - 0.60 * w, y), fill=color, width=13)
