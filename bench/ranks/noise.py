"""Random numbers of the whole batch: a rank's samples get what one process would have drawn for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from bench.errors import UsageError
from bench.ranks.group import rank, world_size


class SharedNoise(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, what torch draws from a seeded generator is drawn for the whole batch, and this rank keeps its rows.

    All ranks have seeded alike and draw alike, so their generators stay where one process' would be. A draw with
    as many rows as the rank has `samples` is one of noise by sample; one whose rows are no multiple of them, or
    that has none, is noise that all samples share. Of any other it cannot be told which sample a row belongs to,
    nor of any in a step of episodes, where tasks may be taken one by one: UsageError.
    """

    def __init__(self, samples: int, episodes: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.samples, self.episodes = samples, episodes
        self.rows = slice(rank() * samples, (rank() + 1) * samples)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not _draws(func):
            return func(*args, **kwargs)
        given = _defaults(func) | dict(zip(_defaults(func), args, strict=False)) | dict(kwargs)
        if _switched_off(given) or not self._by_sample(func, _shape(given), made_by_size="size" in given):
            return func(*args, **kwargs)
        return self._draw(func, given)

    def _by_sample(self, func: OpOverload, shape: Sequence[int], made_by_size: bool) -> bool:
        """Whether the rows of a draw are samples. A single row made by its size alone may be meant for all."""
        if not shape or (not self.episodes and shape[0] % self.samples):
            return False
        alone = made_by_size and self.samples == 1
        if self.episodes or alone or shape[0] != self.samples or "n" in _defaults(func):
            raise UsageError(
                f"{func._schema.name} draws {list(shape)} random numbers in a step of {self.samples} "
                f"{'tasks' if self.episodes else 'pairs'} a rank, and ranks cannot tell which sample they are for; "
                "train in one process, or draw one row a sample"
            )
        return True

    def _draw(self, func: OpOverload, given: dict[str, Any]) -> Any:
        name = func._schema.name
        if name == "aten::native_dropout":
            kept, mask = func(torch.ones_like(self._empty(given["input"])), *list(given.values())[1:])
            return given["input"] * kept[self.rows], mask[self.rows].clone()
        if "size" in given:
            given["size"] = [self.samples * world_size(), *given["size"][1:]]
        own = given.get("self")
        for key, value in given.items():
            if isinstance(value, Tensor) and value.dim() and len(value) == self.samples:
                # of what is filled or imitated only the shape counts
                content = not (key == "self" and (func._schema.is_mutable or "_like" in name))
                given[key] = _gathered(value) if content else self._empty(value)
        whole = func(**given)
        if not isinstance(whole, Tensor):
            raise UsageError(f"{name} draws random numbers in a way that ranks cannot share; train in one process")
        if func._schema.is_mutable and isinstance(own, Tensor):
            return own.copy_(whole[self.rows])
        return whole[self.rows].clone()

    def _empty(self, own: Tensor) -> Tensor:
        """Room for what all ranks' tensors are together, laid out as one process' would be."""
        shape = (self.samples * world_size(), *own.shape[1:])
        if own.dim() > 1 and own.stride(0) < max(own.stride()):
            return own.new_empty(shape)
        return own.new_empty_strided(shape, own.stride())


@cache
def _draws(func: OpOverload) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


@cache
def _defaults(func: OpOverload) -> dict[str, Any]:
    """Every argument, in order, with its default; None where it has none."""
    return {argument.name: argument.default_value for argument in func._schema.arguments}


def _switched_off(given: Mapping[str, Any]) -> bool:
    """Attention and recurrent layers bear the tag of drawing even where their dropout is 0."""
    return any(given.get(name, 1) == 0 for name in ("dropout_p", "dropout"))


def _shape(given: Mapping[str, Any]) -> Sequence[int]:
    """The shape of what a draw returns: its size, or that of the tensor it fills, imitates or takes parameters of."""
    if "size" in given:
        return list(given["size"])
    if "n" in given:
        return [given["n"]]
    return next((list(value.shape) for value in given.values() if isinstance(value, Tensor)), [])


def _gathered(own: Tensor) -> Tensor:
    parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, own.contiguous())
    return torch.cat(parts)
