"""Statements about sheets of images: every pixel keeps its value and its place, and the words say what stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.errors import DataError
from bench.figures import (
    Animation,
    Failure,
    GridRow,
    ShotsRow,
    comparison_grid,
    difficulty,
    failure_cases,
    feature_maps,
    follows,
    gallery,
    shots_grid,
    support_set,
    teaser,
)
from bench.figures.failures import spearman
from bench.figures.features import heat
from bench.figures.sheet import CELL, FRAME, Sheet, Span, draw_sheet, visible_box, whole_scale
from bench.figures.style import WIDTH

U8 = NDArray[np.uint8]


def noise(seed: int, size: int = 32) -> U8:
    return np.random.default_rng(seed).integers(0, 200, (size, size, 3), dtype=np.uint8)


def on_white(seed: int, top: int, left: int, size: int = 64, side: int = 16) -> U8:
    image = np.full((size, size, 3), 255, np.uint8)
    image[top : top + side, left : left + side] = noise(seed, side)
    return image


def read(path: Path) -> U8:
    return np.asarray(Image.open(path).convert("RGB"))


def find(image: U8, canvas: U8, scale: int) -> list[tuple[int, int]]:
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


def place(image: U8, canvas: U8, scale: int) -> tuple[int, int]:
    found = find(image, canvas, scale)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("size", "scale"), [(32, 5), (64, 3), (128, 2), (256, 1)])
def test_small_images_are_enlarged_by_whole_factors(size: int, scale: int) -> None:
    assert whole_scale(size) == scale
    assert size * scale >= CELL


@pytest.mark.parametrize("size", [32, 64, 256])
def test_every_image_of_a_sheet_keeps_its_pixels_and_its_place(tmp_path: Path, size: int) -> None:
    rows = [[noise(10 * row + column, size) for column in range(5)] for row in range(2)]
    png, pdf = draw_sheet(Sheet(rows, heads=list("abcde")), tmp_path / "sheet")
    canvas = read(png)
    places = np.array([[place(image, canvas, whole_scale(size)) for image in row] for row in rows])
    assert (np.ptp(places[..., 0], axis=1) == 0).all(), "a row is level"
    assert (np.ptp(places[..., 1], axis=0) == 0).all(), "a column is upright"
    steps = np.diff(places[0, :, 1])
    assert np.ptp(steps) == 0 and steps[0] > size * whole_scale(size)
    assert pdf.read_bytes().startswith(b"%PDF")


def test_a_wide_sheet_is_as_wide_as_a_page_and_a_small_one_is_not_blown_up(tmp_path: Path) -> None:
    def inches(columns: int) -> float:
        sheet = Sheet([[noise(column) for column in range(columns)]])
        with Image.open(draw_sheet(sheet, tmp_path / f"{columns}")[0]) as image:
            return float(image.width / image.info["dpi"][0])

    assert inches(9) == pytest.approx(WIDTH, rel=0.01)
    assert inches(2) == pytest.approx(2 * 1.1, rel=0.06)


def test_white_borders_that_all_images_share_are_cut_away_and_nothing_else(tmp_path: Path) -> None:
    left, right = on_white(1, top=20, left=10), on_white(2, top=24, left=30)
    down, across = visible_box([left, right], margin=0)
    assert (down.start, down.stop) == (20, 40)
    assert (across.start, across.stop) == (10, 54), "as much at the right as at the left"
    faint = left.copy()
    faint[0, 0] = 230
    assert visible_box([faint, right], margin=0)[0].start == 0, "what can be seen is not cut away"
    white = np.full_like(left, 255)
    assert white[visible_box([white])].shape == white.shape
    canvas = read(draw_sheet(Sheet([[left, right]]), tmp_path / "cropped")[0])
    assert find(left[down, across], canvas, 3) and not find(left, canvas, 3)
    canvas = read(draw_sheet(Sheet([[left, right]], crop=False), tmp_path / "whole")[0])
    assert find(left, canvas, 3)


def test_an_empty_place_stays_white_and_a_white_image_has_a_frame(tmp_path: Path) -> None:
    white = np.full((32, 32, 3), 255, np.uint8)
    canvas = read(draw_sheet(Sheet([[noise(1), None]], crop=False), tmp_path / "empty")[0])
    top, left = place(noise(1), canvas, 5)
    assert (canvas[:, left + 170 :] == 255).all()
    canvas = read(draw_sheet(Sheet([[noise(1), white]], crop=False), tmp_path / "white")[0])
    assert (canvas[top, left + 162 :] == FRAME).all(1).sum() == 2


def test_small_maps_are_enlarged_to_the_size_of_the_images_beside_them(tmp_path: Path) -> None:
    small = noise(2, 8)
    canvas = read(draw_sheet(Sheet([[noise(1, 64), small]]), tmp_path / "maps")[0])
    assert place(small, canvas, 24)[0] == place(noise(1, 64), canvas, 3)[0]


def test_words_add_room_and_never_touch_the_images(tmp_path: Path) -> None:
    rows = [[noise(1), noise(2)], [noise(3), noise(4)]]
    bare = read(draw_sheet(Sheet(rows), tmp_path / "bare")[0])
    sheet = Sheet(
        rows,
        heads=["A head", "Another head of several lines"],
        groups=[Span("Group", 0, 1)],
        sides=[Span("side", 0, 1)],
        captions=[["below", ""], ["", ""]],
        notes=["a note", "two\nlines"],
    )
    full = read(draw_sheet(sheet, tmp_path / "full")[0])
    assert full.shape[0] > bare.shape[0] and full.shape[1] > bare.shape[1]
    for row in rows:
        for image in row:
            place(image, full, 5)
    assert place(noise(3), full, 5)[0] - place(noise(1), full, 5)[0] > place(noise(3), bare, 5)[0]
    ink = (full < 100).all(2)
    top, left = place(noise(1), full, 5)
    assert ink[:top].any() and ink[:, : left - 2].any(), "heads above, side title at the left"
    assert ink[:, place(noise(2), full, 5)[1] + 165 :].any(), "notes at the right"


def test_the_same_sheet_gives_the_same_bytes_whatever_the_machine_prefers(tmp_path: Path) -> None:
    sheet = Sheet([[noise(1), noise(2)]], heads=["A", "B"])
    first = [path.read_bytes() for path in draw_sheet(sheet, tmp_path / "first")]
    with matplotlib.rc_context({"font.family": "monospace", "pdf.fonttype": 3, "text.color": "red"}):
        second = [path.read_bytes() for path in draw_sheet(sheet, tmp_path / "second")]
        assert matplotlib.rcParams["text.color"] == "red", "the settings are left as they were"
    assert first == second


def test_images_that_do_not_fit_together_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one image"):
        draw_sheet(Sheet([]), tmp_path / "sheet")
    with pytest.raises(DataError, match="row 1, column 0"):
        draw_sheet(Sheet([[noise(1, 64)], [noise(2, 48)]]), tmp_path / "sheet")
    with pytest.raises(DataError, match="float64"):
        draw_sheet(Sheet([[noise(1), noise(2) / 255]]), tmp_path / "sheet")
    with pytest.raises(DataError, match="2 columns has 1 heads"):
        draw_sheet(Sheet([[noise(1), noise(2)]], heads=["A"]), tmp_path / "sheet")
    assert not list(tmp_path.iterdir())


def grid_row(seed: int, size: int = 32, truth: bool = True) -> GridRow:
    outputs = {"PATN": noise(seed + 1, size), "Ours (1-shot) (MSL)": noise(seed + 2, size)}
    return GridRow(noise(seed, size), noise(seed + 3, size), outputs, noise(seed + 4, size) if truth else None)


def test_a_comparison_shows_source_pose_outputs_and_truth_in_this_order(tmp_path: Path) -> None:
    rows = [grid_row(0), grid_row(10)]
    canvas = read(comparison_grid(rows, tmp_path / "grid")[0])
    for row in rows:
        assert row.truth is not None
        lefts = [place(i, canvas, 5)[1] for i in (row.source, row.target_pose, *row.outputs.values(), row.truth)]
        assert lefts == sorted(lefts) and len(set(lefts)) == 5
    unknown = read(comparison_grid([grid_row(0, truth=False)], tmp_path / "people")[0])
    assert unknown.shape[1] < canvas.shape[1]


def test_rows_of_a_comparison_that_differ_are_refused(tmp_path: Path) -> None:
    row = grid_row(0)
    with pytest.raises(DataError, match="at least one row"):
        comparison_grid([], tmp_path / "grid")
    with pytest.raises(DataError, match="row 1"):
        comparison_grid([row, GridRow(row.source, row.target_pose, {}, row.truth)], tmp_path / "grid")
    with pytest.raises(DataError, match="ground truth"):
        comparison_grid([row, grid_row(1, truth=False)], tmp_path / "grid")


def shots_row(seed: int, plain: tuple[int, ...], msl: tuple[int, ...]) -> ShotsRow:
    return ShotsRow(
        noise(seed), noise(seed + 1), {k: noise(seed + 10 + k) for k in plain}, {k: noise(seed + 30 + k) for k in msl},
        noise(seed + 2),
    )  # fmt: skip


def test_shots_stand_in_two_groups_of_which_one_may_be_missing(tmp_path: Path) -> None:
    both = shots_row(0, (0, 1, 4), (0, 1, 4))
    canvas = read(shots_grid([both], tmp_path / "both")[0])
    lefts = [place(image, canvas, 5)[1] for image in (*both.plain.values(), *both.msl.values(), both.truth)]
    assert lefts == sorted(lefts)
    steps = np.diff(lefts)
    assert steps[2] > steps[1], "a gap between the groups"
    one = read(shots_grid([shots_row(0, (1,), ())], tmp_path / "one")[0])
    assert one.shape[1] < canvas.shape[1]
    with pytest.raises(DataError, match="other shots"):
        shots_grid([both, shots_row(1, (0, 1), (0, 1, 4))], tmp_path / "unequal")


def animation(seed: int, poses: int = 3) -> Animation:
    return Animation(
        noise(seed), [noise(seed + 1 + i) for i in range(poses)], [noise(seed + 50 + i) for i in range(poses)]
    )


def test_a_teaser_has_each_output_below_its_pose_and_beside_its_source(tmp_path: Path) -> None:
    shown = [animation(0), animation(100)]
    canvas = read(teaser(shown, tmp_path / "teaser")[0])
    for one in shown:
        source = place(one.source, canvas, 5)
        for pose, output in zip(one.poses, one.outputs, strict=True):
            above, below = place(pose, canvas, 5), place(output, canvas, 5)
            assert above[1] == below[1] and above[0] < below[0] == source[0] and source[1] < below[1]
    with pytest.raises(DataError, match="as many as the others"):
        teaser([animation(0), animation(1, poses=2)], tmp_path / "unequal")


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_gallery_shows_everyone_once_in_two_blocks(tmp_path: Path, count: int) -> None:
    shown = [animation(200 * i, poses=2) for i in range(count)]
    canvas = read(gallery(shown, tmp_path / "gallery")[0])
    sources = [place(one.source, canvas, 5) for one in shown]
    for one, source in zip(shown, sources, strict=True):
        for pose, output in zip(one.poses, one.outputs, strict=True):
            assert source[1] < place(pose, canvas, 5)[1] < place(output, canvas, 5)[1]
            assert place(output, canvas, 5)[0] == source[0]
    assert len({left for _, left in sources}) == min(2, count)


def test_a_support_set_shows_each_sample_over_its_stick_figure(tmp_path: Path) -> None:
    images, poses = [noise(i) for i in range(1, 5)], [noise(i) for i in range(11, 15)]
    canvas = read(support_set(noise(0), noise(10), images, poses, (0, 2, -2, 4), tmp_path / "support")[0])
    for image, pose in zip([noise(0), *images], [noise(10), *poses], strict=True):
        above, below = place(image, canvas, 5), place(pose, canvas, 5)
        assert above[1] == below[1] and above[0] < below[0]
    with pytest.raises(DataError, match="not one support set"):
        support_set(noise(0), noise(10), images, poses, (0, 2), tmp_path / "wrong")


def moving_maps(offsets: list[int], step: float, size: int = 64, cells: int = 16) -> NDArray[np.float64]:
    """Maps [N, 3, cells, cells] of a bump that moves `step` pixels for each pixel of the offset."""
    across = (np.arange(cells) + 0.5) * size / cells
    rows = [np.exp(-(((across - size / 2 - step * offset) / 6) ** 2)) for offset in offsets]
    return np.stack([np.tile(row, (3, cells, 1)) for row in rows])


def test_maps_that_go_where_the_pose_goes_follow_it_pixel_by_pixel() -> None:
    offsets = [-12, -6, 0, 6, 12]
    assert follows(moving_maps(offsets, 1), offsets, 64) == pytest.approx(1, abs=0.02)
    assert follows(moving_maps(offsets, 0), offsets, 64) == pytest.approx(0, abs=1e-6)
    assert follows(moving_maps(offsets, 1) + 0.5, offsets, 64) == pytest.approx(1, abs=0.02), "on any background"
    assert follows(-moving_maps(offsets, 0.5), offsets, 64) == pytest.approx(0.5, abs=0.02), "the sign is no matter"


def test_feature_maps_share_one_scale_of_colours_a_row(tmp_path: Path) -> None:
    offsets = [-6, 0, 6]
    maps = {"block 1": moving_maps(offsets, 1, cells=8), "block 2": 100 * moving_maps(offsets, 1, cells=8)}
    poses, outputs = [noise(i, 64) for i in range(3)], [noise(i, 64) for i in range(5, 8)]
    canvas = read(feature_maps(noise(9, 64), poses, maps, outputs, offsets, tmp_path / "maps")[0])
    shown = heat(np.abs(maps["block 1"]).mean(1))
    assert shown.shape == (3, 8, 8, 3)
    for row, image in enumerate(shown):
        assert len(find(image, canvas, 24)) == 2, "both blocks look the same: each has its own scale"
        assert place(poses[row], canvas, 3)[1] == place(outputs[row], canvas, 3)[1]
    assert (heat(np.array([[[0.0, 1.0]], [[1.0, 2.0]]]))[0, 0, 1] == heat(np.array([[[0.0, 1.0, 2.0]]]))[0, 0, 1]).all()
    with pytest.raises(DataError, match="as many as each other"):
        feature_maps(noise(9, 64), poses[:2], maps, outputs, offsets, tmp_path / "wrong")


def failure(seed: int) -> Failure:
    return Failure(noise(seed), noise(seed + 1), noise(seed + 2), noise(seed + 3), 0.3, 0.4, 0.05, 0.9, 0.1)


def test_failures_stand_beside_their_scores(tmp_path: Path) -> None:
    canvas = read(failure_cases([failure(0), failure(10)], "Ours", tmp_path / "failures")[0])
    right = place(noise(3), canvas, 5)[1] + 165
    assert (canvas[:, right:] < 100).all(2).any()
    with pytest.raises(DataError, match="no images"):
        failure_cases([], "Ours", tmp_path / "none")


def test_rank_correlation_is_that_of_ranks() -> None:
    values = np.array([0.1, 0.5, 0.2, 3.0])
    assert spearman(values, np.exp(values)) == pytest.approx(1)
    assert spearman(values, -(values**3)) == pytest.approx(-1)
    assert spearman(values, np.ones(4)) == 0


def test_difficulty_rings_the_failures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays: tuple[Any, ...] = (rng.random(40), rng.random(40), rng.random(40))
    with_ring, _ = difficulty(*arrays, [3], "Ours", tmp_path / "with")
    without, _ = difficulty(*arrays, [], "Ours", tmp_path / "without")

    def vermilion(path: Path) -> int:
        return int((read(path) == (0xD5, 0x5E, 0x00)).all(2).sum())

    assert vermilion(with_ring) > 0 == vermilion(without)
    with pytest.raises(DataError, match="3 or more"):
        difficulty(arrays[0][:2], arrays[1][:2], arrays[2][:2], [], "Ours", tmp_path / "few")
