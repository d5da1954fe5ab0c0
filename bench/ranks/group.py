"""Who the ranks are, and the few words they exchange. Alone, a process is the first and the only rank."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from bench.errors import DeviceError, UsageError

PATIENCE = timedelta(days=30)
"""How long a rank waits for another: the first one renders, tunes and scores while the rest have nothing to do.
A rank that dies does not make the others wait: `torchrun` ends them."""


def join() -> None:
    """Join the group that `torchrun` describes in the environment: NCCL between GPUs, gloo between processors."""
    nccl = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=PATIENCE)


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if world_size() > 1 else 0


def first_rank() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


def on_any_rank(flag: bool) -> bool:
    """Whether the flag is up on any rank: the same answer on all."""
    if world_size() == 1:
        return flag
    flags = torch.tensor([int(flag)])
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def average(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, of the same shape on all ranks, by its mean over them: one exchange a kind of tensor."""
    kinds = dict.fromkeys((tensor.dtype, tensor.device) for tensor in tensors)
    for kind in kinds:
        group = [tensor for tensor in tensors if (tensor.dtype, tensor.device) == kind]
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(flat)
        flat /= world_size()
        for tensor, mean in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(mean.view(tensor.shape))


def own_device(device: torch.device) -> torch.device:
    """The device of this rank where the command asks for `device`: its own GPU of the machine, or the CPU.

    Raises UsageError for a device that ranks cannot share, DeviceError where there are fewer GPUs than ranks.
    """
    if world_size() == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UsageError(f"several ranks cannot share --device {device.type}; use cuda or cpu")
    if device.index is not None:
        raise UsageError(f"--device {device}: torchrun gives every rank a GPU of its own; use --device cuda")
    here, found = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if here > found:
        raise DeviceError(f"{here} ranks, but {found} GPUs on this machine; use --nproc-per-node {found}")
    own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(own)
    return own
