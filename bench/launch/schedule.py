"""List scheduling of a graph of stages: what to start first, and when the last would end.

The rule is the classic one: of everything that can start, start that with the longest path behind it. It is never
worse than (2 - 1/workers) times the best possible (Graham 1969), and close to it where no path dominates.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A piece of work: its name, what must be done before it, and how long it is expected to take."""

    key: str
    needs: tuple[str, ...]
    seconds: float


def ranks(nodes: Iterable[Node]) -> dict[str, float]:
    """Of each node, the seconds of the longest path that starts with it. Needs outside `nodes` count as done.

    Raises ValueError for needs that go in a circle.
    """
    by_key = {node.key: node for node in nodes}
    found = {key: node.seconds for key, node in by_key.items()}
    for key in reversed(in_order(by_key)):
        for need in by_key[key].needs:
            if need in by_key:
                found[need] = max(found[need], by_key[need].seconds + found[key])
    return found


def in_order(by_key: Mapping[str, Node]) -> list[str]:
    """The keys, each after what it needs."""
    order: list[str] = []
    left = dict(by_key)
    while left:
        free = [key for key, node in left.items() if not any(need in left for need in node.needs)]
        if not free:
            raise ValueError(f"these need each other: {', '.join(sorted(left))}")
        order += free
        for key in free:
            del left[key]
    return order


def makespan(nodes: Iterable[Node], workers: int) -> float:
    """Seconds from the first start to the last end on so many workers, each with one piece of work at a time."""
    by_key = {node.key: node for node in nodes}
    rank = ranks(by_key.values())
    waiting = {key: {need for need in node.needs if need in by_key} for key, node in by_key.items()}
    running: list[tuple[float, str]] = []
    now = 0.0
    while waiting or running:
        ready = sorted((key for key, needs in waiting.items() if not needs), key=lambda key: -rank[key])
        for key in ready[: workers - len(running)]:
            heapq.heappush(running, (now + by_key[key].seconds, key))
            del waiting[key]
        now, finished = heapq.heappop(running)
        for needs in waiting.values():
            needs.discard(finished)
    return now
