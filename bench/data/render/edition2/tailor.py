"""The mesh builder of edition 2: it sews ornaments on cloth and keeps light garments apart from the white ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from bench.data.render.characters.colors import OFF_WHITE, RGB, distance, luminance, scaled
from bench.data.render.characters.mesh import CLOTH_SHADE, OUTLINE, MeshBuilder, Surface, Weights, smoothstep
from bench.data.render.characters.skeleton import Figure
from bench.data.render.characters.textures import BUTTON_GOLD
from bench.data.render.characters.traits import Traits
from bench.data.render.edition2.extras import Extras
from bench.data.render.model import Skeleton

LIGHT = 0.84  # luma from which cloth is lost on white
LIGHT_SHADE = (0.72, 0.73, 0.84)  # cool shadows that lie along the edges
LIGHT_SHIFT = -0.10
LIGHT_OUTLINE = 1.25  # times the width
HEM_DARKNESS = 0.80
TUCKED_IN = ("shirt", "sailor", "kimono")  # tops that end just below the waistband
TUCK = 0.13  # of their width there
SKIN_MATERIALS = ("skin", "head", "face", "hands")


class Tailor(MeshBuilder):
    """Collects a character's parts, changing the cloth as the edition wants it."""

    def __init__(self, skeleton: Skeleton, f: Figure, traits: Traits, extras: Extras) -> None:
        super().__init__(skeleton)
        self.figure, self.traits, self.extras = f, traits, extras
        self.vertex_count = 0

    def material(
        self,
        name: str,
        color: RGB | None = None,
        *,
        texture: Image.Image | None = None,
        shade: tuple[float, float, float] = CLOTH_SHADE,
        double_sided: bool = False,
        shift: float = 0.02,
        toony: float = 0.92,
        outline_base: RGB | None = None,
        outline: float = OUTLINE,
    ) -> int:
        """As in MeshBuilder; ornaments are painted on the cloth, and light cloth has darker edges and a hem."""
        if texture is not None and name == "top":
            texture = with_top_ornament(texture, self.traits, self.extras)
        elif texture is not None and name == "bottom":
            texture = with_bottom_ornament(texture, self.traits, self.extras)
        if name not in SKIN_MATERIALS and "hair" not in name and luminance(_base(color, texture)) > LIGHT:
            shade, shift, outline = LIGHT_SHADE, LIGHT_SHIFT, outline * LIGHT_OUTLINE
            if texture is not None and name in ("top", "bottom", "sleeves"):
                texture = with_hem_line(texture)
        return super().material(
            name,
            color,
            texture=texture,
            shade=shade,
            double_sided=double_sided,
            shift=shift,
            toony=toony,
            outline_base=outline_base,
            outline=outline,
        )

    def add(
        self, surface: Surface, weights: Weights, material: int | np.ndarray[tuple[int], np.dtype[np.int32]]
    ) -> None:
        """As in MeshBuilder; a tucked-in top goes below the waistband. Counts the vertices."""
        if not isinstance(material, np.ndarray) and self._materials[material].name == "top":
            surface = self._tucked(surface)
        super().add(surface, weights, material)
        self.vertex_count += len(surface.vertices)

    def _tucked(self, surface: Surface) -> Surface:
        f, clothes = self.figure, self.traits.clothes
        if clothes.top not in TUCKED_IN or clothes.bottom == "dress":
            return surface
        below = smoothstep(-surface.vertices[:, 1], -(f.hips + 0.025 * f.height), -(f.hips + 0.005 * f.height))
        shrunk = 1 - TUCK * below
        return replace(surface, vertices=surface.vertices * np.stack([shrunk, 1 + 0 * below, shrunk], axis=1))


def _base(color: RGB | None, texture: Image.Image | None) -> RGB:
    if texture is None:
        return color or (255, 255, 255)
    r, g, b = (round(float(x)) for x in np.asarray(texture.convert("RGB")).reshape(-1, 3).mean(0))
    return r, g, b


