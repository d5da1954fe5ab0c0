"""Metrics: pure functions of images and of features, each with its source named in its file."""

from bench.metrics.bootstrap import Interval, interval, paired_difference
from bench.metrics.features import EXTRACTORS, Extractor, image_digest
from bench.metrics.frechet import frechet_distance
from bench.metrics.kid import KernelDistance, kernel_distance
from bench.metrics.lpips import LPIPS
from bench.metrics.pixel import L1, l1
from bench.metrics.ssim import SSIM, ssim

__all__ = [
    "EXTRACTORS",
    "L1",
    "LPIPS",
    "SSIM",
    "Extractor",
    "Interval",
    "KernelDistance",
    "frechet_distance",
    "image_digest",
    "interval",
    "kernel_distance",
    "l1",
    "paired_difference",
    "ssim",
]
