"""Ranks made in code: gloo processes of one thread each, and what every method has become after a few shared steps."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bench.build import build
from bench.conformance import flat
from bench.data.batches import episode_batch, pair_batch
from bench.ranks.group import first_rank, join
from bench.ranks.step import shared
from bench.spec import TrainSpec
from methods import recompute
from methods.interface import Budget, Progress
from tests.made_pack import made_pack

CPU = torch.device("cpu")
STEPS = 2


@dataclass(frozen=True)
class Case:
    """A method with options, in a size that takes milliseconds."""

    method: str
    options: dict[str, Any] = field(default_factory=dict)
    batch: int = 4
    large: int = recompute.LARGE  # pixels above which a backward pass computes again

    def spec(self, **changes: Any) -> TrainSpec:
        values: dict[str, Any] = {
            **{"method": self.method, "variant": "", "options": self.options, "preset": "smoke", "image_size": 32},
            **{"width": 0.125, "batch": self.batch, "seed": 0, "precision": "fp32", "data": "made-in-code"},
            **{"budget": Budget(48, 48), "perceptual": {}},
        }
        return TrainSpec(**{**values, **changes})


CASES = {
    **{name: Case(name) for name in ("pix2pix", "pg2", "patn", "xinggan", "dptn")},
    "xinggan, computing again": Case("xinggan", large=0),
    "ours, joint": Case("ours", {"training": "joint"}),
    "ours, meta": Case("ours", {"inner_steps": 2}),
    "ours, MSL": Case("ours", {"msl": True, "support": 2, "inner_steps": 2}),
    "somebody's own": Case(
        "tests.mixing_method:Mixing", batch=8
    ),  # two samples a rank of four: of one, its noise is refused
}


class InFloat64(TorchFunctionMode):
    """Whoever asks for float32 within gets float64, where rounding cannot hide what ranks do wrong."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {name: torch.float64 if value is torch.float32 else value for name, value in (kwargs or {}).items()}
        return func(*args, **kwargs) if func is not Tensor.float else args[0].double()


def after_steps(case: Case, exact: bool) -> dict[str, Tensor]:
    """State, losses and optimisers' moments of a method after STEPS steps of each of its phases.

    `exact`: in float64. With one thread, as ranks have: sums of two are rounded otherwise, and an inner loop makes much
    of it.
    """
    threads, before = torch.get_num_threads(), torch.get_default_dtype()
    dtype = torch.float64 if exact else torch.float32
    torch.set_num_threads(1)
    torch.set_default_dtype(dtype)
    try:
        with InFloat64() if exact else nullcontext(), mock.patch.object(recompute, "LARGE", case.large):
            return _after_steps(case, dtype)
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(threads)


def _after_steps(case: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    torch.manual_seed(0)
    method = build(case.spec(), CPU)
    phases = list(method.phases())
    step, pack, found = shared(method, phases, 0), made_pack(train=4), dict[str, Tensor]()
    for phase in phases:
        for number in range(STEPS):
            if phase.data == "pairs":
                batch: Any = pair_batch(pack, 0, number, phase.batch)
            else:
                batch = episode_batch(pack, 0, number, phase.batch, phase.support, CPU, phase.support_from)
            parts = {part.name: getattr(batch, part.name).to(dtype) for part in fields(batch)}
            torch.manual_seed(number)
            losses = step(replace(batch, **parts), Progress(phase, number))
            found |= {f"{phase.name}.{number}.{name}": value for name, value in losses.items()}
    found |= {name: leaf for name, leaf in flat(method.state_dict()) if isinstance(leaf, Tensor)}
    return {name: value.detach().clone() for name, value in found.items()}


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> tuple[float, str]:
    """The largest distance of two tensors of the same name, relative to their size, and the name.

    A tensor a thousand times smaller than its kind (parameters of a network, first moments of its gradients, …) is
    measured by its kind: the gradient of a bias that a norm cancels is rounding noise, and Adam blows it up.
    """
    assert one.keys() == other.keys()
    kinds: dict[tuple[str, str], list[Tensor]] = {}
    for name, value in one.items():
        kinds.setdefault(_kind(name), []).append(value.double().flatten())
    typical = {kind: float(torch.cat(values).square().mean().sqrt()) for kind, values in kinds.items()}
    worst = (0.0, "")
    for name, value in one.items():
        size = max(float(value.double().norm()), 1e-3 * typical[_kind(name)] * value.numel() ** 0.5)
        worst = max(worst, (float((value.double() - other[name].double()).norm()) / size if size else 0.0, name))
    return worst


def _kind(name: str) -> tuple[str, str]:
    part, _, rest = name.partition(".")
    return part, rest.rpartition(".")[2] if ".state." in name else ""


def on_ranks(count: int, work: Callable[..., Any], folder: Path, *arguments: Any) -> list[Any]:
    """What `work(*arguments)` returns on each of `count` ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.set_forkserver_preload(["tests.made_ranks", "torch._dynamo"])  # imported once for all ranks
    rank_arguments = (count, port, work, folder, arguments)
    torch.multiprocessing.start_processes(_one_rank, rank_arguments, count, start_method="forkserver")
    return [torch.load(folder / f"{number}.pt") for number in range(count)]


def _one_rank(number: int, count: int, port: int, work: Callable[..., Any], folder: Path, arguments: Any) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(number), "WORLD_SIZE": str(count), "LOCAL_RANK": str(number)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    join()
    torch.save(work(*arguments), folder / f"{number}.pt")
    dist.destroy_process_group()


def all_methods(exact: bool) -> dict[str, dict[str, Tensor]]:
    """`after_steps` of every case; of the first rank alone."""
    found = {name: after_steps(case, exact) for name, case in CASES.items()}
    return found if first_rank() else {}
