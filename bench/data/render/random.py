"""Random numbers whose stream is fixed for good, unlike numpy's: they name the data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(x: int) -> int:
    """The output function of splitmix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


class Draws:
    """A stream of draws named by a seed and a path: what one trait draws never shifts another's stream."""

    def __init__(self, seed: int, *path: str | int) -> None:
        name = repr((seed, *path)).encode()
        self._state = int.from_bytes(hashlib.sha256(name).digest()[:8], "little")

    def uniform(self, a: float = 0.0, b: float = 1.0) -> float:
        """In [a, b)."""
        self._state = (self._state + _GOLDEN) & _MASK
        return a + (b - a) * ((_mix(self._state) >> 11) / (1 << 53))

    def normal(self, mean: float = 0.0, std: float = 1.0) -> float:
        """Close to a normal draw, within ±6 std."""
        # a sum of twelve uniforms needs no logarithm or cosine, whose last bit depends on the C library
        return mean + std * (sum(self.uniform() for _ in range(12)) - 6.0)

    def integers(self, n: int) -> int:
        """One of 0 … n - 1."""
        return int(self.uniform() * n)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.uniform() < p

    def choice(self, seq: Sequence[T], p: Sequence[float] | None = None) -> T:
        """One item, all equally likely or with weights `p` (of any sum)."""
        if p is None:
            return seq[self.integers(len(seq))]
        sums = list(accumulate(p, initial=0.0))
        threshold = self.uniform() * sums[-1]
        return next((item for item, top in zip(seq, sums[1:], strict=True) if threshold < top), seq[-1])
