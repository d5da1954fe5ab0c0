"""What a method's networks are at a preset: parameters, multiply-accumulates, output shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bench.build import method_class
from bench.presets import preset
from methods.count import count
from methods.interface import Budget, Method, Setup


@dataclass(frozen=True)
class NetworkReport:
    """One network of a method; multiply-accumulates are of one image."""

    name: str
    parameters: int
    macs: int
    output: tuple[int, ...]


def inspect(method: str, preset_name: str) -> list[NetworkReport]:
    """Every network of a method at a preset's image size and width. Nothing is computed, only counted."""
    size = preset(preset_name)
    setup = Setup(
        image_size=size.data.image_size,
        budget=Budget(size.pairs, size.queries, size.warm_start_pairs),
        width=size.widths.get(method, size.default_width),
        batch=1,
        device=torch.device("meta"),
    )
    built = _built(method_class(method), setup)
    reports = []
    for probe in built.probes():
        counted = count(probe)
        reports.append(NetworkReport(probe.name, counted.parameters, counted.macs, tuple(counted.output_shape)))
    return reports


def _built(method: type[Method], setup: Setup) -> Method:
    """On the meta device from the first: else networks are drawn at random on the CPU, seconds each at full width."""
    try:
        with torch.device("meta"):
            return method(setup)
    except (RuntimeError, TypeError):  # one that looks at values as it is built
        return method(setup)
