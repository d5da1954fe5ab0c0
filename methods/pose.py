"""Pose encodings drawn from keypoints, batched, on their device: stick figure, heat maps, discs, limb mask.

Keypoints are `float32 [B, 17, 3]` (COCO) or `[B, 18, 3]` (OpenPose order, with a neck): x, y in pixels of a
`size` × `size` image, whose first pixel has its centre at (0.5, 0.5), and a visibility, 0 for a joint that is
missing. A missing joint, and a limb with a missing end, draws nothing. Nothing here is differentiable.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

PoseMap = Literal["gaussian", "onehot"]

# AlphaPose's drawing of COCO joints; joint 17 is the middle of the shoulders: (end, end, RGB) and RGB
STICK_LIMBS: tuple[tuple[int, int, tuple[int, int, int]], ...] = (
    (0, 1, (255, 215, 0)),
    (0, 2, (204, 255, 0)),
    (1, 3, (255, 134, 0)),
    (2, 4, (50, 255, 0)),
    (5, 6, (222, 255, 77)),
    (5, 7, (255, 196, 77)),
    (7, 9, (255, 135, 77)),
    (6, 8, (77, 255, 191)),
    (8, 10, (77, 255, 77)),
    (17, 11, (255, 222, 77)),
    (17, 12, (127, 156, 255)),
    (11, 13, (255, 127, 0)),
    (12, 14, (77, 127, 255)),
    (13, 15, (255, 77, 0)),
    (14, 16, (36, 77, 255)),
)
STICK_JOINTS: tuple[tuple[int, int, int], ...] = (
    (255, 255, 0),
    (255, 191, 0),
    (102, 255, 0),
    (255, 77, 0),
    (0, 255, 0),
    (255, 255, 77),
    (204, 255, 77),
    (255, 204, 77),
    (77, 255, 191),
    (255, 191, 77),
    (77, 255, 191),
    (255, 77, 204),
    (204, 255, 77),
    (255, 77, 191),
    (191, 255, 77),
    (255, 77, 127),
    (127, 255, 77),
    (255, 255, 0),
)

# position in COCO-17 plus neck (17) of each of OpenPose's 18 joints
OPENPOSE_FROM_COCO: tuple[int, ...] = (0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)

# PG2's 23 limbs over OpenPose's joints, from 0
MASK_LIMBS: tuple[tuple[int, int], ...] = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7)),
    *((1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (1, 16), (1, 17)),
    *((8, 11), (11, 5), (8, 2), (16, 17)),
)

PIXELS_AT_ONCE = 4 * 256 * 256
"""Canvas pixels drawn at a time: bounds the memory of the distance maps, about 35 MB each, at any batch."""


def with_neck(keypoints: Tensor) -> Tensor:
    """[B, 17, 3] -> [B, 18, 3]: joint 17 is the mean of the shoulders, missing if either is."""
    shoulders = keypoints[:, 5:7]
    middle = shoulders[..., :2].mean(1)
    visibility = shoulders[..., 2].amin(1)
    return torch.cat([keypoints, torch.cat([middle, visibility[:, None]], 1)[:, None]], 1)


def to_openpose18(keypoints: Tensor) -> Tensor:
    """COCO-17 [B, 17, 3] -> OpenPose-18 [B, 18, 3]; the neck is the mean of the shoulders (METHODS §1)."""
    return with_neck(keypoints).index_select(1, _indices(OPENPOSE_FROM_COCO, keypoints.device))


@torch.no_grad()
def stick_figure(keypoints: Tensor, size: int) -> Tensor:
    """The coloured stick figure on white, [B, 3, size, size] in [-1, 1], from [B, 17, 3].

    AlphaPose's colours and order: limbs, then joints, later over earlier. Lines are 3 px wide and discs have
    radius 3 at 256 px; both scale with the size, lines never below 1 px. Edges are one pixel of smoothstep.
    """
    joints = with_neck(keypoints.float())
    starts, ends, ink, reach = _stick_shapes(size, joints.device, joints.dtype)
    figures = []
    for part in _parts(joints, size):
        distance = _distance_to_segments(part.index_select(1, starts), part.index_select(1, ends), size)
        cover = distance.neg_().add_(reach).clamp_(0, 1)  # 1 inside, 0 outside, half on the outline
        cover = cover.square().mul_(cover.mul_(-2).add_(3))
        figure = cover.new_ones(len(part), 3, size, size)
        for shape, colour in enumerate(ink):
            figure.lerp_(colour, cover[:, shape : shape + 1])
        figures.append(figure)
    return torch.cat(figures)


@cache
def _stick_shapes(size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the segments in drawing order: first and second joint, colour [S, 3, 1, 1] in [-1, 1], reach [S, 1, 1] in px.

    Kept: what a step would send to a GPU anew, the GPU would wait for.
    """
    joints = tuple(range(18))  # a disc is a segment without length
    starts = _indices((*(a for a, _, _ in STICK_LIMBS), *joints), device)
    ends = _indices((*(b for _, b, _ in STICK_LIMBS), *joints), device)
    line = max(1.5 * size / 256, 0.5)
    radii = [line] * len(STICK_LIMBS) + [max(3 * size / 256, line)] * 18
    colours = [c for _, _, c in STICK_LIMBS] + list(STICK_JOINTS)
    ink = torch.tensor(colours, device=device, dtype=dtype)[:, :, None, None] / 127.5 - 1
    return starts, ends, ink, torch.tensor(radii, device=device, dtype=dtype)[:, None, None] + 0.5


