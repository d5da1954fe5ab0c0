"""The multi-step loss weights, against MAML++'s own numbers (METHODS §7)."""

import pytest

from ours.multi_step import step_weights


@pytest.mark.parametrize(
    ("epoch", "early", "last"),
    [(0, 0.25, 0.25), (1, 0.23333, 0.3), (3, 0.2, 0.4), (7, 0.13333, 0.6), (10, 0.08333, 0.75),
     (13, 0.03333, 0.9), (14, 0.01667, 0.95)],
)  # fmt: skip
def test_four_steps_over_fifteen_epochs(epoch: int, early: float, last: float) -> None:
    assert step_weights(4, epoch, 15) == pytest.approx([early] * 3 + [last], abs=1e-5)


def test_two_and_five_steps() -> None:
    assert step_weights(2, 7, 15) == pytest.approx([0.26667, 0.73333], abs=1e-5)
    assert step_weights(2, 14, 15) == pytest.approx([0.03333, 0.96667], abs=1e-5)
    assert step_weights(5, 7, 15) == pytest.approx([0.10667] * 4 + [0.57333], abs=1e-5)


def test_after_the_early_stage_and_without_the_loss_the_last_step_alone_counts() -> None:
    assert step_weights(4, 15, 15) == step_weights(4, 0, 15, enabled=False) == [0, 0, 0, 1]
    assert step_weights(1, 0, 15) == [1]


def test_the_floor_is_reached_in_long_schedules_and_the_sum_is_always_one() -> None:
    assert step_weights(4, 99, 100)[0] == pytest.approx(0.03 / 4)
    for steps in (1, 2, 4, 5):
        for epoch in range(0, 120, 7):
            assert sum(step_weights(steps, epoch, 100)) == pytest.approx(1)
