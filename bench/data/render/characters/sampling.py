"""Drawing a character's traits from its seed.

Every trait has a path of its own in the random generator, so adding one reshuffles no other.
"""

from __future__ import annotations

from bench.data.render.characters.colors import (
    OFF_WHITE,
    RGB,
    apart,
    cloth,
    distance,
    hsv,
    mixed,
    most_distinct,
    scaled,
)
from bench.data.render.characters.traits import Body, Clothes, Face, Hair, Traits
from bench.data.render.random import Draws

SKINS: tuple[RGB, ...] = (
    (253, 228, 212),
    (250, 219, 200),
    (244, 205, 180),
    (226, 178, 146),
    (178, 125, 94),
    (255, 235, 224),
)
NEUTRALS: tuple[RGB, ...] = (OFF_WHITE, (40, 42, 52), (70, 74, 92), (228, 220, 205), (120, 88, 66))
SHOE_COLORS: tuple[RGB, ...] = ((60, 40, 32), (35, 35, 40), (236, 235, 232))


def sample_traits(seed: int) -> Traits:
    """The traits of character `seed`; the same seed gives the same traits on every machine."""
    male = Draws(seed, "sex").chance(0.32)
    body = _body(seed, male)
    hair = _hair(seed, male, body.skin)
    headwear = Draws(seed, "headwear").choice(
        (
            "none",
            "ribbon",
            "cat ears",
            "beret",
            "headband",
            "horns",
            "halo",
            "flower",
            "witch hat",
            "headphones",
        ),
        p=(0.42, 0.0, 0.09, 0.07, 0.08, 0.05, 0.04, 0.0, 0.03, 0.22)
        if male
        else (0.40, 0.15, 0.10, 0.07, 0.08, 0.04, 0.03, 0.06, 0.03, 0.04),
    )
    tail = headwear == "cat ears" and Draws(seed, "tail").chance(0.7)
    clothes = _clothes(seed, male, body.skin, hair.color)
    return Traits(seed, body, _face(seed, male), hair, clothes, headwear, tail)


def _body(seed: int, male: bool) -> Body:
    build = Draws(seed, "body", "build").choice(("tall", "medium", "small"), p=(0.6, 0.28, 0.12))
    low, high = {"tall": (5.4, 6.4), "medium": (4.3, 5.4), "small": (3.3, 4.2)}[build]
    return Body(
        male=male,
        height=Draws(seed, "body", "height").uniform(1.42, 1.66) + (0.10 if male else 0.0),
        heads=Draws(seed, "body", "heads").uniform(low, high),
        girth=Draws(seed, "body", "girth").uniform(0.90, 1.15),
        shoulders=Draws(seed, "body", "shoulders").uniform(0.95, 1.08) * (1.12 if male else 1.0),
        legs=Draws(seed, "body", "legs").uniform(0.455, 0.505),
        bust=0.0 if male else Draws(seed, "body", "bust").uniform(0.0, 1.0),
        jaw=Draws(seed, "body", "jaw").uniform(0.38, 0.50),
        skin=Draws(seed, "body", "skin").choice(SKINS, p=(0.34, 0.24, 0.16, 0.10, 0.06, 0.10)),
    )


def _face(seed: int, male: bool) -> Face:
    iris = Draws(seed, "face", "iris")
    return Face(
        iris=hsv(iris.uniform(0, 1), iris.uniform(0.55, 0.95), iris.uniform(0.60, 0.92)),
        eye_x=Draws(seed, "face", "eye x").uniform(0.40, 0.46),
        eye_y=Draws(seed, "face", "eye y").uniform(-0.22, -0.12),
        eye_width=Draws(seed, "face", "eye width").uniform(0.32, 0.40) * (0.94 if male else 1.0),
        eye_height=Draws(seed, "face", "eye height").uniform(0.32, 0.42) * (0.76 if male else 1.0),
        eye_tilt=Draws(seed, "face", "eye tilt").uniform(-0.10, 0.16),
        iris_width=Draws(seed, "face", "iris width").uniform(0.62, 0.78),
        lash=Draws(seed, "face", "lash").uniform(0.24, 0.34) * (0.75 if male else 1.0),
        brow_gap=Draws(seed, "face", "brow gap").uniform(0.05, 0.25),
        brow_tilt=Draws(seed, "face", "brow tilt").uniform(-0.25, 0.40),
        brow_weight=Draws(seed, "face", "brow weight").uniform(0.0, 1.0) * (1.6 if male else 1.0),
        mouth=Draws(seed, "face", "mouth").choice(("smile", "open", "cat", "flat"), p=(0.45, 0.20, 0.10, 0.25)),
        mouth_width=Draws(seed, "face", "mouth width").uniform(0.12, 0.20),
        glasses=Draws(seed, "face", "glasses").choice(
            (None, (40, 40, 48), (170, 50, 50), (200, 170, 80)), p=(0.86, 0.08, 0.03, 0.03)
        ),
    )


