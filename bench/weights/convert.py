"""Reading source files into plain state dicts, without running anything that is in them.

Whatever the source, the keys are the same: torchvision's `features.N.weight` for VGG and AlexNet,
pytorch-fid's for Inception (without its unused classifier), the file's own otherwise.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.weights.fetch import UnreadableWeights
from bench.weights.table import Layout
from bench.weights.tfjs import movenet

StateDict = dict[str, Tensor]

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
VGG19 = (64, 64, "M", 128, 128, "M", *(256,) * 4, "M", *(512,) * 4, "M", *(512,) * 4, "M")
ALEXNET_CONVOLUTIONS = (0, 3, 6, 8, 10)  # positions in torchvision's `features`

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

CAFFE_RELU1_2_SCALE = 0.55
"""Mean relu1_2 of torchvision's VGG over that of the normalised Caffe net, on the same pictures.

Measured with torchvision's VGG-16, its VGG-19 not being at hand where this file is needed: .53 to .55 on
drawn characters and white, .57 to .65 on photographs."""


_MALFORMED = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
)
"""What readers raise on a file that is not what it should be."""


def read(path: Path, layout: Layout) -> StateDict:
    """The tensors of a source file, on the CPU, contiguous float32; raises UnreadableWeights."""
    try:
        state = _READERS[layout](path)
    except _MALFORMED as error:
        raise UnreadableWeights(f"{path.name}: {error}") from error
    return {key: tensor.detach().contiguous().clone() for key, tensor in state.items()}


def vgg_convolutions(plan: tuple[int | str, ...]) -> list[int]:
    """Where the convolutions stand in torchvision's `features`: each is followed by a ReLU, "M" is a pool."""
    positions, position = [], 0
    for layer in plan:
        if layer == "M":
            position += 1
        else:
            positions.append(position)
            position += 2
    return positions


def _torch(path: Path) -> StateDict:
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError("not a state dict")
    return dict(state)


def _torchvision(path: Path) -> StateDict:
    return {key: tensor for key, tensor in _torch(path).items() if key.startswith("features.")}


def _fid_inception(path: Path) -> StateDict:
    return {key: tensor for key, tensor in _torch(path).items() if not key.startswith("fc.")}


# --- Flax: a pickle of nested dicts of numpy arrays


