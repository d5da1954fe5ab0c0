"""What edition 2 adds to a character's traits, drawn from streams of their own: edition 1's traits stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.render.characters.bottoms import SKIRTS
from bench.data.render.characters.colors import OFF_WHITE, RGB, cloth, distance, hsv, scaled
from bench.data.render.characters.traits import Traits
from bench.data.render.random import Draws

LONG_SLEEVES = ("long", "wide")
COLLARS = {  # top -> collars it may have
    "shirt": ("folded", "folded", "stand", "band"),
    "dress": ("round", "round", "folded", "band"),
    "blazer": ("folded",),
    "coat": ("folded", "stand"),
    "sweater": ("turtleneck", "band"),
    "camisole": ("band",),
    "kimono": ("band",),
    "sailor": ("none",),  # has its own
    "hoodie": ("none",),  # the hood's rim lies there
}


@dataclass(frozen=True)
class Extras:
    """Further axes on which identities vary."""

    collar: str
    collar_color: RGB
    gloves: str  # none, short, long
    glove_color: RGB
    right_iris: RGB  # differs from the left one now and then
    eye_style: str  # plain, ring, star, slit
    face_mark: str  # none, beauty mark, freckles, plaster, blush lines
    fang: bool
    streak: RGB | None  # colour of one lock of the bangs
    hair_pins: RGB | None
    top_ornament: str  # none, badge, suspenders, yoke, zip
    bottom_ornament: str  # none, apron, side stripe, double hem
    leg_warmers: bool
    wristband: str  # none, left, right
    bag: bool

    def tags(self) -> dict[str, object]:
        """As plain JSON values, for the metadata."""
        return {
            "collar": self.collar,
            "gloves": self.gloves,
            "right_iris_color": list(self.right_iris),
            "eye_style": self.eye_style,
            "face_mark": self.face_mark,
            "streak_color": None if self.streak is None else list(self.streak),
            "hair_pins": self.hair_pins is not None,
            "top_ornament": self.top_ornament,
            "bottom_ornament": self.bottom_ornament,
            "leg_warmers": self.leg_warmers,
            "wristband": self.wristband,
            "bag": self.bag,
        }


def sample_extras(traits: Traits) -> Extras:
    """The extras of a character; the same traits give the same ones on every machine."""
    seed, clothes = traits.seed, traits.clothes

    def draws(name: str) -> Draws:
        return Draws(seed, "edition 2", name)

    long_sleeves = clothes.sleeve in LONG_SLEEVES
    gloves = draws("gloves").choice(("none", "short", "long"), p=(0.80, 0.10, 0.0 if long_sleeves else 0.10))
    return Extras(
        collar=draws("collar").choice(COLLARS[clothes.top]),
        collar_color=_collar_color(traits, draws("collar colour")),
        gloves=gloves,
        glove_color=draws("glove colour").choice((OFF_WHITE, (44, 44, 54), clothes.accent)),
        right_iris=_other_iris(traits, draws("right iris")),
        eye_style=draws("eye style").choice(("plain", "ring", "star", "slit"), p=(0.55, 0.25, 0.12, 0.08)),
        face_mark=draws("face mark").choice(
            ("none", "beauty mark", "freckles", "plaster", "blush lines"), p=(0.60, 0.11, 0.09, 0.05, 0.15)
        ),
        fang=draws("fang").chance(0.15),
        streak=_streak(traits, draws("streak")),
        hair_pins=draws("hair pins").choice(
            (None, clothes.accent, (230, 200, 90), (220, 70, 90)), (0.76, 0.1, 0.08, 0.06)
        ),
        top_ornament=_top_ornament(traits, draws("top ornament")),
        bottom_ornament=_bottom_ornament(traits, draws("bottom ornament")),
        leg_warmers=clothes.shoes != "long boots"
        and clothes.bottom not in ("trousers", "wide trousers", "kimono skirt")
        and draws("leg warmers").chance(0.12),
        wristband="none"
        if long_sleeves
        else draws("wristband").choice(("none", "left", "right"), p=(0.76, 0.12, 0.12)),
        bag=draws("bag").chance(0.10),
    )


def _collar_color(traits: Traits, draws: Draws) -> RGB:
    """White or the accent, whichever stands off the top; coats and blazers have one of their own cloth."""
    clothes = traits.clothes
    if clothes.top in ("blazer", "coat"):
        return scaled(clothes.top_color, 0.82)
    choices = [color for color in (OFF_WHITE, clothes.accent) if distance(color, clothes.top_color) > 90]
    return draws.choice(choices) if choices else scaled(clothes.top_color, 0.72)


def _other_iris(traits: Traits, draws: Draws) -> RGB:
    if not draws.chance(0.07):
        return traits.face.iris
    return hsv(draws.uniform(0, 1), draws.uniform(0.6, 0.95), draws.uniform(0.65, 0.92))


def _streak(traits: Traits, draws: Draws) -> RGB | None:
    if not draws.chance(0.18):
        return None
    color = cloth(hsv(draws.uniform(0, 1), draws.uniform(0.4, 0.8), draws.uniform(0.75, 0.98)))
    return color if distance(color, traits.hair.color) > 150 else OFF_WHITE


def _top_ornament(traits: Traits, draws: Draws) -> str:
    kinds = {
        "shirt": ("none", "badge", "suspenders", "yoke"),
        "sweater": ("none", "badge", "yoke"),
        "hoodie": ("none", "zip", "yoke"),
        "blazer": ("none", "badge"),
        "coat": ("none", "badge", "yoke"),
        "dress": ("none", "yoke", "suspenders"),
    }.get(traits.clothes.top, ("none",))
    return draws.choice(kinds)


def _bottom_ornament(traits: Traits, draws: Draws) -> str:
    bottom = traits.clothes.bottom
    if bottom == "kimono skirt":
        return "none"
    if bottom in SKIRTS:
        return draws.choice(("none", "apron", "double hem"), p=(0.64, 0.14, 0.22))
    return draws.choice(("none", "side stripe"), p=(0.65, 0.35))
