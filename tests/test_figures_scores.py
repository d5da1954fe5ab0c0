"""Statements about curves and plots of scores, on records and logs made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import bench.figures.curves
import bench.figures.scores
from bench.errors import DataError
from bench.figures import quality_by_cost, scores_by_character, scores_by_shots, training_curves, tuning_curve
from bench.figures.curves import loss_name, moving_mean
from bench.figures.scores import shots_of
from bench.records import Record
from tests.made_records import made_up

TUNED = {"lr": 0.003, "passes": 2}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The matplotlib figures as they are saved, to be asked what is in them."""
    kept: list[Figure] = []
    for module in (bench.figures.curves, bench.figures.scores):
        save = module.save

        def keep(figure: Figure, path_stem: Path, save: Any = save) -> list[Path]:
            kept.append(figure)
            paths: list[Path] = save(figure, path_stem)
            return paths

        monkeypatch.setattr(module, "save", keep)
    return kept


def log(losses: tuple[str, ...], phases: tuple[str, ...] = ("joint",)) -> list[dict[str, Any]]:
    entries = [(phase, step) for phase in phases for step in range(20)]
    return [
        {"phase": phase, "step": step + 1, "seconds": i * 1.5}
        | {name: 1 / (i + 1 + k) for k, name in enumerate(losses)}
        for i, (phase, step) in enumerate(entries)
    ]


def test_training_curves_have_a_panel_a_method_with_a_log(tmp_path: Path, drawn: list[Figure]) -> None:
    logs = {"PATN": log(("g_l1", "d_fake")), "Ours": log(("g_l1",), ("first", "second")), "Failed": []}
    png, pdf = training_curves(logs, tmp_path / "training")
    assert [axes.get_title() for axes in drawn[0].axes] == ["PATN", "Ours"]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["G: L1", "D: fake"]
    vertical = [line for line in drawn[0].axes[1].get_lines() if line.get_linestyle() == ":"]
    assert len(vertical) == 1, "a dotted line where a phase ends"
    assert Image.open(png).width > 800 and pdf.stat().st_size > 1000


def test_a_loss_that_is_switched_off_is_not_drawn(tmp_path: Path) -> None:
    entries = log(("g_l1",))
    silent = [{**entry, "g_perceptual": 0.0} for entry in entries]
    without, _ = training_curves({"PATN": entries}, tmp_path / "without")
    with_zeros, _ = training_curves({"PATN": silent}, tmp_path / "with")
    assert with_zeros.read_bytes() == without.read_bytes()


def test_training_curves_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training log"):
        training_curves({"Failed": []}, tmp_path / "training")


def test_moving_means_keep_a_constant_and_flatten_noise() -> None:
    assert moving_mean(np.full(9, 2.0), 4) == pytest.approx(np.full(9, 2.0)), "at the ends too"
    alternating = np.tile([0.0, 1.0], 50)
    assert np.ptp(moving_mean(alternating, 10)[10:-10]) < 0.11
    assert (moving_mean(alternating, 1) == alternating).all()
    assert len(moving_mean(np.arange(3.0), 8)) == 3


def test_losses_are_named_in_words() -> None:
    assert [loss_name(name) for name in ("g_gan", "d_appearance", "inner_first")] == [
        "G: GAN",
        "D: appearance",
        "inner first",
    ]


CURVE = [
    {"lr": lr, "passes": passes, "l1_foreground": 0.3 + lr * passes, "ssim_foreground": 0.5 - lr * passes}
    for lr in (0.001, 0.003)
    for passes in (0, 1, 2, 5)
]


def test_a_tuning_curve_has_a_line_a_rate_and_marks_the_choice(tmp_path: Path, drawn: list[Figure]) -> None:
    schedule = {**TUNED, "chosen_on": "6 validation characters", "curve": CURVE}
    tuning_curve(made_up(finetune=schedule), tmp_path / "both")
    for axes in drawn[0].axes:
        lines = {str(line.get_label()): line for line in axes.get_lines()}
        assert list(lines) == ["learning rate 0.001", "learning rate 0.003", "chosen"]
        assert list(lines["learning rate 0.003"].get_xdata()) == [0, 1, 2, 5]
        assert list(lines["chosen"].get_xdata()) == [2]


def test_a_record_without_a_curve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'PATN' has no fine-tuning curve"):
        tuning_curve(made_up(), tmp_path / "tuning")