def _hair_color(seed: int, family: str, attempt: int) -> RGB:
    draws = Draws(seed, "hair", "colour", attempt)
    spread = draws.choice((draws.uniform(0, 1), draws.uniform(0.02, 0.12), draws.uniform(0.55, 0.75)))
    saturation, value, hue = draws.uniform(0, 1), draws.uniform(0, 1), draws.uniform(0, 1)
    if family == "vivid":
        return hsv(spread, 0.45 + 0.35 * saturation, 0.65 + 0.30 * value)
    if family == "dark":
        return hsv(0.12 * hue, 0.20 + 0.40 * saturation, 0.16 + 0.24 * value)
    if family == "light":
        return hsv(0.09 + 0.05 * hue, 0.35 + 0.30 * saturation, 0.86 + 0.10 * value)
    return hsv(spread, 0.02 + 0.12 * saturation, 0.72 + 0.18 * value)  # silver


def _hair(seed: int, male: bool, skin: RGB) -> Hair:
    family = Draws(seed, "hair", "family").choice(("vivid", "dark", "light", "silver"), p=(0.42, 0.26, 0.20, 0.12))
    color = most_distinct(lambda attempt: _hair_color(seed, family, attempt), lambda hair: distance(hair, skin) / 90)
    tip = Draws(seed, "hair", "tip")
    if male:
        back = Draws(seed, "hair", "back").choice(("short", "spiky", "bob", "ponytail"), p=(0.42, 0.36, 0.12, 0.10))
    else:
        back = Draws(seed, "hair", "back").choice(
            ("short", "bob", "medium", "long", "twintails", "ponytail", "buns", "braids", "side tail"),
            p=(0.08, 0.15, 0.12, 0.20, 0.17, 0.11, 0.06, 0.06, 0.05),
        )
    wave = Draws(seed, "hair", "wave")
    side = Draws(seed, "hair", "side locks")
    return Hair(
        back=back,
        bangs=Draws(seed, "hair", "bangs").choice(("straight", "swept", "parted", "spiky", "curtain")),
        family=family,
        color=color,
        highlight=mixed(color, (255, 255, 255), 0.45),
        tip=scaled(color, 0.8) if tip.chance(0.75) else hsv(tip.uniform(0, 1), 0.6, 0.85),
        length=Draws(seed, "hair", "length").uniform(1.4, 2.5),
        wave=wave.uniform(0.3, 1.0) if wave.chance(0.4) else 0.0,
        side_locks=side.uniform(0.2, 1.0) if side.chance(0.7) else 0.0,
        ahoge=Draws(seed, "hair", "ahoge").chance(0.3),
        tail_length=Draws(seed, "hair", "tail length").uniform(1.0, 2.3),
        tail_width=Draws(seed, "hair", "tail width").uniform(0.30, 0.42),
        tail_height=Draws(seed, "hair", "tail height").uniform(0.15, 0.65),
        drill=Draws(seed, "hair", "drill").chance(0.15),
    )


def _palette(seed: int, attempt: int) -> tuple[RGB, RGB, RGB]:
    """Colours of top, bottom and accents: a hue, a related one and a neutral, in any order."""
    draws = Draws(seed, "clothes", "palette", attempt)
    hue = draws.uniform(0, 1)
    first = hsv(hue, draws.uniform(0.30, 0.85), draws.uniform(0.25, 0.95))
    turn = draws.choice((0.5, 0.33, 0.08, 0.0, 0.17))
    second = hsv(hue + turn, draws.uniform(0.15, 0.80), draws.uniform(0.5, 1.0))
    neutral = draws.choice(NEUTRALS, p=(0.34, 0.26, 0.16, 0.14, 0.10))
    colors = [cloth(color) for color in (first, second, neutral)]
    top = colors.pop(draws.integers(3))
    bottom = colors.pop(draws.integers(2))
    return top, bottom, colors[0]


