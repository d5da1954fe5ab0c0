"""The importance weights of the multi-step loss, as MAML++ computes them (eq. 11; METHODS §7)."""

from __future__ import annotations

MINIMUM_SHARE = 0.03  # of 1/S, to which an early step's weight never falls below


def step_weights(steps: int, epoch: int, epochs: int, enabled: bool = True) -> list[float]:
    """v_1 … v_S at an epoch (from 0): equal at first, moving to the last step over `epochs` epochs.

    From then on, or when not enabled, the last step alone counts. The weights sum to 1.
    """
    if not enabled or epoch >= epochs or steps == 1:
        return [0.0] * (steps - 1) + [1.0]
    least = MINIMUM_SHARE / steps
    early = max(1 / steps - epoch / (steps * epochs), least)
    last = min(1 / steps + epoch * (steps - 1) / (steps * epochs), 1 - (steps - 1) * least)
    return [early] * (steps - 1) + [last]
