"""A character of edition 2: its model, what of it changes from frame to frame, and the renderer that shows that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.data.render.characters import sample_traits, tags
from bench.data.render.characters.accessories import add_accessories
from bench.data.render.characters.bottoms import add_bottom
from bench.data.render.characters.colors import scaled
from bench.data.render.characters.face import SPAN_X, SPAN_Y
from bench.data.render.characters.hair import add_hair
from bench.data.render.characters.head import Head, face_anchors, head_of
from bench.data.render.characters.mesh import SKIN_SHADE, Surface, directions, ellipsoid, grid
from bench.data.render.characters.neckwear import add_neckwear
from bench.data.render.characters.shoes import add_shoes
from bench.data.render.characters.skeleton import figure, skeleton
from bench.data.render.characters.tops import add_top
from bench.data.render.characters.traits import Traits
from bench.data.render.edition2.body import add_body
from bench.data.render.edition2.clearance import Girth, cleared, girth_of
from bench.data.render.edition2.drape import Drape, drape_of, push_out
from bench.data.render.edition2.expressions import NEUTRAL, face_texture, face_textures
from bench.data.render.edition2.extras import Extras, sample_extras
from bench.data.render.edition2.hands import Hands, HandSlots, all_hands
from bench.data.render.edition2.looks import Look
from bench.data.render.edition2.tailor import Tailor
from bench.data.render.edition2.trims import add_trims
from bench.data.render.edition2.wrists import turn_hands
from bench.data.render.model import F64, Model
from bench.data.render.pose import Pose
from bench.data.render.raster import Renderer

FACE_MATERIAL = "face"


@dataclass(frozen=True)
class Actor:
    """A model with a neutral face and relaxed hands, and the other faces and hands that it can have."""

    model: Model
    faces: Mapping[str, NDArray[np.uint8]]  # expression -> texture [256, 256, 4]
    hands: Mapping[str, Hands]
    slots: HandSlots
    drape: Drape | None
    girth: Girth

    def pose(self, pose: Pose) -> F64:
        """World matrices [n, 4, 4] of the bones in a pose, arms kept off the body and hands turned."""
        world = cleared(self.model, self.girth, pose)
        turn_hands(self.model, world)
        return world


def actor(seed: int) -> Actor:
    """Character `seed` of edition 2: the same seed is the same person as in edition 1, mended and with more traits."""
    return build(sample_traits(seed))


def build(traits: Traits) -> Actor:
    """The actor of a character with these traits."""
    extras = sample_extras(traits)
    f = figure(traits.body)
    bones = skeleton(f)
    mesh = Tailor(bones, f, traits, extras)
    head = head_of(f)
    slots = add_body(mesh, f)
    add_shoes(mesh, f, traits)
    add_top(mesh, f, traits)
    add_bottom(mesh, f, traits)
    add_neckwear(mesh, f, replace(traits, clothes=replace(traits.clothes, cape=False)))
    _add_head(mesh, head, traits, extras)
    add_hair(mesh, f, head, traits)
    add_accessories(mesh, f, head, traits)
    add_trims(mesh, f, head)
    head_bone = bones.globals()[bones.human["head"], :3, 3]
    described = {**tags(traits), "edition": 2, **extras.tags()}
    model = mesh.model(face_anchors(head, traits.face, head_bone), described)
    return Actor(
        model,
        face_textures(traits, extras),
        all_hands(f),
        slots,
        drape_of(model, f, traits),
        girth_of(f, traits),
    )


def _add_head(mesh: Tailor, head: Head, traits: Traits, extras: Extras) -> None:
    """Skull, painted face and ears: edition 1's with another painting."""
    skull = grid(head.surface(directions(26, 36)), cap_first=True, cap_last=True)
    offset = skull.vertices - head.centre
    uv = np.stack([0.5 + offset[:, 0] / (2 * head.width * SPAN_X), 0.5 - offset[:, 1] / (head.height * SPAN_Y)], axis=1)
    skin = mesh.material("head", traits.body.skin, shade=SKIN_SHADE, shift=0.25)
    painted = mesh.material(
        FACE_MATERIAL,
        texture=face_texture(traits, extras),
        shade=SKIN_SHADE,
        shift=0.25,
        outline_base=scaled(traits.body.skin, 1.0),
    )
    in_front = skull.vertices[skull.faces].mean(1)[:, 2] > head.centre[2] + 0.12 * head.depth
    material = np.where(in_front, painted, skin).astype(np.int32)
    mesh.add(Surface(skull.vertices, skull.faces, uv), "head", material)
    ear = ellipsoid(head.ear, (head.width * 0.09, head.height * 0.085, head.depth * 0.13), 8)
    for side in (ear, ear.mirrored()):
        mesh.add(side, "head", skin)


class Stage(Renderer):
    """Draws one actor, who wears a look until told another; cloth gives way to the legs."""

    def __init__(self, actor: Actor, size: int, supersample: int = 2) -> None:
        model = actor.model
        others = [name for name in actor.faces if name != NEUTRAL]
        self._actor = actor
        self._face = next(i for i, material in enumerate(model.materials) if material.name == FACE_MATERIAL)
        self._texture_of = {NEUTRAL: model.materials[self._face].texture}
        self._texture_of |= {name: len(model.textures) + i for i, name in enumerate(others)}
        textures = (*model.textures, *(actor.faces[name] for name in others))
        positions, normals = model.positions.copy(), model.normals.copy()  # hands are put into these
        super().__init__(replace(model, textures=textures, positions=positions, normals=normals), size, supersample)

    def wear(self, look: Look) -> None:
        """Show another expression and other hands from now on; raises KeyError for unknown ones."""
        texture = self._texture_of[look.expression]
        self._materials.texture[self._face] = self._materials.shade_texture[self._face] = texture
        hands, slots = self._actor.hands, self._actor.slots
        for slot, (points, normals) in (
            (slots.left, hands[look.left_hand].left),
            (slots.right, hands[look.right_hand].right),
        ):
            self.model.positions[slot], self.model.normals[slot] = points, normals

    def _skin(self, world: F64) -> None:
        super()._skin(world)
        if self._actor.drape is not None:
            push_out(self._actor.drape, self.model, world, self.model.skinning(world), self._positions)
