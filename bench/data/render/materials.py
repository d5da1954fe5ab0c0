"""Materials and mip-mapped textures as the flat arrays that compiled code reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.render.model import F32, Model

MAX_MIP_LEVELS = 12


class MaterialArrays(NamedTuple):
    """The materials' fields, one array each."""

    color: F32
    shade: F32
    outline: F32
    texture: NDArray[np.int64]
    shade_texture: NDArray[np.int64]
    mode: NDArray[np.int64]
    cutoff: F32
    cull: NDArray[np.bool_]
    toony: F32
    shift: F32
    unlit: NDArray[np.bool_]


class TextureAtlas(NamedTuple):
    """All mip levels of all textures in one array of bytes; levels are indexed [texture, level]."""

    texels: NDArray[np.uint8]
    offset: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    levels: NDArray[np.int64]  # [texture]


def material_arrays(model: Model) -> MaterialArrays:
    """The model's materials, field by field."""

    def floats(name: str) -> F32:
        return np.array([getattr(m, name) for m in model.materials], np.float32)

    def integers(name: str) -> NDArray[np.int64]:
        return np.array([getattr(m, name) for m in model.materials], np.int64)

    def flags(name: str) -> NDArray[np.bool_]:
        return np.array([getattr(m, name) for m in model.materials], np.bool_)

    return MaterialArrays(
        color=floats("color"),
        shade=floats("shade"),
        outline=floats("outline_color"),
        texture=integers("texture"),
        shade_texture=integers("shade_texture"),
        mode=integers("mode"),
        cutoff=floats("cutoff"),
        cull=flags("cull"),
        toony=floats("toony"),
        shift=floats("shift"),
        unlit=flags("unlit"),
    )


def texture_atlas(model: Model) -> TextureAtlas:
    """The model's textures with all their mip levels."""
    shape = (max(len(model.textures), 1), MAX_MIP_LEVELS)
    offset, width, height = np.zeros(shape, np.int64), np.ones(shape, np.int64), np.ones(shape, np.int64)
    levels = np.zeros(shape[0], np.int64)
    stored: list[NDArray[np.uint8]] = [np.zeros(4, np.uint8)]  # so that there is always a texel
    used = 4
    for i, texture in enumerate(model.textures):
        for level, picture in enumerate(_mip_chain(texture)):
            height[i, level], width[i, level] = picture.shape[:2]
            offset[i, level], levels[i] = used, level + 1
            stored.append(picture.ravel())
            used += picture.size
    return TextureAtlas(np.concatenate(stored), offset, width, height, levels)


def _mip_chain(texture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The texture halved again and again; colours are averaged by alpha, so that edges take no fringe."""
    chain = [np.ascontiguousarray(texture)]
    current = texture.astype(np.float64)
    while min(current.shape[:2]) >= 2 and len(chain) < MAX_MIP_LEVELS:
        rows, columns = current.shape[0] // 2, current.shape[1] // 2
        blocks = current[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2, 4)
        alpha = blocks[..., 3:]
        opacity = alpha.mean((1, 3))
        weighted = (blocks[..., :3] * alpha).mean((1, 3)) / np.maximum(opacity, 1e-6)
        plain = blocks[..., :3].mean((1, 3))  # where nothing is opaque
        current = np.concatenate([np.where(opacity > 0, weighted, plain), opacity], 2)
        chain.append((current + 0.5).astype(np.uint8))
    return chain
