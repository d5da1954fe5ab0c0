"""Learning-rate schedules, as functions of where a step stands in its phase."""

from __future__ import annotations

from torch.optim import Optimizer

from methods.interface import Progress


def linear_decay(progress: Progress, constant: int, decay: int) -> float:
    """The learning-rate factor of Pix2Pix, PATN and XingGAN: 1, then linearly to 0 (METHODS §2, §4).

    The phase is read as `constant` + `decay` epochs. As in the published code the decline starts one epoch
    early, and the last epoch has factor 0.
    """
    epoch = progress.epoch(constant + decay)
    return 1 - max(0, epoch + 2 - constant) / (decay + 1)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Gives every parameter group of the optimiser this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
