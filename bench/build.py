"""From a specification to a method in memory: class, perceptual nets, device."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bench.errors import DeviceError, UsageError, WeightsMissing
from bench.spec import TrainSpec
from methods import METHODS
from methods.interface import Method, PerceptualNets, Setup

if TYPE_CHECKING:
    from bench.progress import Reporter


def method_path(name: str) -> str:
    """`module:Class` of a method named on the command line."""
    return METHODS.get(name, name)


def method_class(name: str) -> type[Method]:
    """The class behind a built-in name or `package.module:Class`.

    Raises UsageError when it cannot be imported or lacks a verb of the interface.
    """
    module_name, _, class_name = method_path(name).partition(":")
    if str(Path.cwd()) not in sys.path:  # a method of one's own is a file in the working directory
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever somebody's own module raises
        raise UsageError(f"method '{name}': cannot import {module_name} ({_where(error)})") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise UsageError(f"method '{name}': {module_name} has no class {class_name or '(none given)'}")
    verbs = ("phases", "train_step", "adapt", "probes", "notes", "state_dict", "load_state_dict")
    names = ("title", "reference", "perceptual_nets", "few_shot")
    missing = [verb for verb in (*verbs, *names) if not hasattr(found, verb)]
    if missing:
        raise UsageError(f"method '{name}' lacks {', '.join(missing)} (see methods/interface.py)")
    return found


def _where(error: Exception) -> str:
    """An error with the file and line that raised it, where that is not the import machinery's."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"  # which names both
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    at = f", {frames[-1].filename} line {frames[-1].lineno}" if frames and not isinstance(error, ImportError) else ""
    return f"{type(error).__name__}: {error}{at}" if at else str(error)


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA, then MPS, then the CPU; a device that is not there is a DeviceError."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device '{name}': use auto, cpu, mps, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"--device {name}: this machine shows torch no CUDA GPU; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"--device {name}: there are {torch.cuda.device_count()} GPUs, numbered from 0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("--device mps: this machine has no Apple GPU; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"--device '{name}': use auto, cpu, mps, cuda or cuda:N")
    # fp32 means float32: torch would let convolutions on a GPU round to TF32's ten bits
    torch.backends.cudnn.allow_tf32 = False
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """`auto` is bf16 on a GPU that multiplies it natively, else fp32.

    On a CPU with bfloat16 units a step at `quick` gains 1.2–1.6 times with some methods and nothing with others,
    and the same numbers on every machine are worth more.
    """
    if name == "auto":
        if device.type != "cuda":
            return "fp32"
        with torch.cuda.device(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if name not in ("fp32", "bf16"):
        raise UsageError(f"--precision '{name}': use auto, fp32 or bf16")
    return name


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context every forward pass of a training or a generation runs in."""
    # without the cache of cast weights: fine-tuning updates weights inside one such context, and would go on
    # drawing with the ones that were cast first
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)


def use_all_cores() -> None:
    """One torch process uses every core it may run on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2": of nested regions
    torch.set_num_threads(int(asked) if asked.isdecimal() and int(asked) else allowed or 1)


def perceptual_hashes(names: Iterable[str], report: Reporter) -> dict[str, str]:
    """sha256 of each perceptual net's weights; a net that cannot be had is left out, and that is said aloud."""
    from bench import weights

    found = {}
    for name in names:
        try:
            found[name] = weights.load(name).sha256
        except WeightsMissing as error:
            report.line(f"WARNING: no {name} weights, so its perceptual term is dropped. {error}")
    return found


def perceptual_nets(names: Iterable[str], device: torch.device) -> PerceptualNets:
    """Frozen feature networks by name."""
    from bench import weights
    from methods.perceptual import VGGFeatures

    nets = {}
    for name in names:
        nets[name] = VGGFeatures(name, weights.load(name).state_dict).to(device).eval()
    return nets


def build(spec: TrainSpec, device: torch.device) -> Method:
    """The untrained method of a specification. The caller seeds torch first."""
    setup = Setup(
        image_size=spec.image_size,
        budget=spec.budget,
        width=spec.width,
        batch=spec.batch,
        device=device,
        perceptual=perceptual_nets(spec.perceptual, device),
        options=spec.options,
    )
    try:
        return method_class(spec.method)(setup)
    except ValueError as error:
        raise UsageError(f"method '{spec.method}': {error}") from error
