"""Reading TensorFlow.js graph models: the tensors of a `.bin` that a `.json` beside it lays out.

Nothing of the graph is run: a network of the suite's own (`bench.pose.movenet`) takes the tensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

F32 = NDArray[np.float32]

_FEATURES = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1"
_STORED = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}


def tensors(path: Path) -> dict[str, F32]:
    """Every float tensor of a graph model by its name; `path` is the single `.bin`, its `.json` beside it.

    Raises ValueError where the two do not fit each other.
    """
    content = memoryview(path.read_bytes())
    groups = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["weightsManifest"]
    found, at = {}, 0
    for entry in (entry for group in groups for entry in group["weights"]):
        quantized = entry.get("quantization")
        if quantized and quantized["dtype"] != "float16":
            raise ValueError(f"{entry['name']} is stored as {quantized['dtype']}; only float16 is known")
        stored = np.dtype("<f2") if quantized else _STORED[entry["dtype"]]
        count = math.prod(entry["shape"])
        if at + count * stored.itemsize > len(content):
            raise ValueError("fewer numbers than its .json lays out")
        numbers = np.frombuffer(content, stored, count, at).reshape(entry["shape"])
        at += count * stored.itemsize
        if entry["dtype"] == "float32":
            found[entry["name"]] = numbers.astype(np.float32)
    if at != len(content):
        raise ValueError("more numbers than its .json lays out")
    return found


def movenet(path: Path) -> dict[str, Tensor]:
    """The state dict of `bench.pose.movenet.MoveNet`; raises KeyError or ValueError for another model's file."""
    source = tensors(path)
    state: dict[str, Tensor] = {}
    for key, kernel, bias in _movenet_layers():
        depthwise = "depthwise" in key
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)  # HWCM -> CMHW, HWIO -> OIHW
        state[f"{key}.weight"] = _tensor(source, kernel, order)
        if bias:
            state[f"{key}.bias"] = _tensor(source, bias, (0,))
    return state


def _tensor(source: Mapping[str, F32], name: str, order: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(source[name].transpose(order)))


def _movenet_layers() -> Iterator[tuple[str, str, str]]:
    """(torch key, TensorFlow kernel, TensorFlow bias or "") of all 74 convolutions."""

    def folded(key: str, name: str, kind: str) -> tuple[str, str, str]:
        """A convolution into which batch normalisation was folded."""
        return key, f"{name}/{kind}_weights", f"{name}/{kind}_bn_offset"

    def plain(key: str, name: str) -> tuple[str, str, str]:
        return key, f"{name}/Conv2D/ReadVariableOp", f"{name}/BiasAdd/ReadVariableOp"

    backbone = f"{_FEATURES}/model"
    yield folded("stem", f"{backbone}/Conv1", "Conv2D")
    for block in range(17):
        name = f"{backbone}/block_{block}" if block else f"{backbone}/expanded_conv"
        if block:
            yield folded(f"blocks.{block}.expand", f"{name}_expand", "Conv2D")
        yield folded(f"blocks.{block}.depthwise", f"{name}_depthwise", "depthwise")
        yield folded(f"blocks.{block}.project", f"{name}_project", "Conv2D")
    yield folded("top", f"{backbone}/Conv_1", "Conv2D")
    for level in range(4):  # coarse to fine
        yield plain(f"laterals.{level}", f"{_FEATURES}/{_numbered('conv2d', level)}")
    for level in range(3):
        name = f"{_FEATURES}/{_numbered('separable_conv2d', level)}"
        yield f"merges.{level}.depthwise", f"{name}/separable_conv2d/ReadVariableOp", ""
        yield folded(f"merges.{level}.pointwise", name, "separable_conv2d")
    for index, head in enumerate(("center", "kpt_heatmap", "kpt_regress", "kpt_offset")):
        scope = f"StatefulPartitionedCall/{head}_0"
        separable, key = f"{scope}/separable_conv2d_{index + 3}", f"heads.{head.removeprefix('kpt_')}"
        yield f"{key}.depthwise", f"{separable}/separable_conv2d/ReadVariableOp", ""
        yield (
            f"{key}.pointwise",
            f"{separable}/separable_conv2d/ReadVariableOp_1",
            f"{separable}/BiasAdd/ReadVariableOp",
        )
        yield plain(f"{key}.out", f"{scope}/conv2d_{index + 4}")


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index}"
