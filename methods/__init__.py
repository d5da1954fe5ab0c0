"""The interface of a method, the parts that methods share, and the list of built-in methods."""

from methods.interface import (
    Budget,
    EpisodeBatch,
    FineTune,
    Method,
    PairBatch,
    Phase,
    Probe,
    Progress,
    Setup,
    Support,
    Transfer,
)

METHODS: dict[str, str] = {
    "ours": "ours.method:Ours",
    "pix2pix": "baselines.pix2pix:Pix2Pix",
    "pg2": "baselines.pg2:PG2",
    "patn": "baselines.patn:PATN",
    "xinggan": "baselines.xinggan:XingGAN",
    "dptn": "baselines.dptn:DPTN",
}
"""Built-in methods: name on the command line -> "module:Class", imported only when asked for."""

__all__ = [
    "METHODS",
    "Budget",
    "EpisodeBatch",
    "FineTune",
    "Method",
    "PairBatch",
    "Phase",
    "Probe",
    "Progress",
    "Setup",
    "Support",
    "Transfer",
]
