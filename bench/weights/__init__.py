"""Pretrained networks: what they are, where they come from, and the tensors once they are here."""

from bench.weights.cache import LoadedWeights, Origin, Status, available, folder, load, resolve, verify
from bench.weights.table import WEIGHTS, Weights, entry

__all__ = [
    "WEIGHTS",
    "LoadedWeights",
    "Origin",
    "Status",
    "Weights",
    "available",
    "entry",
    "folder",
    "load",
    "resolve",
    "verify",
]