def ours(shots: int, quality: float, seed: int = 0, variant: str = "") -> Record:
    title = f"Ours ({shots or 1}-shot)" + (" (MSL)" if variant else "") + ("" if shots else " w/o FT")
    return made_up(
        "ours", title, quality, cell__shots=shots or 1, cell__variant=variant, cell__seed=seed,
        finetune=TUNED if shots else None,
    )  # fmt: skip


def test_an_unadapted_model_has_no_shots_whatever_its_cell_says() -> None:
    assert [shots_of(ours(shots, 0.8)) for shots in (0, 1, 10)] == [0, 1, 10]


def test_scores_against_shots_are_means_over_seeds_with_intervals(tmp_path: Path, drawn: list[Figure]) -> None:
    plain = [ours(shots, 0.5 + shots / 50, seed) for shots in (4, 0, 1) for seed in (0, 1)]
    plain[0] = ours(4, 0.7)  # seed 0; seed 1 has 0.58
    msl = [ours(shots, 0.6, variant="msl") for shots in (0, 4)]
    scores_by_shots({"Ours": plain, "Ours (MSL)": msl}, tmp_path / "shots")
    l1, _, kid, fid = drawn[0].axes
    assert [tick.get_text() for tick in l1.get_xticklabels()] == ["not adapted", "1-shot", "4-shot"]
    above, below = l1.containers
    assert above.lines[0].get_ydata() == pytest.approx([0.5, 0.48, 0.36])
    assert below.lines[0].get_xdata() == pytest.approx([0.035, 2.035]), "no point where there is no record"
    low, high = above.lines[1]
    assert high.get_ydata()[0] - low.get_ydata()[0] == pytest.approx(2 * 0.0123)
    assert len(kid.containers[0].lines[1]) == 2 and kid.containers[0].lines[0].get_ydata()[0] == pytest.approx(50)
    assert not fid.containers[0].lines[1], "FID has no interval"
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["Ours", "Ours (MSL)"]


def test_one_number_of_shots_is_no_curve(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bench table2"):
        scores_by_shots({"Ours": [ours(1, 0.8)], "Ours (MSL)": [ours(1, 0.8, variant="msl")]}, tmp_path / "shots")


def test_quality_against_cost_counts_the_warm_start_and_draws_floors_as_lines(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    records = [
        made_up(seconds__train=120.0),
        made_up("ours", "Ours (1-shot)", 0.9, seconds__train=60.0, seconds__warm_start=240.0),
        made_up("copy-source", "Copy of the source", 0.5),
        made_up("white", "White image", 0.4),
    ]
    quality_by_cost(records, tmp_path / "cost")
    axes = drawn[0].axes[0]
    assert axes.get_xscale() == "log" and "CPU, 2 threads" in axes.get_xlabel()
    points = {bar.get_label(): bar.lines[0].get_xydata()[0] for bar in axes.containers}
    assert points["PATN"] == pytest.approx([2, 0.2]) and points["Ours (1-shot)"] == pytest.approx([5, 0.1])
    assert len(points) == 2
    assert [text.get_text() for text in axes.texts] == ["copy of the source"]
    with pytest.raises(DataError, match="needs a trained row"):
        quality_by_cost(records[2:], tmp_path / "floors")


def test_scores_of_different_data_cannot_stand_side_by_side(tmp_path: Path) -> None:
    other = made_up("ours", "Ours (1-shot)", 0.9, data__digest="x" * 16)
    for draw in (quality_by_cost, scores_by_character):
        with pytest.raises(DataError, match="data digest"):
            draw([made_up(), other], tmp_path / "mixed")
    assert not list(tmp_path.iterdir())


def test_characters_are_sorted_and_the_best_row_of_each_is_counted(tmp_path: Path, drawn: list[Figure]) -> None:
    names = ["a", "b", "c"]

    def scores(ssim: list[float]) -> dict[str, dict[str, float]]:
        return {n: {"ssim_foreground": s, "l1_foreground": 1 - s} for n, s in zip(names, ssim, strict=True)}

    first = made_up(per_character=scores([0.9, 0.2, 0.5]))
    second = made_up("pg2", "PG2", per_character=scores([0.8, 0.3, 0.6]))
    scores_by_character([first, second], tmp_path / "characters")
    above, below = drawn[0].axes
    assert [tick.get_text() for tick in below.get_xticklabels()] == ["b", "c", "a"], "hardest first"
    assert list(above.get_lines()[0].get_ydata()) == [0.2, 0.5, 0.9]
    for axes in (above, below):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["PATN: best on 1", "PG2: best on 2"]
    with pytest.raises(DataError, match="other characters"):
        scores_by_character([first, made_up("pg2", "PG2")], tmp_path / "unequal")