class _NumpyUnpickler(pickle.Unpickler):
    """Knows numpy arrays and nothing else, under the names of numpy 1 and 2 alike."""

    _known: ClassVar[dict[tuple[str, str], Any]] = {
        ("multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        short = "multiarray" if module in ("numpy.core.multiarray", "numpy._core.multiarray") else module
        try:
            return self._known[short, name]
        except KeyError:
            raise pickle.UnpicklingError(f"refuses to load {module}.{name}") from None


def _flax(path: Path, network: str, positions: list[int]) -> StateDict:
    with path.open("rb") as file:
        layers = _NumpyUnpickler(file).load()[network]
    if len(layers) != len(positions):
        raise ValueError(f"{len(layers)} convolutions instead of {len(positions)}")
    state = {}
    for index, position in enumerate(positions):
        layer = layers[f"Conv_{index}"]
        kernel = np.asarray(layer["kernel"], dtype=np.float32).transpose(3, 2, 0, 1)  # HWIO -> OIHW
        state[f"features.{position}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel))
        state[f"features.{position}.bias"] = torch.from_numpy(np.array(layer["bias"], dtype=np.float32))
    return state


def _flax_vgg16(path: Path) -> StateDict:
    return _flax(path, "VGG16_0", vgg_convolutions(VGG16))


def _flax_alexnet(path: Path) -> StateDict:
    return _flax(path, "AlexNet_0", list(ALEXNET_CONVOLUTIONS))


# --- Caffe VGG-19 with normalised activations


def _caffe_vgg19(path: Path) -> StateDict:
    """Caffe's VGG-19 behind torchvision's input: RGB normalised by ImageNet's mean and deviation.

    The file starts with a 1×1 convolution that turns RGB in [0, 1] into Caffe's BGR in [0, 255] minus its
    mean; it and the change of normalisation are folded into conv1_1. Its activations have mean 1 in every
    channel of every layer (Gatys et al. 2016), so a loss weight chosen for torchvision's relu1_2 would not
    carry over: relu1_2 is rescaled by one factor and conv2_1 takes it back, which leaves later layers alone.
    """
    source = _torch(path)
    to_caffe, *layers = sorted({key.split(".")[0] for key in source}, key=int)
    positions = vgg_convolutions(VGG19)
    if len(layers) != len(positions):
        raise ValueError(f"{len(layers)} convolutions instead of {len(positions)}")
    state = {}
    for position, layer in zip(positions, layers, strict=True):
        state[f"features.{position}.weight"] = source[f"{layer}.weight"]
        state[f"features.{position}.bias"] = source[f"{layer}.bias"]
    mix = source[f"{to_caffe}.weight"][:, :, 0, 0]  # [BGR, RGB]
    kernel = state["features.0.weight"]  # [64, BGR, 3, 3]
    offset = mix @ torch.tensor(IMAGENET_MEAN) + source[f"{to_caffe}.bias"]  # [BGR], under one grey level
    # the zero padding now stands for ImageNet's mean colour, not Caffe's: the offset is that small difference
    state["features.0.bias"] = state["features.0.bias"] + torch.einsum("ocij,c->o", kernel, offset)
    state["features.0.weight"] = torch.einsum("ocij,cr->orij", kernel, mix * torch.tensor(IMAGENET_STD))
    for suffix in ("weight", "bias"):
        state[f"features.2.{suffix}"] = state[f"features.2.{suffix}"] * CAFFE_RELU1_2_SCALE
    state["features.5.weight"] = state["features.5.weight"] / CAFFE_RELU1_2_SCALE
    return state


# --- TorchScript


class _ScriptObject:
    """Stands for any module of the archive: its attributes, none of its code."""


class _ScriptUnpickler(pickle.Unpickler):
    """Reads the attributes of a TorchScript module; `torch.jit.load` would compile and trust its code."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}/data.pkl")))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _ScriptObject
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("torch", "FloatStorage"):
            return torch.float32
        if (module, name) == ("torch.jit._pickle", "build_intlist"):
            return list
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"refuses to load {module}.{name}")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _device, numel = pid
        if kind != "storage" or dtype is not torch.float32 or not str(key).isdigit():
            raise pickle.UnpicklingError(f"refuses storage {pid!r}")
        content = bytearray(self._archive.read(f"{self._folder}/data/{key}"))
        return torch.frombuffer(content, dtype=torch.float32, count=numel)


def _rebuild(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _script_tensors(module: _ScriptObject, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _ScriptObject):
            yield from _script_tensors(value, f"{prefix}{name}.")


def _fid_torchscript(path: Path) -> StateDict:
    """TensorFlow's names mapped onto pytorch-fid's; its batch norm has no gamma, so weight is 1."""
    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].split("/")[0]
        tensors = dict(_script_tensors(_ScriptUnpickler(archive, folder).load(), ""))
    state = {}
    for tensorflow, pytorch in _inception_layers():
        weight, beta, mean, var = (
            tensors.pop(f"net.layers.{tensorflow}.{part}") for part in ("weight", "beta", "mean", "var")
        )
        state[f"{pytorch}.conv.weight"] = weight
        state[f"{pytorch}.bn.weight"] = torch.ones_like(beta)
        state[f"{pytorch}.bn.bias"] = beta
        state[f"{pytorch}.bn.running_mean"] = mean
        state[f"{pytorch}.bn.running_var"] = var
    left = [name for name in tensors if name.startswith("net.layers.")]
    if left:
        raise ValueError(f"{len(left)} tensors without a place, {left[0]} among them")
    return state


def _inception_layers() -> Iterator[tuple[str, str]]:
    """(TensorFlow scope, pytorch-fid module) of all 94 convolutions."""
    stem = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
    for index, module in enumerate(stem):
        yield _numbered("conv", index), module
    blocks = {
        "Mixed_5b Mixed_5c Mixed_5d": {
            "conv": "branch1x1",
            "tower.conv": "branch5x5_1",
            "tower.conv_1": "branch5x5_2",
            **_chain("tower_1", "branch3x3dbl", 3),
            "tower_2.conv": "branch_pool",
        },
        "Mixed_6a": {"conv": "branch3x3", **_chain("tower", "branch3x3dbl", 3)},
        "Mixed_6b Mixed_6c Mixed_6d Mixed_6e": {
            "conv": "branch1x1",
            **_chain("tower", "branch7x7", 3),
            **_chain("tower_1", "branch7x7dbl", 5),
            "tower_2.conv": "branch_pool",
        },
        "Mixed_7a": {**_chain("tower", "branch3x3", 2), **_chain("tower_1", "branch7x7x3", 4)},
        "Mixed_7b Mixed_7c": {
            "conv": "branch1x1",
            "tower_conv": "branch3x3_1",
            "tower_mixed_conv": "branch3x3_2a",
            "tower_mixed_conv_1": "branch3x3_2b",
            "tower_1_conv": "branch3x3dbl_1",
            "tower_1_conv_1": "branch3x3dbl_2",
            "tower_1_mixed_conv": "branch3x3dbl_3a",
            "tower_1_mixed_conv_1": "branch3x3dbl_3b",
            "tower_2_conv": "branch_pool",
        },
    }
    index = 0
    for modules, branches in blocks.items():
        for module in modules.split():
            for tensorflow, branch in branches.items():
                yield f"{_numbered('mixed', index)}.{tensorflow}", f"{module}.{branch}"
            index += 1


def _numbered(name: str, index: int) -> str:
    return name if index == 0 else f"{name}_{index}"


def _chain(tower: str, branch: str, length: int) -> dict[str, str]:
    return {f"{tower}.{_numbered('conv', i)}": f"{branch}_{i + 1}" for i in range(length)}


_READERS: dict[Layout, Callable[[Path], StateDict]] = {
    "torch": _torch,
    "torchvision": _torchvision,
    "fid-inception": _fid_inception,
    "fid-torchscript": _fid_torchscript,
    "flax-vgg16": _flax_vgg16,
    "flax-alexnet": _flax_alexnet,
    "caffe-vgg19": _caffe_vgg19,
    "movenet": movenet,
}
