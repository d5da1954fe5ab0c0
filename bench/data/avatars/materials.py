"""Materials of an avatar as the renderer's two-tone toon materials.

Sources: VRMC_materials_mtoon 1.0; MToon 0.x and its conversion to 1.0 as UniVRM does it; KHR_texture_transform;
KHR_materials_unlit. Colours of glTF and of VRM 1.0 are linear, those of VRM 0.x and of the renderer gamma.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.data.avatars.fields import Field
from bench.data.avatars.glb import Glb
from bench.data.avatars.textures import Textures
from bench.data.render.model import BLEND, CUTOUT, F32, F64, OPAQUE, Material
from bench.errors import DataError

MAX_MATERIALS = 512
PLAIN_SHADE = 0.82  # shadow of a material that says nothing of it
# An outline whose width is a share of the picture's height is given the width it has in a picture this high.
PICTURE_HEIGHT = 2.0  # metres: a standing character and some air
LARGEST_OUTLINE = 0.02  # metres
VRM0_MODES = (OPAQUE, CUTOUT, BLEND, BLEND)  # _BlendMode; the last writes depth
VRM0_CULL_BACK = 2.0


@dataclass(frozen=True)
class Surface:
    """A material and how its texture coordinates [n, 2] are moved: `uv @ turn.T + shift`."""

    material: Material
    turn: F64  # [2, 2]
    shift: F64  # [2]
    outline_mix: float = 0.0  # of the surface's own colour that its outline's is multiplied by


def srgb_from_linear(linear: ArrayLike) -> F64:
    """IEC 61966-2-1, of colours in [0, 1]; brighter ones are cut."""
    x = np.clip(np.asarray(linear, np.float64), 0.0, 1.0)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)


def linear_from_srgb(gamma: ArrayLike) -> F64:
    """The inverse of `srgb_from_linear`."""
    x = np.clip(np.asarray(gamma, np.float64), 0.0, 1.0)
    return np.where(x <= 0.0031308 * 12.92, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def read_surfaces(glb: Glb, textures: Textures, vrm0: Field | None) -> list[Surface]:
    """All materials; the last one is the default of primitives that name none.

    `vrm0` is the VRM extension of a 0.x file, which describes its MToon materials beside the glTF ones.
    """
    listed = glb.entries("materials", MAX_MATERIALS)
    described = vrm0.items("materialProperties", MAX_MATERIALS) if vrm0 else []
    surfaces = []
    for index, entry in enumerate(listed):
        surface = _gltf(entry, textures)
        mtoon = entry.find("extensions", "VRMC_materials_mtoon")
        if index < len(described):
            surface = _vrm0(surface, described[index], textures)
        elif mtoon is not None:
            mix = mtoon.get("outlineLightingMixFactor")
            surface = replace(
                surface,
                material=_mtoon(surface.material, entry, mtoon, textures),
                outline_mix=_limited(mix.number(), 0, 1) if mix else 1.0,
            )
        surfaces.append(surface)
    if not textures.pictures:
        raise DataError("no material has a texture; export the avatar with its textures embedded")
    return [*surfaces, Surface(Material(), np.eye(2), np.zeros(2))]


def _gltf(entry: Field, textures: Textures) -> Surface:
    """A plain glTF material: its base colour, with a mild shadow."""
    base = entry.find("pbrMetallicRoughness", "baseColorFactor")
    factor = base.numbers(4) if base else [1.0] * 4
    color = srgb_from_linear(factor[:3])
    picture = entry.find("pbrMetallicRoughness", "baseColorTexture")
    texture = textures.index(picture.at("index")) if picture else -1
    mode, cutoff, sides = entry.get("alphaMode"), entry.get("alphaCutoff"), entry.get("doubleSided")
    modes = {"OPAQUE": OPAQUE, "MASK": CUTOUT, "BLEND": BLEND}
    name = entry.get("name")
    material = Material(
        color=(*_rgb(color), min(max(factor[3], 0.0), 1.0)),
        shade=_rgb(color * PLAIN_SHADE),
        texture=texture,
        shade_texture=texture,
        mode=modes.get(mode.text(), OPAQUE) if mode else OPAQUE,
        cutoff=cutoff.number() if cutoff else 0.5,
        cull=not (sides and sides.flag()),
        unlit=entry.find("extensions", "KHR_materials_unlit") is not None,
        name=name.text() if name else "",
    )
    return Surface(material, *_texture_transform(picture))


def _texture_transform(picture: Field | None) -> tuple[F64, F64]:
    """KHR_texture_transform of a texture reference."""
    moved = picture.find("extensions", "KHR_texture_transform") if picture else None
    if moved is None:
        return np.eye(2), np.zeros(2)
    offset, rotation, scale = moved.get("offset"), moved.get("rotation"), moved.get("scale")
    angle = rotation.number() if rotation else 0.0
    cosine, sine = np.cos(angle), np.sin(angle)
    # counter-clockwise in a picture whose v runs down
    turn = np.array([[cosine, sine], [-sine, cosine]])
    turn = turn * (scale.numbers(2, largest=1e3) if scale else [1.0, 1.0])
    return turn, np.array(offset.numbers(2, largest=1e3) if offset else [0.0, 0.0])


def _mtoon(plain: Material, entry: Field, mtoon: Field, textures: Textures) -> Material:
    """VRMC_materials_mtoon 1.0 on top of the glTF material."""
    shade, picture = mtoon.get("shadeColorFactor"), mtoon.get("shadeMultiplyTexture")
    toony, shift = mtoon.get("shadingToonyFactor"), mtoon.get("shadingShiftFactor")
    order, mode = mtoon.get("renderQueueOffsetNumber"), mtoon.get("outlineWidthMode")
    width, line = mtoon.get("outlineWidthFactor"), mtoon.get("outlineColorFactor")
    how_wide = mode.text() if mode else "none"
    metres = {"worldCoordinates": 1.0, "screenCoordinates": PICTURE_HEIGHT}.get(how_wide, 0.0)
    return replace(
        plain,
        unlit=False,  # the unlit extension beside it is for programs that do not know MToon
        shade=_rgb(srgb_from_linear(shade.numbers(3))) if shade else (0.0, 0.0, 0.0),
        shade_texture=textures.index(picture.at("index")) if picture else -1,
        toony=_limited(toony.number(), 0, 1) if toony else 0.9,
        shift=_limited(shift.number(), -1, 1) if shift else 0.0,
        render_queue=order.integer(-9, 9) if order else 0,
        outline_width=_limited(metres * width.number(), 0, LARGEST_OUTLINE) if width else 0.0,
        outline_color=_rgb(srgb_from_linear(line.numbers(3))) if line else (0.0, 0.0, 0.0),
    )


def _vrm0(plain: Surface, described: Field, textures: Textures) -> Surface:
    """A VRM 0.x material by its Unity shader's properties."""
    shader = described.get("shader")
    name = shader.text() if shader else ""
    if name.startswith("VRM/Unlit"):
        return replace(plain, material=replace(plain.material, unlit=True))
    if name != "VRM/MToon":  # VRM_USE_GLTFSHADER and others: the glTF material says it
        return plain

    def number(key: str, default: float) -> float:
        found = described.find("floatProperties", key)
        return found.number() if found else default

    def color(key: str, default: float) -> F64:
        found = described.find("vectorProperties", key)
        values = found.numbers(3, 4) if found else [default] * 3
        return np.asarray(np.clip([*values, 1.0][:4], 0.0, 1.0))

    def texture(key: str) -> int:
        found = described.find("textureProperties", key)
        return textures.index(found) if found else -1

    main, shade = texture("_MainTex"), texture("_ShadeTexture")
    toony, shift = shading_of_vrm0(number("_ShadeToony", 0.9), number("_ShadeShift", 0.0))
    # widths are percent: of a metre, or of half the picture's height
    metres = {1: 0.01, 2: 0.01 * PICTURE_HEIGHT / 2}.get(int(number("_OutlineWidthMode", 0)), 0.0)
    lit, queue = color("_Color", 1.0), described.get("renderQueue")
    material = replace(
        plain.material,
        color=(*_rgb(lit), float(lit[3])),
        shade=_rgb(color("_ShadeColor", 0.9)),
        texture=main,
        shade_texture=shade,
        mode=VRM0_MODES[int(_limited(number("_BlendMode", 0), 0, 3))],
        cutoff=number("_Cutoff", 0.5),
        cull=number("_CullMode", VRM0_CULL_BACK) == VRM0_CULL_BACK,
        toony=toony,
        shift=shift,
        unlit=False,
        render_queue=queue.integer(-10_000, 10_000) if queue else 0,
        outline_width=_limited(metres * number("_OutlineWidth", 0.5), 0, LARGEST_OUTLINE),
        outline_color=_rgb(color("_OutlineColor", 0.0)),
    )
    place = described.find("vectorProperties", "_MainTex")
    left, bottom, wide, high = place.numbers(4, largest=1e3) if place else [0.0, 0.0, 1.0, 1.0]
    # Unity's v runs up: 1 - ((1 - v) high + bottom)
    mix = _limited(number("_OutlineLightingMix", 1.0), 0, 1) if number("_OutlineColorMode", 0) == 1 else 0.0
    return Surface(material, np.diag([wide, high]), np.array([left, 1 - high - bottom]), mix)


