"""Binary glTF 2.0 (GLB): the container, its JSON and its arrays, with every bound checked.

Source: the glTF 2.0 specification, sections 3.6 (binary data) and 4.4 (GLB). What is out of bounds raises a
DataError before anything is allocated for it.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.avatars.fields import Field, one_line, parse
from bench.errors import DataError

LARGEST_FILE = 512 << 20  # bytes
MAX_ELEMENTS = 4_000_000  # of one array: more than any avatar has vertices
MAX_NUMBERS = 60_000_000  # of all arrays of a file: sparse arrays take no room in it
MAX_OBJECTS = 65_536  # entries of one of the document's lists
MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
COMPONENTS: dict[int, str] = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}

Array = NDArray[Any]


class Glb:
    """An open GLB file."""

    def __init__(self, document: Field, binary: bytes) -> None:
        self.document, self.binary = document, binary
        self._arrays: dict[int, Array] = {}
        self._numbers = 0  # in all arrays read so far

    def entries(self, kind: str, most: int = MAX_OBJECTS) -> list[Field]:
        """A list of the document: `nodes`, `meshes`, `accessors`, …"""
        return self.document.items(kind, most)

    def refer(self, index: Field, kind: str) -> Field:
        """The entry of `kind` that an index names."""
        listed = self.document.get(kind)
        if listed is None or not isinstance(listed.value, list) or not listed.value:
            raise index.fault(f"an index into {kind}, of which there are none")
        number = index.integer(0, len(listed.value) - 1)
        return Field(listed.value[number], f"{kind}[{number}]")

    def view(self, index: Field) -> tuple[memoryview, int | None]:
        """The bytes of a bufferView and its stride."""
        view = self.refer(index, "bufferViews")
        if view.at("buffer").integer(0, MAX_OBJECTS) != 0:
            raise view.fault("not in the file's own binary chunk; save the model as one .glb or .vrm")
        start = _whole(view, "byteOffset", 0, len(self.binary))
        length = view.at("byteLength").integer(1, LARGEST_FILE)
        if start + length > len(self.binary):
            raise view.fault(f"bytes {start} to {start + length} of {len(self.binary)}: the file is truncated")
        stride = view.get("byteStride")
        return memoryview(self.binary)[start : start + length], None if stride is None else stride.integer(1, 255)

    def array(self, index: Field, *types: str, count: int | None = None) -> Array:
        """An accessor's elements [count, width], integers as stored, normalised ones as float32 in [-1, 1].

        Raises DataError when it is not one of `types` ("VEC3", …), has another count, reaches outside the
        file, or holds NaN or infinity.
        """
        accessor = self.refer(index, "accessors")
        kind = accessor.at("type").text()
        if kind not in types:
            raise accessor.fault(f"of type {kind} where {' or '.join(types)} is needed")
        number = index.integer(0, MAX_OBJECTS)
        if number not in self._arrays:
            self._arrays[number] = self._read(accessor, WIDTHS[kind])
        read = self._arrays[number]
        if count is not None and len(read) != count:
            raise accessor.fault(f"{len(read)} elements where {count} are needed")
        return read

    def _read(self, accessor: Field, width: int) -> Array:
        count = accessor.at("count").integer(1, MAX_ELEMENTS)
        kind = _component(accessor)
        self._numbers += count * width
        if self._numbers > MAX_NUMBERS:
            raise accessor.fault(f"beyond the {MAX_NUMBERS} numbers that are read of one file")
        source = accessor.get("bufferView")
        if source is None:
            elements = np.zeros((count, width), kind)
        else:
            elements = self._elements(source, _whole(accessor, "byteOffset"), count, kind, width)
        sparse = accessor.get("sparse")
        if sparse is not None:
            elements = self._with_exceptions(elements, sparse)
        normalised = accessor.get("normalized")
        if kind.kind == "f":
            if not np.isfinite(elements).all():
                raise accessor.fault("an array with NaN or infinity in it")
        elif normalised is not None and normalised.flag():
            elements = np.maximum(elements.astype(np.float32) / np.iinfo(kind).max, -1)
        return elements

    def _elements(self, view: Field, start: int, count: int, kind: np.dtype[Any], width: int) -> Array:
        """A copy of [count, width] elements of a bufferView."""
        data, stride = self.view(view)
        row = kind.itemsize * width
        step = stride or row
        if step < row or start + step * (count - 1) + row > len(data):
            raise view.fault(f"a reference to {len(data)} bytes, too few for {count} elements of {row} bytes")
        rows: Array = np.ndarray((count, row), np.uint8, data, start, (step, 1))
        return np.array(rows).view(kind).reshape(count, width)  # a copy: sparse accessors write into it

    def _with_exceptions(self, elements: Array, sparse: Field) -> Array:
        """Sparse accessors: some rows of an array replaced."""
        count = sparse.at("count").integer(1, len(elements))
        where, what = sparse.at("indices"), sparse.at("values")
        kind = _component(where)
        if kind.kind != "u":
            raise where.fault("not of an unsigned type")
        rows = self._elements(where.at("bufferView"), _whole(where, "byteOffset"), count, kind, 1)[:, 0]
        if int(rows.max()) >= len(elements):
            raise where.fault(f"a row {int(rows.max())} of an array of {len(elements)}")
        width = elements.shape[1]
        view, start = what.at("bufferView"), _whole(what, "byteOffset")
        elements[rows] = self._elements(view, start, count, elements.dtype, width)
        return elements


def _whole(owner: Field, key: str, default: int = 0, most: int = LARGEST_FILE) -> int:
    field = owner.get(key)
    return default if field is None else field.integer(0, most)


def _component(owner: Field) -> np.dtype[Any]:
    code = owner.at("componentType").integer(0, 10_000)
    if code not in COMPONENTS:
        raise owner.fault(f"of component type {code}, which glTF does not know")
    return np.dtype(COMPONENTS[code])


def read_glb(path: Path) -> Glb:
    """Open a GLB, VRM or VRMA file; raises DataError when it is not a whole one."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"larger than {LARGEST_FILE >> 20} MiB; reduce the size of its textures")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from error
    return parse_glb(content)


