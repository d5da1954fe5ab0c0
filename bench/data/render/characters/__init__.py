"""Procedural anime characters: a seed becomes traits, traits become a skinned model."""

from __future__ import annotations

from bench.data.render.characters.accessories import add_accessories
from bench.data.render.characters.body import add_body
from bench.data.render.characters.bottoms import add_bottom
from bench.data.render.characters.hair import add_hair
from bench.data.render.characters.head import add_head, face_anchors, head_of
from bench.data.render.characters.mesh import MeshBuilder
from bench.data.render.characters.neckwear import add_neckwear
from bench.data.render.characters.sampling import sample_traits
from bench.data.render.characters.shoes import add_shoes
from bench.data.render.characters.skeleton import figure, skeleton
from bench.data.render.characters.tops import add_top
from bench.data.render.characters.traits import Traits
from bench.data.render.model import Model

__all__ = ["Traits", "build", "character", "sample_traits", "tags"]


def character(seed: int) -> Model:
    """Character `seed` in rest pose (T-pose, facing +Z, metres): the same seed is the same character."""
    return build(sample_traits(seed))


def build(traits: Traits) -> Model:
    """The model of a character with these traits."""
    f = figure(traits.body)
    bones = skeleton(f)
    mesh = MeshBuilder(bones)
    head = head_of(f)
    add_body(mesh, f, traits)
    add_shoes(mesh, f, traits)
    add_top(mesh, f, traits)
    add_bottom(mesh, f, traits)
    add_neckwear(mesh, f, traits)
    add_head(mesh, head, traits)
    add_hair(mesh, f, head, traits)
    add_accessories(mesh, f, head, traits)
    head_bone = bones.globals()[bones.human["head"], :3, 3]
    return mesh.model(face_anchors(head, traits.face, head_bone), tags(traits))


def tags(traits: Traits) -> dict[str, object]:
    """What describes the identity, as plain JSON values; colours are 8-bit RGB."""
    body, hair, clothes = traits.body, traits.hair, traits.clothes
    return {
        "seed": traits.seed,
        "sex": "male" if body.male else "female",
        "height_m": round(body.height, 3),
        "heads_tall": round(body.heads, 2),
        "skin_color": list(body.skin),
        "iris_color": list(traits.face.iris),
        "glasses": traits.face.glasses is not None,
        "hair": hair.back,
        "bangs": hair.bangs,
        "hair_color": list(hair.color),
        "top": clothes.top,
        "sleeve": clothes.sleeve,
        "top_color": list(clothes.top_color),
        "top_pattern": clothes.top_pattern,
        "bottom": clothes.bottom,
        "bottom_color": list(clothes.bottom_color),
        "bottom_pattern": clothes.bottom_pattern,
        "accent_color": list(clothes.accent),
        "legwear": clothes.legwear,
        "shoes": clothes.shoes,
        "neckwear": clothes.neckwear,
        "cape": clothes.cape,
        "headwear": traits.headwear,
        "tail": traits.tail,
    }
