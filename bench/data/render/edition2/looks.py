"""Which expression and which hands a frame shows, drawn from the character, the clip and the frame's number."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.render.edition2.expressions import NEUTRAL
from bench.data.render.edition2.hands import RELAXED
from bench.data.render.random import Draws

EXPRESSION_WEIGHTS = {
    "neutral": 0.26,
    "smile": 0.22,
    "singing": 0.14,
    "laughing": 0.12,
    "wink": 0.10,
    "sad": 0.08,
    "angry": 0.08,
}
HAND_WEIGHTS = {"relaxed": 0.42, "open": 0.24, "fist": 0.14, "peace": 0.11, "point": 0.09}
SAME_HANDS = 0.4  # of frames, in which both hands have one shape


@dataclass(frozen=True)
class Look:
    """What a frame shows besides its pose."""

    expression: str = NEUTRAL
    left_hand: str = RELAXED
    right_hand: str = RELAXED


def look_of(seed: int, clip: str | None, frame: int) -> Look:
    """The look of frame `frame` of a clip; basic views (no clip) are neutral, their hands relaxed."""
    if clip is None:
        return Look()
    draws = Draws(seed, "edition 2", "look", clip, frame)
    expression = draws.choice(tuple(EXPRESSION_WEIGHTS), p=tuple(EXPRESSION_WEIGHTS.values()))
    same = draws.chance(SAME_HANDS)
    left, right = (draws.choice(tuple(HAND_WEIGHTS), p=tuple(HAND_WEIGHTS.values())) for _ in range(2))
    return Look(expression, left, left if same else right)