def parse_glb(content: bytes) -> Glb:
    """A GLB file's content; raises DataError."""
    if len(content) < 20 or struct.unpack_from("<I", content)[0] != MAGIC:
        raise DataError("not binary glTF; export it as .vrm, .vrma or .glb")
    _, version, length = struct.unpack_from("<III", content)
    if version != 2:
        raise DataError(f"glTF {version} where 2 is read; export it with a newer program")
    if length > len(content):
        raise DataError(f"truncated: {len(content)} bytes of {length}; download or export it again")
    chunks: dict[int, bytes] = {}
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", content, offset)
        offset += 8
        if size > length - offset:
            raise DataError(f"truncated: a part of {size} bytes where {length - offset} are left; export it again")
        chunks.setdefault(kind, content[offset : offset + size])
        offset += size
    if JSON_CHUNK not in chunks:
        raise DataError("binary glTF without its JSON part; export it again")
    document = parse(chunks[JSON_CHUNK], "the JSON part")
    document.members()  # raises unless it is an object
    required = [entry.text() for entry in document.items("extensionsRequired", MAX_OBJECTS)]
    for name in required:
        if name.startswith(("KHR_draco", "EXT_meshopt", "KHR_texture_basisu")):
            raise DataError(f"needs the extension {one_line(name)}, which is not read; export it uncompressed")
    return Glb(document, chunks.get(BINARY_CHUNK, b""))


def glb_bytes(document: dict[str, Any], binary: bytes) -> bytes:
    """A GLB file of a document and its binary part."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    length = 12 + 8 + len(text) + 8 + len(binary)
    header = struct.pack("<III", MAGIC, 2, length)
    return b"".join(
        [header, struct.pack("<II", len(text), JSON_CHUNK), text, struct.pack("<II", len(binary), BINARY_CHUNK), binary]
    )


def matrix_of(quaternion: Array) -> Array:
    """Rotation matrices [..., 3, 3] of quaternions [..., 4] (x, y, z, w), whatever their length above 0."""
    x, y, z, w = np.moveaxis(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def is_rotation_length(quaternion: list[float]) -> bool:
    """Whether a quaternion is long enough to name a rotation."""
    return math.hypot(*quaternion) > 1e-6
