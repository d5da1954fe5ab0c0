"""The images in a GLB file as RGBA arrays, no larger than pictures of a few hundred pixels can show."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.avatars.fields import Field, one_line
from bench.data.avatars.glb import Glb
from bench.data.layout import LARGEST_SIDE, UNREADABLE

LARGEST_TEXTURE = 1024  # pixels a side; larger ones are averaged down
MAX_IMAGES = 256


class Textures:
    """Decodes each image once, in the order in which materials ask for them."""

    def __init__(self, glb: Glb, largest: int = LARGEST_TEXTURE) -> None:
        self._glb, self._largest = glb, largest
        self._index_of: dict[int, int] = {}
        self.pictures: list[NDArray[np.uint8]] = []

    def index(self, texture: Field) -> int:
        """Index into `pictures` of an entry of the file's `textures`, given by its number.

        Raises DataError when the image is not in the file, cannot be decoded or is too large.
        """
        entry = self._glb.refer(texture, "textures")
        source = entry.get("source") or entry.find("extensions", "EXT_texture_webp", "source")
        if source is None:
            raise entry.fault("a texture without a PNG, JPEG or WebP image")
        image = self._glb.refer(source, "images")
        number = source.integer(0, MAX_IMAGES)
        if number not in self._index_of:
            self.pictures.append(self._decoded(image))
            self._index_of[number] = len(self.pictures) - 1
        return self._index_of[number]

    def _decoded(self, image: Field) -> NDArray[np.uint8]:
        view = image.get("bufferView")
        if view is None:
            raise image.fault("not in the file itself; export the avatar with its textures embedded")
        data, _ = self._glb.view(view)
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
                if max(picture.size) > LARGEST_SIDE:
                    raise image.fault(f"{picture.width}×{picture.height} px, larger than {LARGEST_SIDE} a side")
                colors = picture.convert("RGBA")
        except UNREADABLE as error:
            raise image.fault(f"a picture that cannot be decoded ({one_line(str(error))})") from error
        if max(colors.size) > self._largest:
            width, height = (min(side, self._largest) for side in colors.size)
            colors = colors.resize((width, height), Image.Resampling.BOX)
        return np.ascontiguousarray(colors)
