"""Painted cloth and hair: RGB pictures; row 0 lies at the top of a garment, the middle column in front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from bench.data.render.characters.colors import OFF_WHITE, RGB, scaled
from bench.data.render.characters.mesh import smoothstep
from bench.data.render.characters.traits import Hair, Traits

SIZE = 256
DRESS_BODICE = 0.45  # the part of a dress's cloth above the waist
BUTTON_GOLD: RGB = (230, 200, 90)

Painter = Callable[[ImageDraw.ImageDraw, RGB, int], None]


def _bands(draw: ImageDraw.ImageDraw, color: RGB, repeats: int) -> None:
    for k in range(repeats):
        draw.rectangle((0, SIZE * k / repeats, SIZE, SIZE * (k + 0.5) / repeats), fill=color)


def _stripes(draw: ImageDraw.ImageDraw, color: RGB, repeats: int) -> None:
    repeats *= 3
    for k in range(repeats):
        draw.rectangle((SIZE * k / repeats, 0, SIZE * (k + 0.4) / repeats, SIZE), fill=color)


def _dots(draw: ImageDraw.ImageDraw, color: RGB, repeats: int) -> None:
    repeats *= 2
    pitch = SIZE / repeats
    for row in range(repeats):
        for column in range(repeats):
            x, y = pitch * (column + 0.5 * (row % 2) + 0.25), pitch * (row + 0.5)
            draw.ellipse((x - 0.24 * pitch, y - 0.24 * pitch, x + 0.24 * pitch, y + 0.24 * pitch), fill=color)


def _hem(draw: ImageDraw.ImageDraw, color: RGB, repeats: int) -> None:
    for top, bottom in ((0.80, 0.86), (0.89, 0.92)):
        draw.rectangle((0, SIZE * top, SIZE, SIZE * bottom), fill=color)


PAINTERS: dict[str, Painter] = {"bands": _bands, "stripes": _stripes, "dots": _dots, "hem": _hem}


def pattern(kind: str, ground: RGB, figure: RGB, repeats: int) -> Image.Image:
    """Cloth of one of the patterns in `PAINTERS`, "plaid", "gradient" or "solid"."""
    picture = Image.new("RGB", (SIZE, SIZE), ground)
    if kind in PAINTERS:
        PAINTERS[kind](ImageDraw.Draw(picture), figure, repeats)
    elif kind == "plaid":
        picture = _plaid(picture, figure, repeats + 3)
    elif kind == "gradient":
        share = np.linspace(0, 1, SIZE)[:, None, None] ** 1.5 * np.ones((1, SIZE, 1))
        pixels = np.array(ground) * (1 - share) + np.array(figure) * share
        picture = Image.fromarray(np.round(pixels).astype(np.uint8))
    return picture


def _plaid(picture: Image.Image, figure: RGB, repeats: int) -> Image.Image:
    for upright in (True, False):
        layer = Image.new("RGBA", picture.size, (*figure, 0))
        draw = ImageDraw.Draw(layer)
        for k in range(repeats):
            low, high = SIZE * k / repeats, SIZE * (k + 0.45) / repeats
            draw.rectangle((low, 0, high, SIZE) if upright else (0, low, SIZE, high), fill=(*figure, 110))
            if not upright:
                y = SIZE * (k + 0.7) / repeats
                draw.line((0, y, SIZE, y), fill=(*OFF_WHITE, 120), width=2)
        picture = Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
    return picture


def top_cloth(traits: Traits) -> Image.Image:
    """The front and back of the top with what is sewn or printed on it."""
    clothes = traits.clothes
    picture = pattern(clothes.top_pattern, clothes.top_color, clothes.accent, clothes.top_repeats)
    draw = ImageDraw.Draw(picture)
    if clothes.top in ("blazer", "coat"):
        _lapels(draw, clothes.top_color)
    elif clothes.top == "hoodie":
        draw.rounded_rectangle((96, 165, 160, 225), radius=12, fill=scaled(clothes.top_color, 0.84))
        for x, drift in ((118, -2), (138, 2)):
            draw.line((x, 22, x + drift, 84), fill=clothes.accent, width=4)
    elif clothes.top == "kimono":
        draw.polygon([(96, 0), (160, 0), (124, 116)], fill=traits.body.skin)
        draw.line((92, 0, 150, 175), fill=clothes.accent, width=12)
        draw.line((164, 0, 106, 150), fill=clothes.accent, width=12)
    elif clothes.top == "shirt" and clothes.top_pattern in ("solid", "gradient"):
        _motif(draw, clothes.motif, clothes.top_color, clothes.accent)
    return picture


def _lapels(draw: ImageDraw.ImageDraw, cloth: RGB) -> None:
    line = scaled(cloth, 0.55)
    draw.polygon([(102, 0), (154, 0), (128, 120)], fill=OFF_WHITE)
    draw.line((102, 0, 128, 120, 154, 0), fill=line, width=5)
    draw.line((128, 120, 128, 256), fill=line, width=3)
    for y in (140, 180, 215):
        draw.ellipse((131, y, 139, y + 8), fill=BUTTON_GOLD)


def _motif(draw: ImageDraw.ImageDraw, motif: str, cloth: RGB, accent: RGB) -> None:
    if motif == "buttons":
        draw.line((128, 0, 128, 256), fill=scaled(cloth, 0.75), width=3)
        for y in range(30, 250, 38):
            draw.ellipse((124, y, 132, y + 8), fill=accent)
    elif motif == "disc":
        draw.ellipse((114, 88, 142, 134), fill=accent)  # the cloth is wider round the body than it is tall
    elif motif == "star":
        angle = np.arange(10) * np.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 34, 14)
        points = zip(128 + 0.62 * radius * np.sin(angle), 112 - radius * np.cos(angle), strict=True)
        draw.polygon([(float(x), float(y)) for x, y in points], fill=accent)


def sleeve_cloth(traits: Traits) -> Image.Image:
    """The sleeves repeat those patterns of the top that look the same along an arm."""
    clothes = traits.clothes
    kind = clothes.top_pattern if clothes.top_pattern in ("bands", "dots", "plaid") else "solid"
    return pattern(kind, clothes.top_color, clothes.accent, clothes.top_repeats)


def bottom_cloth(traits: Traits) -> Image.Image:
    clothes = traits.clothes
    if clothes.bottom == "dress":
        return pattern(clothes.top_pattern, clothes.top_color, clothes.accent, clothes.top_repeats)
    return pattern(clothes.bottom_pattern, clothes.bottom_color, clothes.accent, clothes.bottom_repeats)


def stocking(traits: Traits, edge: float) -> Image.Image:
    """A leg: skin above `edge` (0 at the top of the leg, 1 at the ankle), stocking below."""
    picture = Image.new("RGB", (8, SIZE), traits.body.skin)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, SIZE * edge, 8, SIZE), fill=traits.clothes.legwear_color)
    if traits.clothes.leg_band and edge > 0:
        draw.rectangle((0, SIZE * edge + 3, 8, SIZE * edge + 9), fill=traits.clothes.accent)
    return picture


def sailor_collar_cloth(traits: Traits) -> Image.Image:
    picture = Image.new("RGB", (64, 64), traits.clothes.bottom_color)
    stripe = OFF_WHITE if sum(traits.clothes.bottom_color) < 560 else traits.clothes.accent
    ImageDraw.Draw(picture).rectangle((0, 48, 64, 54), fill=stripe)
    return picture


def hair_strand(hair: Hair) -> Image.Image:
    """A lock from root (row 0) to tip, with the ring of light that runs round an anime head."""
    t, x = np.linspace(0, 1, 128)[:, None, None], np.linspace(0, 1, 32)[None, :, None]
    to_tip = smoothstep(t, 0.55, 1.0)
    pixels = np.array(hair.color) * (1 - to_tip) + np.array(hair.tip) * to_tip
    ring = np.exp(-(((t - 0.30) / 0.045) ** 2)) * 0.75 * (0.6 + 0.4 * np.sin(40 * x))
    pixels = pixels * (1 - ring) + np.array(hair.highlight) * ring
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))
