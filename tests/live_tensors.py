"""What is computed, and how much of it is in memory at a time, counted operator by operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Within: convolutions computed, bytes alive of all results so far, and the most that a backward pass found."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = 0
        self.peak = 0
        self._made: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operator(*args, **(kwargs or {}))
        self.convolutions += operator is torch.ops.aten.convolution.default
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._made[StorageWeakRef(storage)] = storage.nbytes()
        if operator is torch.ops.aten.convolution_backward.default:  # there memory peaks; counting takes long
            self.peak = max(self.peak, self.alive())
        return result

    def alive(self) -> int:
        self._made = {reference: size for reference, size in self._made.items() if not reference.expired()}
        return sum(self._made.values())