def with_hem_line(cloth: Image.Image) -> Image.Image:
    """Light cloth with a seam just above its lower edge."""
    pixels = np.asarray(cloth.convert("RGB")).copy()
    rows = len(pixels)
    seam = slice(round(0.925 * rows), round(0.955 * rows))
    pixels[seam] = (pixels[seam] * HEM_DARKNESS).astype(np.uint8)
    return Image.fromarray(pixels)


def _contrast(ground: RGB, choices: Sequence[RGB]) -> RGB:
    return max(choices, key=lambda color: distance(ground, color))


def with_top_ornament(cloth: Image.Image, traits: Traits, extras: Extras) -> Image.Image:
    """The top's cloth (row 0 at the neckline, middle column in front) with its ornament."""
    if extras.top_ornament == "none":
        return cloth
    picture = cloth.copy()
    draw = ImageDraw.Draw(picture)
    w, h = picture.size
    ground = traits.clothes.top_color
    color = _contrast(ground, (traits.clothes.accent, traits.clothes.bottom_color, scaled(ground, 0.6)))
    if extras.top_ornament == "badge":
        x, y = 0.585 * w, 0.36 * h  # the character's left breast
        draw.ellipse((x - 0.028 * w, y - 0.045 * h, x + 0.028 * w, y + 0.045 * h), fill=BUTTON_GOLD)
        draw.ellipse((x - 0.016 * w, y - 0.026 * h, x + 0.016 * w, y + 0.026 * h), fill=color)
    elif extras.top_ornament == "suspenders":
        for x in (0.06, 0.43, 0.57, 0.94):
            draw.rectangle(((x - 0.016) * w, 0, (x + 0.016) * w, h), fill=color)
    elif extras.top_ornament == "yoke":
        draw.rectangle((0, 0, w, 0.26 * h), fill=color)
        draw.rectangle((0, 0.26 * h, w, 0.28 * h), fill=scaled(color, 0.7))
    else:  # zip
        draw.line((0.5 * w, 0, 0.5 * w, h), fill=scaled(ground, 0.55), width=max(2, w // 50))
        draw.rectangle((0.49 * w, 0.2 * h, 0.51 * w, 0.26 * h), fill=BUTTON_GOLD)
    return picture


def with_bottom_ornament(cloth: Image.Image, traits: Traits, extras: Extras) -> Image.Image:
    """The cloth of skirt or trousers (row 0 at the waist) with its ornament."""
    if extras.bottom_ornament == "none":
        return cloth
    picture = cloth.copy()
    draw = ImageDraw.Draw(picture)
    w, h = picture.size
    clothes = traits.clothes
    # a dress's skirt is the lower part of its cloth
    top = 0.46 * h if clothes.bottom == "dress" else 0.0
    ground = clothes.bottom_color
    color = _contrast(ground, (clothes.accent, OFF_WHITE, scaled(ground, 0.6)))
    if extras.bottom_ornament == "apron":
        low = top + 0.80 * (h - top)
        apron = OFF_WHITE if distance(ground, OFF_WHITE) > 120 else scaled(clothes.accent, 0.9)
        draw.rectangle((0.36 * w, top, 0.64 * w, low), fill=scaled(apron, 0.72))
        draw.rectangle((0.37 * w, top, 0.63 * w, low - 0.02 * h), fill=apron)
        draw.rectangle((0.37 * w, low - 0.08 * h, 0.63 * w, low - 0.06 * h), fill=scaled(apron, 0.8))
    elif extras.bottom_ornament == "side stripe":
        draw.rectangle((0.70 * w, 0, 0.80 * w, h), fill=color)  # the outer side of a leg
    else:  # double hem
        for low, high in ((0.80, 0.85), (0.90, 1.0)):
            draw.rectangle((0, top + low * (h - top), w, top + high * (h - top)), fill=color)
    return picture
