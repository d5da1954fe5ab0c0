"""Pose encodings: what is drawn where, in which colour, and what is not drawn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods.pose import discs, heatmaps, limb_mask, stick_figure, to_openpose18

SHOULDERS, HIPS = (5, 6), (11, 12)


def standing(size: int = 256, batch: int = 1) -> Tensor:
    """A frontal standing figure of 17 visible joints, at pixel centres."""
    at = {0: (128, 40), 1: (136, 34), 2: (120, 34), 3: (146, 38), 4: (110, 38), 5: (160, 80), 6: (96, 80)}
    at |= {7: (176, 116), 8: (80, 116), 9: (184, 150), 10: (72, 150), 11: (146, 150), 12: (110, 150)}
    at |= {13: (146, 196), 14: (110, 196), 15: (146, 240), 16: (110, 240)}
    xy = torch.tensor([at[i] for i in range(17)], dtype=torch.float32) * size / 256
    keypoints = torch.cat([xy.floor() + 0.5, torch.full((17, 1), 2.0)], 1)
    return keypoints.expand(batch, 17, 3).clone()


def pixel(image: Tensor, x: float, y: float) -> list[int]:
    """8-bit RGB at a position in pixels of a [1, 3, H, W] image in [-1, 1]."""
    return ((image[0, :, int(y), int(x)] + 1) * 127.5).round().int().tolist()


def test_the_neck_is_between_the_shoulders_and_left_and_right_keep_their_sides() -> None:
    keypoints = standing()
    openpose = to_openpose18(keypoints)
    torch.testing.assert_close(openpose[:, 1, :2], keypoints[:, SHOULDERS, :2].mean(1))
    assert openpose.shape == (1, 18, 3)
    coco_of_openpose = {
        0: 0,
        2: 6,
        4: 10,
        5: 5,
        7: 9,
        8: 12,
        10: 16,
        11: 11,
        13: 15,
        14: 2,
        15: 1,
        16: 4,
        17: 3,
    }
    for there, here in coco_of_openpose.items():
        torch.testing.assert_close(openpose[:, there], keypoints[:, here])


def test_the_neck_is_missing_with_either_shoulder() -> None:
    keypoints = standing()
    keypoints[:, 6, 2] = 0
    assert to_openpose18(keypoints)[0, 1, 2] == 0


def test_limbs_and_joints_have_alphapose_colours_on_pure_white() -> None:
    figure = stick_figure(standing(), 256)
    assert figure.shape == (1, 3, 256, 256)
    assert pixel(figure, 10, 10) == [255, 255, 255]
    assert pixel(figure, 146, 218) == [255, 77, 0]  # left shin, half way
    assert pixel(figure, 110, 218) == [36, 77, 255]  # right shin
    assert pixel(figure, 146, 240) == [255, 77, 127]  # the ankle's disc is drawn over the shin
    assert pixel(figure, 128, 80) == [255, 255, 0]  # the neck's disc over the shoulder line


@pytest.mark.parametrize(("size", "width"), [(256, 3), (128, 1.5), (64, 1)])
def test_lines_are_three_pixels_wide_at_256_and_never_thinner_than_one(size: int, width: float) -> None:
    figure = stick_figure(standing(size), size)
    y = 218 * size // 256
    shin = figure[0, :, y, 128 * size // 256 : 164 * size // 256]
    ink = torch.tensor([255, 77, 0]) / 127.5 - 1
    coverage = ((1 - shin) / (1 - ink)[:, None].clamp_min(1e-6))[1:].mean(0)  # red is full on white and on ink
    assert coverage.sum().item() == pytest.approx(width, abs=0.25)


def test_occluded_joints_are_drawn_and_missing_ones_are_not() -> None:
    seen, occluded, missing = standing(), standing(), standing()
    occluded[:, 15, 2] = 1
    missing[:, 15] = torch.tensor([float("nan"), float("nan"), 0])
    torch.testing.assert_close(stick_figure(occluded, 256), stick_figure(seen, 256))
    figure = stick_figure(missing, 256)
    assert figure.isfinite().all()
    assert pixel(figure, 146, 240) == [255, 255, 255]
    assert pixel(figure, 146, 218) == [255, 255, 255]  # nor the limb that ends there
    assert pixel(figure, 146, 196) == [255, 77, 191]  # the knee stays
    ankle = to_openpose18(missing)
    assert heatmaps(ankle, 256)[0, 13].count_nonzero() == 0
    assert heatmaps(ankle, 256, "onehot")[0, 13].count_nonzero() == 0
    assert (discs(ankle, 256, 4)[0, 13] == -1).all()
    assert limb_mask(ankle, 256, 4)[0, 0, 230:, 130:].sum() == 0


def test_nobody_is_drawn_as_an_empty_canvas() -> None:
    nobody = torch.zeros(1, 17, 3)
    openpose = to_openpose18(nobody)
    assert (stick_figure(nobody, 64) == 1).all()
    assert (heatmaps(openpose, 64) == 0).all()
    assert (discs(openpose, 64, 2) == -1).all()
    assert (limb_mask(openpose, 64, 2) == 0).all()


@pytest.mark.parametrize("size", [64, 256])
def test_a_gaussian_peaks_at_its_joint_and_falls_with_sigma_six_at_256(size: int) -> None:
    keypoints = to_openpose18(standing(size))
    maps = heatmaps(keypoints, size)
    for joint, (x, y, _) in enumerate(keypoints[0].tolist()):
        peak = divmod(int(maps[0, joint].argmax()), size)
        assert abs(peak[0] + 0.5 - y) <= 0.5 and abs(peak[1] + 0.5 - x) <= 0.5
    x, y = (int(v) for v in keypoints[0, 0, :2])
    assert maps[0, 0, y, x].item() == pytest.approx(1)
    sigma = 6 * size / 256
    assert maps[0, 0, y, x + 3].item() == pytest.approx(torch.tensor(-4.5 / sigma**2).exp().item(), rel=1e-4)


def test_a_onehot_map_has_one_pixel_and_it_is_the_joint() -> None:
    keypoints = to_openpose18(standing())
    maps = heatmaps(keypoints, 256, "onehot")
    assert (maps.sum((2, 3)) == 1).all()
    x, y = (int(v) for v in keypoints[0, 4, :2])
    assert maps[0, 4, y, x] == 1


def test_an_unknown_pose_map_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"gaussain.*gaussian, onehot"):
        heatmaps(to_openpose18(standing()), 64, "gaussain")  # type: ignore[arg-type]


def test_a_disc_of_radius_four_has_49_pixels() -> None:
    maps = discs(to_openpose18(standing()), 256, 4)
    assert set(maps.unique().tolist()) == {-1.0, 1.0}
    assert (maps[0, 0] == 1).sum() == 49  # lattice points within 4 of the origin


def test_the_limb_mask_covers_every_limb_and_little_else() -> None:
    keypoints = to_openpose18(standing())
    mask = limb_mask(keypoints, 256, 4)
    assert mask.shape == (1, 1, 256, 256)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    knee, ankle = keypoints[0, 12, :2], keypoints[0, 13, :2]
    for part in torch.linspace(0, 1, 40):
        x, y = (knee + part * (ankle - knee)).int().tolist()
        assert mask[0, 0, y, x - 3 : x + 4].all()
        assert mask[0, 0, y, x + 6] == 0
    assert mask.mean() < 0.35


def test_a_drawing_does_not_depend_on_its_batch() -> None:
    batch = standing(batch=6)  # more canvas than is drawn at a time
    batch[..., :2] += torch.arange(6).view(6, 1, 1)
    openpose = to_openpose18(batch)
    for i in range(6):
        one = slice(i, i + 1)
        assert torch.equal(stick_figure(batch, 256)[one], stick_figure(batch[one], 256))
        assert torch.equal(limb_mask(openpose, 256, 4)[one], limb_mask(openpose[one], 256, 4))
