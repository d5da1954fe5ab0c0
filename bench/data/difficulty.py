"""How hard it is to draw a target from a source: five measures of a pair, and easy, medium, hard by each of them.

They are computed of joints, views and pixels alone, so any data set has them. Two are the paper's own reasons for
failures (§5.9): self-occlusion and complex texture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from bench.data.layout import VIEWS
from bench.data.pack import Pack
from bench.data.support import test_pairs

Points = NDArray[np.floating[Any]]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))  # COCO joints
SHOULDERS, HIPS = (5, 6), (11, 12)  # left, right
BODY = slice(5, 17)  # without the face, which is absent from behind
LIMB_RADIUS, TORSO_RADIUS = 0.035, 0.07  # of the body's extent: limbs are about a fourteenth of a height thick
RASTER = 96  # pixels along the body's extent; the overlap is a ratio of areas and hardly depends on it
SEEN_FROM = {"front": 0.0, "back": 180.0, "left": 90.0, "right": 90.0}  # degrees, by basic view
RIM = 64  # an outline is about one pixel in so many; what is nearer to the edge is no texture


@dataclass(frozen=True)
class Tag:
    """One measure. `cuts` are the largest easy and the largest medium value; None: the terciles of the pairs."""

    key: str
    title: str
    what: str  # in one sentence, for captions
    digits: int
    unit: str = ""
    cuts: tuple[float, float] | None = None


TAGS = (
    Tag(
        "view_change", "View change",
        "angle between the body's facing in source and target, from the signed widths of shoulders and hips; exact for "
        "basic views", 0, "°", (20.0, 60.0),
    ),
    Tag(
        "pose_distance", "Pose distance",
        "mean displacement of the twelve body joints from source to target, both centred, in heights of the source", 3,
    ),
    Tag("hidden_joints", "Hidden joints", "share of the target's joints that something hides", 2),
    Tag(
        "overlap", "Limb overlap",
        "share of the area of the target's arms, legs and torso, drawn as capsules, that lies over another of them", 2,
    ),
    Tag(
        "texture", "Texture",
        "mean difference of neighbouring pixels inside the source character without its rim", 3,
    ),
)  # fmt: skip
LEVELS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Difficulty:
    """Every pair of a split, in the order of the pack, and its measures."""

    sources: I64  # [N], frames of the pack
    targets: I64  # [N]
    characters: tuple[str, ...]  # [N], names
    values: Mapping[str, F64]  # [N] by tag; NaN where it cannot be told

    @cached_property
    def cuts(self) -> dict[str, tuple[float, float] | None]:
        """The largest easy and the largest medium value by tag; None where the measure does not vary.

        Terciles are those of these pairs: a hard pair of one data set may be an easy one of another.
        """
        return {tag.key: cuts_of(tag, self.values[tag.key]) for tag in TAGS}

    def levels(self, key: str) -> I64:
        """Index into LEVELS [N]; -1 where the measure is unknown or does not vary."""
        return levels_of(self.values[key], self.cuts[key])


def cuts_of(tag: Tag, values: F64) -> tuple[float, float] | None:
    """The largest easy and the largest medium of `values` [N]; None where none is known or all are the same."""
    known = values[np.isfinite(values)]
    if len(known) == 0 or np.ptp(known) == 0:
        return None
    low, high = tag.cuts or np.quantile(known, (1 / 3, 2 / 3))
    return float(low), float(high)


def levels_of(values: F64, cuts: tuple[float, float] | None) -> I64:
    """Index into LEVELS of `values` [N]; -1 for NaN, and for all without cuts."""
    if cuts is None:
        return np.full(len(values), -1)
    level = (values > cuts[0]).astype(np.int64) + (values > cuts[1])
    return np.where(np.isfinite(values), level, -1)


def difficulty_of(pack: Pack, split: str = "test") -> Difficulty:
    """The measures of every source and target of a split; raises DataError for a character without a front view."""
    pairs = [test_pairs(pack, split, int(character)) for character in pack.characters(split)]
    values: dict[str, list[F64]] = {tag.key: [np.empty(0)] for tag in TAGS}
    for one in pairs:
        views = [VIEWS[view] if view >= 0 else None for view in pack.view[one.targets]]
        joints, texture = pack.keypoints, texture_complexity(pack.rgb[one.source], pack.alpha[one.source])
        measured = measures(joints[one.source], joints[one.targets], views, texture)
        for key, column in measured.items():
            values[key].append(column)
    counts = [len(one.targets) for one in pairs]
    none = [np.empty(0, np.int64)]
    return Difficulty(
        sources=np.repeat(np.array([one.source for one in pairs], np.int64), counts),
        targets=np.concatenate(none + [one.targets for one in pairs]),
        characters=tuple(pack.names[pack.character[one.source]] for one in pairs for _ in one.targets),
        values={key: np.concatenate(columns) for key, columns in values.items()},
    )


def measures(source: Points, targets: Points, views: Sequence[str | None], texture: float) -> dict[str, F64]:
    """The measures [n] by tag of the targets [n, 17, 3] of one source [17, 3]; `views` of VIEWS, None in a dance."""
    turns = [
        SEEN_FROM[view] if view else view_change(source, target) for view, target in zip(views, targets, strict=True)
    ]
    return {
        "view_change": np.array(turns, np.float64),
        "pose_distance": np.array([pose_distance(source, target) for target in targets], np.float64),
        "hidden_joints": np.array([hidden_joints(target) for target in targets], np.float64),
        "overlap": np.array([self_occlusion(target) for target in targets], np.float64),
        "texture": np.full(len(targets), texture),
    }


def view_change(source: Points, target: Points) -> float:
    """By how many degrees, 0 to 180, a body [17, 3] is turned away from a front view of it.

    The widths of shoulders and hips, across the torso and as parts of its length, shrink with the cosine of the turn
    and change sign from behind. On 1 700 frames of rendered dances this is within 1.2° (median; nine of ten within
    3.7°) of the mean of the turns of hips and chest. NaN without all four joints in both, or where the source is not
    seen from the front.
    """
    before, after = _signed_width(source), _signed_width(target)
    if not before > 0:  # NaN too
        return float("nan")
    return float(np.degrees(np.arccos(np.clip(after / before, -1, 1))))


def _signed_width(keypoints: Points) -> float:
    """Shoulders plus hips, left less right, across the torso and in lengths of it; NaN where a joint is absent."""
    if not (keypoints[[*SHOULDERS, *HIPS], 2] > 0).all():
        return float("nan")
    points = np.asarray(keypoints[:, :2], np.float64)
    torso = points[list(HIPS)].mean(0) - points[list(SHOULDERS)].mean(0)
    across = points[SHOULDERS[0]] - points[SHOULDERS[1]] + points[HIPS[0]] - points[HIPS[1]]
    square = float(torso @ torso)
    return float(across[0] * torso[1] - across[1] * torso[0]) / square if square > 0 else float("nan")


def pose_distance(source: Points, target: Points) -> float:
    """Mean displacement of the body joints that both poses [17, 3] have, in extents of the source.

    Both are centred on these joints first, so that moving as a whole costs nothing. NaN where fewer than half of the
    twelve are in both.
    """
    both = (source[BODY, 2] > 0) & (target[BODY, 2] > 0)
    if both.sum() < 6:
        return float("nan")
    before, after = (np.asarray(pose[BODY, :2], np.float64)[both] for pose in (source, target))
    moved = (after - after.mean(0)) - (before - before.mean(0))
    shown = source[source[:, 2] > 0, :2]
    return float(np.linalg.norm(moved, axis=1).mean() / max(float(np.ptp(shown, axis=0).max()), 1e-6))


def hidden_joints(keypoints: Points) -> float:
    """Which share of the joints that a pose [17, 3] has is hidden (COCO visibility 1); NaN for none."""
    present = keypoints[:, 2] > 0
    return float((keypoints[present, 2] == 1).mean()) if present.any() else float("nan")


def self_occlusion(keypoints: Points) -> float:
    """Which share of the body's parts lies over others in a pose [17, 3], 0 to 1.

    Arms, legs and torso are drawn as capsules; the result is 1 - area of their union / sum of their areas. It is
    never quite 0, since parts meet at joints. A part with a missing end is left out; a pose without any gives 0.
    """
    points, present = np.asarray(keypoints[:, :2], np.float64), keypoints[:, 2] > 0
    segments = [(points[a], points[b], LIMB_RADIUS) for a, b in LIMBS if present[a] and present[b]]
    if present[[*SHOULDERS, *HIPS]].all():
        segments.append((points[list(SHOULDERS)].mean(0), points[list(HIPS)].mean(0), TORSO_RADIUS))
    if not segments:
        return 0.0
    ends = np.array([end for a, b, _ in segments for end in (a, b)])
    low, extent = ends.min(0), max(float(np.ptp(ends, axis=0).max()), 1e-6)
    across = (np.arange(-RASTER // 6, RASTER + RASTER // 6) + 0.5) / RASTER  # the margin holds the radii
    grid = np.stack(np.meshgrid(across, across), axis=-1)
    drawn = np.stack([_capsule((a - low) / extent, (b - low) / extent, radius, grid) for a, b, radius in segments])
    return 1 - float(drawn.any(0).sum()) / float(drawn.sum())


def _capsule(start: Points, end: Points, radius: float, grid: Points) -> NDArray[np.bool_]:
    """Which grid points [h, w, 2] lie within `radius` of a segment."""
    along = end - start
    foot = np.clip(((grid - start) @ along) / max(float(along @ along), 1e-12), 0, 1)
    inside: NDArray[np.bool_] = np.linalg.norm(grid - start - foot[..., None] * along, axis=-1) <= radius
    return inside


def texture_complexity(image: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> float:
    """Mean absolute difference of neighbouring pixels inside the character, 0 to 1.

    `image` is [H, W, 3], `alpha` [H, W]. Only pairs of pixels that are both inside count, a 64th of the frame away
    from the edge, so that neither the background nor the drawn outline does. Where that leaves nothing, 0. It falls
    with the image size: compare within one.
    """
    rim = max(1, round(len(alpha) / RIM))
    colours, inside = image.astype(np.float64) / 255, binary_erosion(alpha > 127, iterations=rim)
    down = np.abs(np.diff(colours, axis=0)).mean(-1)[inside[1:] & inside[:-1]]
    across = np.abs(np.diff(colours, axis=1)).mean(-1)[inside[:, 1:] & inside[:, :-1]]
    steps = np.concatenate([down, across])
    return float(steps.mean()) if len(steps) else 0.0
