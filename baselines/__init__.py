"""The baselines of the paper's comparison, Pix2Pix, PG2, PATN and XingGAN, and DPTN; one file each."""

from __future__ import annotations


def scaled(channels: int, width: float) -> int:
    """A published channel count times the width factor, rounded, never below 4."""
    return max(4, round(channels * width))
