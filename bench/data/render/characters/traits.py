"""What one procedural character looks like: every axis on which identities vary."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.render.characters.colors import RGB


@dataclass(frozen=True)
class Body:
    """Build of the figure."""

    male: bool
    height: float  # metres
    heads: float  # height in heads
    girth: float  # 1: normal
    shoulders: float  # width, 1: normal
    legs: float  # crotch height / height
    bust: float  # 0–1
    jaw: float  # how much the face narrows, 0–1
    skin: RGB


@dataclass(frozen=True)
class Face:
    """Painted features, in half face widths and heights from the middle of the face."""

    iris: RGB
    eye_x: float
    eye_y: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    iris_width: float  # of the eye's
    lash: float
    brow_gap: float
    brow_tilt: float
    brow_weight: float
    mouth: str
    mouth_width: float
    glasses: RGB | None

    @property
    def nose_y(self) -> float:
        return self.eye_y - 0.30

    @property
    def mouth_y(self) -> float:
        return self.eye_y - 0.46


@dataclass(frozen=True)
class Hair:
    """Style and colour of the hair; lengths in heads."""

    back: str
    bangs: str
    family: str
    color: RGB
    highlight: RGB
    tip: RGB
    length: float
    wave: float  # 0: straight
    side_locks: float  # 0: none
    ahoge: bool  # the single lock that stands up
    tail_length: float  # of twintails, ponytail, …
    tail_width: float  # half width, in half head widths
    tail_height: float  # where it is tied, -1 chin to 1 crown
    drill: bool  # curled like a drill


@dataclass(frozen=True)
class Clothes:
    """Garments with their colours and patterns."""

    top: str
    sleeve: str
    bottom: str
    legwear: str
    shoes: str
    neckwear: str
    top_color: RGB
    bottom_color: RGB
    accent: RGB
    legwear_color: RGB
    shoe_color: RGB
    top_pattern: str
    bottom_pattern: str
    top_repeats: int
    bottom_repeats: int
    motif: str  # on the front of a plain shirt
    skirt_length: float  # 0: short … 1: long, within what the kind of skirt allows
    skirt_flare: float
    leg_band: bool
    belt: bool
    frill: bool
    cape: bool


@dataclass(frozen=True)
class Traits:
    """Everything that makes one identity."""

    seed: int
    body: Body
    face: Face
    hair: Hair
    clothes: Clothes
    headwear: str
    tail: bool
