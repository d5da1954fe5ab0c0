"""A z-buffer rasterizer for toon-shaded, outlined characters, to the byte the same on every call.

`fastmath` stays off and every sum over coordinates is written out here: vectorised reassociation and the
matrix products of a BLAS differ in the last bit between processors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.data.render.camera import Camera
from bench.data.render.materials import material_arrays, texture_atlas
from bench.data.render.model import BLEND, CUTOUT, F32, F64, OPAQUE, Model

MIN_OUTLINE_PIXELS = 0.8  # of the final image; thinner outlines come out dotted
MAX_OUTLINE_GROWTH = 3.0  # times the material's width, however small the image: else it would be all outline
LIGHT = (0.30, 0.59, 0.74)  # towards the light along the camera's right, up and backward axes


@dataclass(frozen=True)
class Frame:
    """One picture."""

    rgba: NDArray[np.uint8]  # [size, size, 4], straight alpha: coverage of the character and its outline
    depth: F32  # [size, size], metres along the view axis to the nearest surface, inf where nothing is


class _Canvas(NamedTuple):
    """The supersampled picture."""

    color: F32  # [n, n, 4], premultiplied
    nearness: F32  # [n, n], 1 / depth, 0 where nothing is


@njit(cache=True, nogil=True)
def _skin(positions, normals, joints, weights, matrices, out_positions, out_normals):  # type: ignore[no-untyped-def]
    """Linear blend skinning."""
    for i in range(positions.shape[0]):
        for row in range(3):
            point, normal = 0.0, 0.0
            for k in range(4):
                weight = weights[i, k]
                if weight != 0:
                    m = matrices[joints[i, k], row]
                    turned = m[0] * positions[i, 0] + m[1] * positions[i, 1] + m[2] * positions[i, 2]
                    point += weight * (turned + m[3])
                    normal += weight * (m[0] * normals[i, 0] + m[1] * normals[i, 1] + m[2] * normals[i, 2])
            out_positions[i, row] = point
            out_normals[i, row] = normal
        n = out_normals[i]
        length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-12)
        for row in range(3):
            out_normals[i, row] /= length


@njit(cache=True, nogil=True)
def _project(positions, normals, rotation, eye, focal, middle, widths, out):  # type: ignore[no-untyped-def]
    """Screen x, y and depth of vertices moved along their normals by an outline's width (metres).

    A width w > 0 is drawn as max(w, min(MIN_OUTLINE_PIXELS, MAX_OUTLINE_GROWTH · w)).
    """
    view = np.empty(3)
    for i in range(positions.shape[0]):
        x, y, z = positions[i, 0] - eye[0], positions[i, 1] - eye[1], positions[i, 2] - eye[2]
        for row in range(3):
            view[row] = rotation[row, 0] * x + rotation[row, 1] * y + rotation[row, 2] * z
        width = widths[i]
        if width > 0:
            pixel = view[2] / focal
            width = max(width, min(MIN_OUTLINE_PIXELS * pixel, MAX_OUTLINE_GROWTH * width))
            for row in range(3):
                r = rotation[row]
                view[row] += width * (r[0] * normals[i, 0] + r[1] * normals[i, 1] + r[2] * normals[i, 2])
        out[i, 2] = view[2]
        if view[2] > 0:
            out[i, 0] = middle * (1 + focal / middle * view[0] / view[2])
            out[i, 1] = middle * (1 - focal / middle * view[1] / view[2])


@njit(cache=True, nogil=True)
def _sample(texels, start, width, height, u, v, out):  # type: ignore[no-untyped-def]
    """Bilinear lookup with repetition; RGBA in [0, 1]."""
    x = (u - np.floor(u)) * width - 0.5
    y = (v - np.floor(v)) * height - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    across, down = x - left, y - top
    x0, y0 = left if left >= 0 else width - 1, top if top >= 0 else height - 1
    x1, y1 = left + 1 if left + 1 < width else 0, top + 1 if top + 1 < height else 0
    for channel in range(4):
        a = texels[start + (y0 * width + x0) * 4 + channel]
        b = texels[start + (y0 * width + x1) * 4 + channel]
        c = texels[start + (y1 * width + x0) * 4 + channel]
        d = texels[start + (y1 * width + x1) * 4 + channel]
        upper = a * (1 - across) + b * across
        lower = c * (1 - across) + d * across
        out[channel] = (upper * (1 - down) + lower * down) / 255.0


@njit(cache=True, nogil=True)
def _mip_level(textures, texture, uv, a, b, c, screen_area):  # type: ignore[no-untyped-def]
    """The level at which a texel of a triangle is about as large as a sample."""
    area = abs((uv[b, 0] - uv[a, 0]) * (uv[c, 1] - uv[a, 1]) - (uv[c, 0] - uv[a, 0]) * (uv[b, 1] - uv[a, 1]))
    texels = area * textures.width[texture, 0] * textures.height[texture, 0] / screen_area
    level = 0
    while texels > 2.0 and level < textures.levels[texture] - 1:
        texels /= 4.0
        level += 1
    return level


@njit(cache=True, nogil=True)
def _draw(order, hull, screen, light, uv, faces, face_material, mats, textures, canvas):  # type: ignore[no-untyped-def]
    """Draw triangles `order` in that order: shaded surfaces, or the far sides of an outline hull.

    `light` is normal · light direction per vertex.
    """
    nearness, color = canvas.nearness, canvas.color
    size = nearness.shape[0]
    lit, shaded, rgb = np.ones(4), np.ones(4), np.empty(3)
    for triangle in order:
        a, b, c = faces[triangle, 0], faces[triangle, 1], faces[triangle, 2]
        za, zb, zc = screen[a, 2], screen[b, 2], screen[c, 2]
        if za <= 0 or zb <= 0 or zc <= 0:
            continue
        ax, ay, bx, by = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        doubled = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)  # < 0 for a front face: screen y runs down
        m = face_material[triangle]
        if doubled == 0 or (hull and doubled < 0) or (not hull and mats.cull[m] and doubled > 0):
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1)
        if left > right or top > bottom:
            continue
        texture, shade_texture, mode = mats.texture[m], mats.shade_texture[m], mats.mode[m]
        start, width, height = 0, 1, 1
        if texture >= 0 and not hull:
            level = _mip_level(textures, texture, uv, a, b, c, abs(doubled))
            start = textures.offset[texture, level]
            width, height = textures.width[texture, level], textures.height[texture, level]
        shade_start, shade_width, shade_height = start, width, height
        if shade_texture >= 0 and shade_texture != texture and not hull:
            level = _mip_level(textures, shade_texture, uv, a, b, c, abs(doubled))
            shade_start = textures.offset[shade_texture, level]
            shade_width = textures.width[shade_texture, level]
            shade_height = textures.height[shade_texture, level]
        side = -1.0 if doubled > 0 else 1.0  # a back face is lit by the other side of its normal
        na, nb, nc = 1.0 / za, 1.0 / zb, 1.0 / zc
        # barycentric weights are affine on the screen: these are their steps along x and along y
        wa_x, wa_y = (by - cy) / doubled, (cx - bx) / doubled
        wb_x, wb_y = (cy - ay) / doubled, (ax - cx) / doubled
        for row in range(top, bottom + 1):
            y = row + 0.5
            wa_row = wa_y * (y - cy) - wa_x * cx
            wb_row = wb_y * (y - cy) - wb_x * cx
            for column in range(left, right + 1):
                x = column + 0.5
                wa, wb = wa_row + wa_x * x, wb_row + wb_x * x
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                near = wa * na + wb * nb + wc * nc
                if near <= nearness[row, column]:
                    continue
                if hull:
                    nearness[row, column] = near
                    for channel in range(3):
                        color[row, column, channel] = mats.outline[m, channel]
                    color[row, column, 3] = 1.0
                    continue
                pa, pb = wa * na / near, wb * nb / near  # perspective-correct weights
                pc = 1.0 - pa - pb
                u = pa * uv[a, 0] + pb * uv[b, 0] + pc * uv[c, 0]
                v = pa * uv[a, 1] + pb * uv[b, 1] + pc * uv[c, 1]
                alpha = 1.0
                if texture >= 0:
                    _sample(textures.texels, start, width, height, u, v, lit)
                else:
                    lit[0] = lit[1] = lit[2] = lit[3] = 1.0
                if mode != OPAQUE:
                    alpha = lit[3] * mats.color[m, 3]
                    if mode == CUTOUT:
                        if alpha < mats.cutoff[m]:
                            continue
                        alpha = 1.0
                    elif alpha < 1 / 255:
                        continue
                if mats.unlit[m]:
                    for channel in range(3):
                        rgb[channel] = lit[channel] * mats.color[m, channel]
                else:
                    brightness = side * (pa * light[a] + pb * light[b] + pc * light[c]) + mats.shift[m]
                    half = 1.0 - mats.toony[m]  # of the band in which shadow turns to light
                    if brightness >= half:
                        amount = 1.0
                    elif brightness <= -half:
                        amount = 0.0
                    else:
                        amount = (brightness + half) / (2 * half)
                    if shade_texture == texture:
                        shaded[0], shaded[1], shaded[2] = lit[0], lit[1], lit[2]
                    elif shade_texture >= 0:
                        _sample(textures.texels, shade_start, shade_width, shade_height, u, v, shaded)
                    else:
                        shaded[0] = shaded[1] = shaded[2] = 1.0
                    for channel in range(3):
                        bright = lit[channel] * mats.color[m, channel]
                        dark = shaded[channel] * mats.shade[m, channel]
                        rgb[channel] = amount * bright + (1 - amount) * dark
                for channel in range(3):
                    color[row, column, channel] += alpha * (rgb[channel] - color[row, column, channel])
                color[row, column, 3] += alpha * (1.0 - color[row, column, 3])
                if alpha > 0.5:
                    nearness[row, column] = near


@njit(cache=True, nogil=True)
def _downsample(canvas, factor, rgba, depth):  # type: ignore[no-untyped-def]
    """Box-filter the premultiplied colours, then divide by the coverage; the nearest depth of a pixel."""
    size = rgba.shape[0]
    total = np.empty(4)
    for y in range(size):
        for x in range(size):
            total[:] = 0.0
            nearest = 0.0
            for row in range(y * factor, (y + 1) * factor):
                for column in range(x * factor, (x + 1) * factor):
                    nearest = max(nearest, canvas.nearness[row, column])
                    for channel in range(4):
                        total[channel] += canvas.color[row, column, channel]
            alpha = int(total[3] / (factor * factor) * 255 + 0.5)
            rgba[y, x, 3] = alpha
            for channel in range(3):
                # a pixel that rounds to empty holds no colour: what is drawn there is one byte pattern
                value = int(total[channel] / total[3] * 255 + 0.5) if alpha > 0 else 0
                rgba[y, x, channel] = min(max(value, 0), 255)
            depth[y, x] = 1.0 / nearest if nearest > 0 else np.inf


class Renderer:
    """Draws one character at one image size; holds its buffers, so one per thread."""

    def __init__(self, model: Model, size: int, supersample: int = 2) -> None:
        self.model, self.size, self.supersample = model, size, supersample
        self._materials, self._textures = material_arrays(model), texture_atlas(model)
        samples = size * supersample
        self._canvas = _Canvas(np.zeros((samples, samples, 4), np.float32), np.zeros((samples, samples), np.float32))
        self._positions, self._normals = np.zeros_like(model.positions), np.zeros_like(model.normals)

        of_face = np.array(model.face_material)
        mode = self._materials.mode[of_face]
        widths = np.array([m.outline_width for m in model.materials], np.float32)
        outlined = (widths[of_face] > 0) & (mode != BLEND)
        queue = np.array([m.render_queue for m in model.materials])[of_face]
        blended = np.flatnonzero(mode == BLEND)
        self._solid, self._hull = np.flatnonzero(mode != BLEND), np.flatnonzero(outlined)
        self._blended = blended[np.argsort(queue[blended], kind="stable")]
        self._no_width = np.zeros(len(model.positions), np.float32)
        self._outline_width = np.zeros(len(model.positions), np.float32)
        self._outline_width[model.faces[self._hull].ravel()] = np.repeat(widths[of_face[self._hull]], 3)

    def vertices(self, world: F64) -> F32:
        """Skinned vertices [V, 3] for bone world matrices [n, 4, 4]: what a camera has to fit."""
        self._skin(world)
        return self._positions.copy()

    def render(self, world: F64, camera: Camera) -> Frame:
        """The character with bone world matrices [n, 4, 4], seen by a camera of this renderer's size.

        Raises ValueError if the camera is of another size.
        """
        if camera.size != self.size:
            raise ValueError(f"the camera is for {camera.size} px, the renderer for {self.size} px")
        self._skin(world)
        right, up, forward = camera.rotation
        towards = LIGHT[0] * right + LIGHT[1] * up - LIGHT[2] * forward
        n = self._normals
        light = n[:, 0] * towards[0] + n[:, 1] * towards[1] + n[:, 2] * towards[2]

        self._canvas.color[:] = 0
        self._canvas.nearness[:] = 0
        surface = self._screen(camera, self._no_width)
        self._draw(self._solid, False, surface, light)
        if len(self._hull):
            self._draw(self._hull, True, self._screen(camera, self._outline_width), light)
        if len(self._blended):
            self._draw(self._blended, False, surface, light)
        rgba = np.empty((self.size, self.size, 4), np.uint8)
        depth = np.empty((self.size, self.size), np.float32)
        _downsample(self._canvas, self.supersample, rgba, depth)
        return Frame(rgba, depth)

    def _skin(self, world: F64) -> None:
        m = self.model
        matrices = m.skinning(world)
        _skin(m.positions, m.normals, m.joints, m.weights, matrices, self._positions, self._normals)

    def _screen(self, camera: Camera, widths: F32) -> F64:
        """[V, 3]: x, y in samples and depth."""
        out, middle = np.zeros((len(self._positions), 3)), self.size / 2
        _project(
            *(self._positions, self._normals),
            *(camera.rotation, camera.eye, camera.focal, middle, widths, out),
        )
        out[:, :2] *= self.supersample
        return out

    def _draw(self, order: NDArray[np.int64], hull: bool, screen: F64, light: F64) -> None:
        m = self.model
        _draw(
            *(order, hull, screen, light, m.uv, m.faces, m.face_material),
            *(self._materials, self._textures, self._canvas),
        )
