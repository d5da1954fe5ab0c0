"""Size and cost of a network: parameters, and multiply-accumulates of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from methods.interface import Probe


@dataclass(frozen=True)
class Count:
    """What METHODS §6 lists of a network."""

    parameters: int
    macs: int
    output_shape: tuple[int, ...]


def count(probe: Probe) -> Count:
    """Counts `probe.module` at `probe.inputs` in evaluation mode, without computing anything.

    One forward pass of shapes alone (torch's meta device), so any size is counted in a moment and the
    module's own tensors are never touched. Convolutions, transposed convolutions, linear layers, matrix
    products (matmul, bmm, einsum) and scaled-dot-product attention are counted; biases, norms and
    elementwise operations are not, as is the custom for MACs.
    """
    module = probe.module
    shapes = {name: _shape_of(p) for name, p in (*module.named_parameters(), *module.named_buffers())}
    inputs = tuple(_shape_of(x) for x in probe.inputs)
    training = {m: m.training for m in module.modules()}
    module.eval()
    counter = FlopCounterMode(display=False)
    try:
        # the math backend spells attention out as the matrix products it is
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            output = functional_call(module, shapes, inputs)
    finally:
        for part, mode in training.items():
            part.training = mode
    return Count(
        parameters=sum(p.numel() for p in module.parameters()),
        macs=counter.get_total_flops() // 2,  # torch counts a multiply-accumulate as two operations
        output_shape=tuple(output.shape),
    )


def _shape_of(tensor: Tensor) -> Tensor:
    return torch.empty_like(tensor, device="meta")
