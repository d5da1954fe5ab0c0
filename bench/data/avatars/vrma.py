"""VRM animations (VRMA): glTF animation on a humanoid whose rest pose is a T-pose.

Source: VRMC_vrm_animation 1.0; interpolation as glTF 2.0, appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.avatars.clip import NEEDED, Clip
from bench.data.avatars.fields import Field
from bench.data.avatars.glb import MAX_OBJECTS, Glb, matrix_of, parse_glb, read_glb
from bench.data.avatars.nodes import Tree, read_tree
from bench.data.render.model import F64
from bench.errors import DataError

LONGEST = 24 * 3600.0  # seconds
WIDTH = {"rotation": ("VEC4", 4), "translation": ("VEC3", 3)}


@dataclass(frozen=True)
class Track:
    """How one property of one bone changes."""

    bone: int
    path: str  # "rotation" or "translation"
    times: F64  # [K], ascending
    values: F64  # [K, width], or [K, 3, width] of a cubic spline: in-tangent, value, out-tangent
    interpolation: str

    def at(self, times: F64) -> F64:
        """Values [T, width]; quaternions as long as interpolation leaves them."""
        last = len(self.times) - 1
        start = np.clip(np.searchsorted(self.times, times, "right") - 1, 0, max(last - 1, 0))
        end = np.minimum(start + 1, last)
        span = self.times[end] - self.times[start]
        part = np.clip((times - self.times[start]) / np.where(span > 0, span, 1.0), 0.0, 1.0)[:, None]
        if self.interpolation == "STEP":
            return np.where(part < 1, self.values[start], self.values[end])
        if self.interpolation == "CUBICSPLINE":
            _, p0, m0 = np.moveaxis(self.values[start], 1, 0)
            m1, p1, _ = np.moveaxis(self.values[end], 1, 0)
            t, seconds = part, span[:, None]
            return np.asarray(
                (2 * t**3 - 3 * t**2 + 1) * p0
                + seconds * (t**3 - 2 * t**2 + t) * m0
                + (3 * t**2 - 2 * t**3) * p1
                + seconds * (t**3 - t**2) * m1
            )
        before, after = self.values[start], self.values[end]
        if self.path == "rotation":  # of the two quaternions of a rotation, the nearer
            after = np.where((before * after).sum(1, keepdims=True) < 0, -after, after)
        return np.asarray((1 - part) * before + part * after)


def read_vrma(path: Path) -> Clip:
    """Read a motion clip; raises DataError, without the file's name, when it cannot be used."""
    return clip_of(read_glb(path))


def parse_vrma(content: bytes) -> Clip:
    """A clip from the content of a file; raises DataError."""
    return clip_of(parse_glb(content))


def clip_of(glb: Glb) -> Clip:
    """The first animation of an open file; raises DataError."""
    block = glb.document.find("extensions", "VRMC_vrm_animation")
    if block is None:
        raise DataError("no VRMC_vrm_animation extension; export it as a VRM animation")
    tree = read_tree(glb)
    nodes = len(tree.names)
    bones = block.at("humanoid", "humanBones").members().items()
    human = {name: tree.place_of[bone.at("node").integer(0, nodes - 1)] for name, bone in bones}
    missing = [bone for bone in NEEDED if bone not in human]
    if missing:
        raise DataError(f"bones are missing: {', '.join(missing)}; export the whole body's animation")
    animations = glb.entries("animations")
    if not animations:
        raise DataError("no animation in it; export the clip again")
    tracks = [track for track in _tracks(glb, animations[0], tree) if track is not None]
    if not tracks:
        raise DataError("an animation that moves no bone; export the clip again")
    seconds = max(float(track.times[-1]) for track in tracks)

    def sample(times: NDArray[np.float64]) -> tuple[F64, F64]:
        return _world(tree, tracks, np.asarray(times, np.float64))

    rest, _ = _world(tree, [], np.zeros(1))
    return Clip(seconds, human, sample, rest[0])


def _tracks(glb: Glb, animation: Field, tree: Tree) -> list[Track | None]:
    samplers = animation.items("samplers", MAX_OBJECTS)
    return [_track(glb, channel, samplers, tree) for channel in animation.items("channels", MAX_OBJECTS)]


def _track(glb: Glb, channel: Field, samplers: list[Field], tree: Tree) -> Track | None:
    """A channel that turns or moves a node; None for another, as of expressions."""
    node, path = channel.find("target", "node"), channel.at("target", "path").text()
    if node is None or path not in WIDTH:
        return None
    if not samplers:
        raise channel.fault("a channel without samplers")
    sampler = samplers[channel.at("sampler").integer(0, len(samplers) - 1)]
    how = sampler.get("interpolation")
    interpolation = how.text() if how else "LINEAR"
    if interpolation not in ("LINEAR", "STEP", "CUBICSPLINE"):
        raise sampler.fault("of an interpolation that glTF does not know")
    times = glb.array(sampler.at("input"), "SCALAR")[:, 0].astype(np.float64)
    if times[0] < 0 or times[-1] > LONGEST or (np.diff(times) < 0).any():
        raise sampler.fault("given times that do not ascend from 0")
    kind, width = WIDTH[path]
    each = 3 if interpolation == "CUBICSPLINE" else 1
    values = glb.array(sampler.at("output"), kind, count=each * len(times)).astype(np.float64)
    if np.abs(values).max() > 1e6:
        raise sampler.fault("given values beyond ±1e6")
    if path == "rotation" and each == 1 and np.linalg.norm(values, axis=1).min() < 1e-3:
        raise sampler.fault("given quaternions of length 0")
    if each == 3:
        values = values.reshape(-1, 3, width)
    bone = tree.place_of[node.integer(0, len(tree.names) - 1)]
    return Track(bone, path, times, values, interpolation)


def _world(tree: Tree, tracks: list[Track], times: F64) -> tuple[F64, F64]:
    """World rotations [T, n, 3, 3] and places [T, n, 3] of all nodes; scale counts for places alone."""
    count, bones = len(times), len(tree.names)
    local = np.tile(tree.rotations, (count, 1, 1, 1))
    moved = np.tile(tree.translations, (count, 1, 1))
    for track in tracks:
        values = track.at(times)
        if track.path == "translation":
            moved[:, track.bone] = values
        else:
            length = np.linalg.norm(values, axis=1, keepdims=True)
            # half way between opposite quaternions there is no rotation: any will do for that instant
            local[:, track.bone] = matrix_of(np.where(length > 1e-6, values, (0.0, 0.0, 0.0, 1.0)))
    rotations, places = np.empty((count, bones, 3, 3)), np.empty((count, bones, 3))
    scales = np.ones((bones, 3))
    for bone, parent in enumerate(tree.parents):
        if parent < 0:
            rotations[:, bone], places[:, bone] = local[:, bone], moved[:, bone]
        else:
            scales[bone] = scales[parent] * tree.scales[parent]
            rotations[:, bone] = rotations[:, parent] @ local[:, bone]
            step = (rotations[:, parent] @ (scales[bone] * moved[:, bone])[:, :, None])[:, :, 0]
            places[:, bone] = places[:, parent] + step
    return rotations, places
