"""The scored columns of the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.records import Record


@dataclass(frozen=True)
class Metric:
    """A scored column."""

    key: str
    title: str
    digits: int
    higher_is_better: bool = False
    scale: float = 1.0
    unit: str = ""

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.higher_is_better else -1

    @property
    def heading(self) -> str:
        """`KID↓ ×10³`."""
        return f"{self.title}{'↑' if self.higher_is_better else '↓'} {self.unit}".rstrip()

    @property
    def gain_heading(self) -> str:
        """`Δ KID ×10³`: positive is better, so there is no arrow."""
        return f"Δ {self.title} {self.unit}".rstrip()


METRICS = (
    Metric("fid", "FID", 2),
    Metric("kid", "KID", 2, scale=1000, unit="×10³"),
    Metric("ssim", "SSIM", 3, higher_is_better=True),
    Metric("ssim_foreground", "fg-SSIM", 3, higher_is_better=True),
    Metric("l1_foreground", "fg-L1", 3),
    Metric("l1_background", "bg-L1", 4),
    Metric("lpips", "LPIPS", 3),
)


def scored(records: Iterable[Record]) -> list[Metric]:
    """The metrics that all of these records have."""
    everyone = list(records)
    return [metric for metric in METRICS if all(record.has(metric.key) for record in everyone)]


BY_KEY = {metric.key: metric for metric in METRICS}
