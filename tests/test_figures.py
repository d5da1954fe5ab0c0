"""Statements about comparison grids and curves, on images and logs made here."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.errors import DataError
from bench.figures import GRID_CELL, GridRow, comparison_grid, grid_scale, training_curves, tuning_curve
from tests.test_tables import made_up


def noise(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def grid_row(seed: int, size: int = 32) -> GridRow:
    outputs = {"PATN": noise(seed + 1, size), "Ours (1-shot) (MSL)": noise(seed + 2, size)}
    return GridRow(noise(seed, size), noise(seed + 3, size), outputs, noise(seed + 4, size))


def find(image: np.ndarray, canvas: np.ndarray, scale: int) -> list[tuple[int, int]]:
    """Where (top, left) in the canvas the image stands, enlarged by `scale` and unchanged."""
    enlarged = image.repeat(scale, 0).repeat(scale, 1)
    height, width = enlarged.shape[:2]
    corners = np.argwhere((canvas == enlarged[0, 0]).all(2))
    return [
        (int(y), int(x))
        for y, x in corners
        if canvas[y : y + height, x : x + width].shape == enlarged.shape
        and (canvas[y : y + height, x : x + width] == enlarged).all()
    ]


@pytest.mark.parametrize(("size", "scale"), [(32, 5), (64, 3), (128, 2), (256, 1)])
def test_small_images_are_enlarged_by_whole_factors(size, scale):
    assert grid_scale(size) == scale
    assert size * scale >= GRID_CELL


@pytest.mark.parametrize("size", [32, 64, 256])
def test_every_image_of_a_grid_keeps_its_pixels_and_its_place(tmp_path, size):
    rows = [grid_row(0, size), grid_row(10, size)]
    png, pdf = comparison_grid(rows, tmp_path / "grid")
    canvas = np.asarray(Image.open(png).convert("RGB"))
    places = []
    for row in rows:
        images = [row.source, row.target_pose, *row.outputs.values(), row.truth]
        line = [find(image, canvas, grid_scale(size)) for image in images]
        assert all(len(found) == 1 for found in line)
        places.append([found[0] for found in line])
    step = size * grid_scale(size) + 6
    for line in places:
        assert len({top for top, _ in line}) == 1
        assert [left for _, left in line] == [6 + step * i for i in range(5)]
    assert places[1][0][0] - places[0][0][0] == step
    assert canvas.shape[1] == 6 + step * 5
    assert canvas.shape[0] == places[1][0][0] + step
    assert pdf.read_bytes().startswith(b"%PDF")


def test_the_same_grid_gives_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in comparison_grid([grid_row(0)], tmp_path / "first")]
    second = [path.read_bytes() for path in comparison_grid([grid_row(0)], tmp_path / "second")]
    assert first == second


def test_rows_that_do_not_fit_together_are_refused(tmp_path):
    row = grid_row(0)
    with pytest.raises(DataError, match="at least one row"):
        comparison_grid([], tmp_path / "grid")
    with pytest.raises(DataError, match="row 1"):
        comparison_grid([row, grid_row(0, 64)], tmp_path / "grid")
    with pytest.raises(DataError, match="row 1"):
        comparison_grid([row, GridRow(row.source, row.target_pose, {}, row.truth)], tmp_path / "grid")
    floats = (row.truth / 255).astype(np.float32)
    with pytest.raises(DataError, match="'truth' is float32"):
        comparison_grid([GridRow(row.source, row.target_pose, row.outputs, floats)], tmp_path / "grid")
    assert not list(tmp_path.iterdir())


def log(losses: tuple[str, ...], phases: tuple[str, ...] = ("joint",)) -> list[dict]:
    entries = [(phase, step) for phase in phases for step in range(20)]
    return [
        {"phase": phase, "step": step + 1, "seconds": i * 1.5}
        | {name: 1 / (i + 1 + k) for k, name in enumerate(losses)}
        for i, (phase, step) in enumerate(entries)
    ]


def test_training_curves_are_drawn_for_every_method_with_a_log(tmp_path):
    logs = {"PATN": log(("g_l1", "d_fake")), "Ours": log(("g_l1",), ("first", "second")), "Failed": []}
    png, pdf = training_curves(logs, tmp_path / "training")
    one, _ = training_curves({"PATN": logs["PATN"]}, tmp_path / "one")
    assert Image.open(png).width == 2 * Image.open(one).width
    assert pdf.stat().st_size > 1000


def test_a_loss_that_is_switched_off_is_not_drawn(tmp_path):
    entries = log(("g_l1",))
    silent = [{**entry, "g_perceptual": 0.0} for entry in entries]
    without, _ = training_curves({"PATN": entries}, tmp_path / "without")
    with_zeros, _ = training_curves({"PATN": silent}, tmp_path / "with")
    assert with_zeros.read_bytes() == without.read_bytes()


def test_training_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="no training log"):
        training_curves({"Failed": []}, tmp_path / "training")


CURVE = [
    {"lr": lr, "passes": passes, "l1_foreground": 0.3 + lr * passes, "ssim_foreground": 0.5 - lr * passes}
    for lr in (0.001, 0.003)
    for passes in (0, 1, 2, 5)
]


def ink(path, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(Image.open(path).convert("RGB")) == colour).all(2).sum())


def test_a_tuning_curve_has_a_line_a_rate_and_marks_the_choice(tmp_path):
    blue, vermilion = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
    schedule = {"lr": 0.003, "passes": 2, "chosen_on": "6 validation characters", "curve": CURVE}
    both, _ = tuning_curve(made_up(finetune=schedule), tmp_path / "both")
    assert ink(both, blue) > 100
    assert ink(both, vermilion) > 100
    elsewhere, _ = tuning_curve(made_up(finetune={**schedule, "passes": 5}), tmp_path / "elsewhere")
    assert elsewhere.read_bytes() != both.read_bytes()
    one_rate = [point for point in CURVE if point["lr"] == 0.001]
    single, _ = tuning_curve(made_up(finetune={**schedule, "curve": one_rate}), tmp_path / "single")
    assert ink(single, vermilion) == 0


def test_a_record_without_a_curve_is_refused(tmp_path):
    with pytest.raises(DataError, match="'PATN' has no fine-tuning curve"):
        tuning_curve(made_up(), tmp_path / "tuning")
