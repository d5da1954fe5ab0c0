"""The list schedule, on graphs small enough to do by hand, and its bounds on any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.launch.schedule import Node, makespan, ranks

CHAIN = [Node("a", (), 3), Node("b", ("a",), 4), Node("c", (), 5)]
FORK = [Node("warm", (), 2), *(Node(name, ("warm",), 3) for name in "xyz")]


def test_the_rank_of_a_stage_is_the_longest_path_that_starts_with_it() -> None:
    assert ranks(CHAIN) == {"a": 7, "b": 4, "c": 5}
    assert ranks(FORK) == {"warm": 5, "x": 3, "y": 3, "z": 3}


@pytest.mark.parametrize(
    ("nodes", "workers", "seconds"),
    [
        (CHAIN, 1, 12),
        (CHAIN, 2, 7),  # a and c at once, b behind a
        (CHAIN, 9, 7),
        (FORK, 1, 11),
        (FORK, 2, 8),  # nobody can help with the warm start; then two of three, then the third
        (FORK, 3, 5),
        ([Node(str(n), (), seconds) for n, seconds in enumerate((2, 3, 2, 3, 2))], 2, 7),  # 3 2 2 | 3 2
        ([Node("short", (), 1), Node("long", (), 4), Node("also", (), 3)], 2, 4),  # the longest first, not the first
        ([Node("end", ("elsewhere",), 2)], 1, 2),  # what is not in the graph is done
        ([], 4, 0),
    ],
)
def test_makespans_by_hand(nodes: list[Node], workers: int, seconds: float) -> None:
    assert makespan(nodes, workers) == seconds


def test_stages_that_need_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="a, b"):
        makespan([Node("a", ("b",), 1), Node("b", ("a",), 1)], 2)


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    count = draw(st.integers(1, 12))
    return [
        Node(str(n), tuple(str(m) for m in draw(st.sets(st.integers(0, n - 1), max_size=2))) if n else (),
             draw(st.integers(1, 9)))
        for n in range(count)
    ]  # fmt: skip


@given(graphs(), st.integers(1, 5))
def test_a_schedule_keeps_the_bounds_of_graham(nodes: list[Node], workers: int) -> None:
    total, path = sum(node.seconds for node in nodes), max(ranks(nodes).values())
    made = makespan(nodes, workers)
    assert max(path, total / workers) <= made <= total / workers + path * (1 - 1 / workers) + 1e-9
    assert makespan(nodes, 1) == total and makespan(nodes, len(nodes)) == path