def with_mixed_outline(surface: Surface, uv: F32, pictures: Sequence[NDArray[np.uint8]]) -> Material:
    """The material with its outline's colour mixed with the mean of its texture at coordinates uv [n, 2].

    MToon mixes at every pixel; the renderer draws a material's outlines in one colour.
    """
    material = surface.material
    if surface.outline_mix == 0 or material.outline_width == 0 or not len(uv):
        return material
    own = np.array(material.color[:3])
    if material.texture >= 0:
        picture = pictures[material.texture]
        height, width = picture.shape[:2]
        column, row = (np.floor((uv % 1.0) * (width, height)).astype(int) % (width, height)).T
        own = own * picture[row, column, :3].mean(0) / 255
    mixed = np.array(material.outline_color) * (1 - surface.outline_mix + surface.outline_mix * own)
    return replace(material, outline_color=_rgb(mixed))


def shading_of_vrm0(toony: float, shift: float) -> tuple[float, float]:
    """MToon 0.x `_ShadeToony` and `_ShadeShift` -> MToon 1.0 toony and shift factors (UniVRM's migration)."""
    low, high = shift, 1 + (shift - 1) * toony  # of normal · light, between which shadow turns to light
    return _limited((2 - (high - low)) / 2, 0, 1), _limited(-(high + low) / 2, -1, 1)


def _limited(value: float, low: float, high: float) -> float:
    return float(min(max(value, low), high))


def _rgb(values: F64) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