@cache
def _indices(joints: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(joints, device=device)


@torch.no_grad()
def heatmaps(keypoints18: Tensor, size: int, mode: PoseMap = "gaussian") -> Tensor:
    """One map a joint, [B, 18, size, size] in [0, 1].

    "gaussian": exp(-d²/2σ²) with σ = 6 px at 256 px, scaled with the size, peak 1. "onehot": 1 at the joint's
    pixel only, which is what PATN's and XingGAN's released preparation stores (METHODS §1: its 8-bit array
    truncates every value below 1).
    """
    x, y, present = _columns(keypoints18)
    if mode == "onehot":
        pixel = torch.arange(size, device=x.device)
        across, down = (pixel == x.floor()).float(), (pixel == y.floor()).float()
    elif mode == "gaussian":
        centre = _pixel_centres(size, x.device)
        double_variance = 2 * (6 * size / 256) ** 2
        across = torch.exp(-(centre - x).square() / double_variance)
        down = torch.exp(-(centre - y).square() / double_variance)
    else:
        raise ValueError(f"unknown pose map '{mode}'; known: gaussian, onehot")
    return (down * present)[..., :, None] * across[..., None, :]


@torch.no_grad()
def discs(keypoints18: Tensor, size: int, radius: float) -> Tensor:
    """PG2's pose: one solid disc a joint, [B, 18, size, size] in {-1, +1}; a missing joint is all -1."""
    x, y, present = _columns(keypoints18)
    centre = _pixel_centres(size, x.device)
    square = (centre - y).square()[..., :, None] + (centre - x).square()[..., None, :]
    inside = (square <= radius**2) & (present > 0)[..., None]
    return inside.float() * 2 - 1


@torch.no_grad()
def limb_mask(keypoints18: Tensor, size: int, radius: float) -> Tensor:
    """PG2's pose mask, [B, 1, size, size] in {0, 1}: discs stamped along 23 limbs, then a 5 × 5 closing.

    A limb of length l is stamped at both ends and at int(l / radius) - 1 evenly spaced points between (radius
    and spacing are both 4 px as published).
    """
    starts, ends = (_indices(joints, keypoints18.device) for joints in zip(*MASK_LIMBS, strict=True))
    masks = []
    for part in _parts(keypoints18.float(), size):
        distance = _distance_to_segments(part.index_select(1, starts), part.index_select(1, ends), size, spacing=radius)
        masks.append((distance.amin(1, keepdim=True) <= radius).float())
    dilated = max_pool2d(torch.cat(masks), 5, 1, 2)
    return -max_pool2d(-dilated, 5, 1, 2)


def _parts(keypoints: Tensor, size: int) -> tuple[Tensor, ...]:
    """The batch, cut so that no more than PIXELS_AT_ONCE canvas pixels are worked on at a time."""
    return torch.tensor_split(keypoints, math.ceil(len(keypoints) * size**2 / PIXELS_AT_ONCE))


def _pixel_centres(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, device=device, dtype=torch.float32) + 0.5


def _columns(keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and presence (1 or 0), each [B, J, 1]; a missing joint, maybe NaN, is put at 0, 0."""
    present = keypoints[..., 2:] > 0
    xy = torch.where(present, keypoints[..., :2].float(), 0.0)
    return xy[..., :1], xy[..., 1:], present.float()


def _distance_to_segments(start: Tensor, end: Tensor, size: int, spacing: float | None = None) -> Tensor:
    """Distance in pixels of every pixel centre to every segment: [B, S, 3] twice -> [B, S, size, size].

    With `spacing`, the distance to the nearest of the segment's ends and the points that divide it into
    int(length / spacing) equal parts. A segment with a missing end is infinitely far.
    """
    start_x, start_y, start_present = _columns(start)
    end_x, end_y, end_present = _columns(end)
    along_x, along_y = end_x - start_x, end_y - start_y
    length = torch.hypot(along_x, along_y)
    centre = _pixel_centres(size, start.device)
    from_x, from_y = centre - start_x, centre - start_y  # [B, S, size] each
    scale = length.square().clamp_min(1e-12)
    # the foot of the perpendicular as a fraction of the segment; a sum of a column term and a row term
    foot = (from_y * (along_y / scale))[..., :, None] + (from_x * (along_x / scale))[..., None, :]
    foot.clamp_(0, 1)
    if spacing is not None:
        parts = (length / spacing).floor().clamp_min(1)[..., None]
        foot.mul_(parts).round_().div_(parts)
    distance = (from_x[..., None, :] - foot * along_x[..., None]).square_()
    distance.add_((from_y[..., :, None] - foot.mul_(along_y[..., None])).square_()).sqrt_()
    missing = (start_present * end_present == 0)[..., None]
    return distance.masked_fill_(missing, float("inf"))
