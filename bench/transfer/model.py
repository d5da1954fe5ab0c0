"""A trained method as one small file that can be published: networks in half precision, and how they were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from bench.build import build
from bench.data.people import Framing
from bench.errors import DataError, UsageError
from bench.files import write_bytes
from bench.illustrate.pictures import Model
from bench.spec import TrainSpec
from methods.interface import Budget, FineTune

FORMAT = "anime-pose-bench model 1"
MODELS = Path(__file__).parent / "models"
OPTIMISER = "optim"  # what a state's parts that are no networks are called, in every method


@dataclass(frozen=True)
class Published:
    """A model read back, and what its file says of it."""

    model: Model
    spec: TrainSpec
    framing: Framing  # of the sources it was trained on
    about: Mapping[str, Any]

    def with_schedule(self, schedule: FineTune | None) -> Published:
        """The same networks, fine-tuned otherwise; None: not at all."""
        return replace(self, model=replace(self.model, schedule=schedule))


def default_model() -> Path:
    """The model that comes with the suite; raises UsageError where there is none."""
    found = sorted(MODELS.glob("*.safetensors"))
    if not found:
        raise UsageError("no model comes with this copy of the suite; name one of `bench export-model` with --model")
    return found[-1]


def export_model(model: Model, spec: TrainSpec, framing: Framing, about: Mapping[str, Any], path: Path) -> int:
    """Write a trained model to `path` (safetensors, float16) and return its bytes. Optimiser states stay behind."""
    tensors = {
        name: tensor.detach().cpu().contiguous().to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in _flat(model.method.state_dict())
        if OPTIMISER not in name.split(".")[0]
    }
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise DataError(f"{bad[0]} and {len(bad) - 1} more do not fit half precision")
    described = {
        "format": FORMAT,
        "spec": {**asdict(spec), "warm_start": None, "options": dict(spec.options), "perceptual": {}},
        "finetune": asdict(model.schedule) if model.schedule else None,
        "framing": asdict(framing),
        "about": dict(about),
    }
    content = save_tensors(tensors, {"anime-pose-bench": json.dumps(described, ensure_ascii=False)})
    write_bytes(path, content)
    return len(content)


def read_model(path: Path, device: torch.device) -> Published:
    """The model in a file of `export_model`; runs no code that a file carries. Raises DataError that names the file."""
    try:
        content = path.read_bytes()
        tensors = load_tensors(content)
        described = json.loads(_metadata(content)["anime-pose-bench"])
        if described["format"] != FORMAT:
            raise ValueError(f"its format is '{described['format']}', not '{FORMAT}'")
        spec = TrainSpec(**{**described["spec"], "budget": Budget(**described["spec"]["budget"])})
        finetune = FineTune(**described["finetune"]) if described["finetune"] else None
        framing = Framing(**described["framing"])
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not a model of this suite ({type(error).__name__}: {error}); `bench export-model` writes one"
        ) from error
    method = build(spec, device)
    try:
        method.load_state_dict(_overlaid(method.state_dict(), tensors))
    except (KeyError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} does not fit {spec.method} as it is now: {error}") from error
    about = {**described["about"], "sha256": hashlib.sha256(content).hexdigest()}
    return Published(Model(method, finetune, device, "fp32"), spec, framing, about)


def _metadata(content: bytes) -> dict[str, str]:
    """The `__metadata__` of a safetensors file, whose header the reader has already checked."""
    length = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return found


def _flat(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            yield prefix + str(name), value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")


def _overlaid(state: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], prefix: str = "") -> dict[str, Any]:
    """`state` with every network tensor replaced; raises KeyError for one that is not in the file."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        if prefix == "" and OPTIMISER in name:
            found[name] = value
        elif isinstance(value, torch.Tensor):
            found[name] = tensors[prefix + name].to(value.dtype)
        else:
            found[name] = _overlaid(value, tensors, f"{prefix}{name}.") if isinstance(value, Mapping) else value
    return found