def _clothes(seed: int, male: bool, skin: RGB, hair: RGB) -> Clothes:
    def margin(palette: tuple[RGB, RGB, RGB]) -> float:
        top, bottom, accent = palette
        return min(
            distance(top, bottom) / 150,
            distance(top, hair) / 150,
            distance(bottom, hair) / 120,
            distance(accent, top) / 120,
            distance(top, skin) / 150,
            distance(bottom, skin) / 150,
        )

    top_color, bottom_color, accent = most_distinct(lambda attempt: _palette(seed, attempt), margin)
    top = _top(seed, male)
    legwear_colors = apart((OFF_WHITE, (38, 38, 46), accent, bottom_color), (skin,), 110)
    shoe_colors = apart((*SHOE_COLORS, accent), (skin,), 110)
    bottom = _bottom(seed, male, top)
    return Clothes(
        top=top,
        sleeve=_sleeve(seed, top),
        bottom=bottom,
        legwear=Draws(seed, "clothes", "legwear").choice(
            ("bare", "ankle", "knee", "thigh", "tights"),
            p=(0.3, 0.5, 0.2, 0.0, 0.0) if male else (0.16, 0.20, 0.24, 0.24, 0.16),
        ),
        shoes=Draws(seed, "clothes", "shoes").choice(
            ("loafers", "sneakers", "boots", "long boots"), p=(0.40, 0.26, 0.20, 0.14)
        ),
        neckwear=_neckwear(seed, top),
        top_color=top_color,
        bottom_color=top_color if bottom == "dress" else bottom_color,
        accent=accent,
        legwear_color=Draws(seed, "clothes", "legwear colour").choice(legwear_colors),
        shoe_color=Draws(seed, "clothes", "shoe colour").choice(shoe_colors),
        top_pattern=Draws(seed, "clothes", "top pattern").choice(
            ("solid", "bands", "stripes", "plaid", "dots", "gradient", "hem"),
            p=(0.50, 0.10, 0.06, 0.08, 0.06, 0.10, 0.10),
        ),
        bottom_pattern=Draws(seed, "clothes", "bottom pattern").choice(
            ("solid", "plaid", "hem", "stripes", "dots", "gradient"),
            p=(0.42, 0.20, 0.20, 0.06, 0.06, 0.06),
        ),
        top_repeats=4 + Draws(seed, "clothes", "top repeats").integers(5),
        bottom_repeats=4 + Draws(seed, "clothes", "bottom repeats").integers(5),
        motif=Draws(seed, "clothes", "motif").choice(("none", "buttons", "disc", "star")),
        skirt_length=Draws(seed, "clothes", "skirt length").uniform(0.0, 1.0),
        skirt_flare=Draws(seed, "clothes", "skirt flare").uniform(0.8, 1.3),
        leg_band=Draws(seed, "clothes", "leg band").chance(0.35),
        belt=Draws(seed, "clothes", "belt").chance(0.30),
        frill=Draws(seed, "clothes", "frill").chance(0.35),
        cape=Draws(seed, "clothes", "cape").chance(0.07),
    )


def _top(seed: int, male: bool) -> str:
    draws = Draws(seed, "clothes", "top")
    if male:
        return draws.choice(
            ("shirt", "blazer", "hoodie", "sweater", "kimono", "coat"),
            p=(0.25, 0.22, 0.22, 0.14, 0.07, 0.10),
        )
    return draws.choice(
        ("shirt", "sailor", "blazer", "hoodie", "dress", "camisole", "kimono", "sweater", "coat"),
        p=(0.19, 0.13, 0.13, 0.13, 0.16, 0.06, 0.07, 0.09, 0.04),
    )


def _sleeve(seed: int, top: str) -> str:
    fixed = {"camisole": "none", "kimono": "wide", "coat": "long", "hoodie": "long", "blazer": "long"}
    if top in fixed:
        return fixed[top]
    return Draws(seed, "clothes", "sleeve").choice(
        ("short", "puff", "long", "wide", "none"), p=(0.34, 0.16, 0.34, 0.06, 0.10)
    )


def _bottom(seed: int, male: bool, top: str) -> str:
    if top == "dress":
        return "dress"
    if top == "kimono":
        return "kimono skirt"
    draws = Draws(seed, "clothes", "bottom")
    if male:
        return draws.choice(("trousers", "shorts", "wide trousers"), p=(0.68, 0.20, 0.12))
    return draws.choice(
        ("pleated skirt", "flared skirt", "long skirt", "shorts", "trousers"),
        p=(0.42, 0.20, 0.10, 0.16, 0.12),
    )


def _neckwear(seed: int, top: str) -> str:
    draws = Draws(seed, "clothes", "neckwear")
    if top in ("sailor", "hoodie", "kimono"):
        return {"sailor": "ribbon", "hoodie": "hood", "kimono": "none"}[top]
    if top == "blazer":
        return draws.choice(("tie", "ribbon"))
    return draws.choice(("none", "ribbon", "tie", "scarf", "choker"), p=(0.50, 0.18, 0.08, 0.14, 0.10))
