"""Where a method fails, and whether difficult images are where it does (Fig. 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.errors import DataError
from bench.figures.sheet import U8, Sheet, draw_sheet
from bench.figures.style import BLUE, VERMILION, WIDTH, new_figure, save, styled

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Failure:
    """One image that came out badly, with what makes it difficult."""

    source: U8
    target_pose: U8
    output: U8
    truth: U8
    ssim: float  # inside the character
    occlusion: float  # self-occlusion of the target pose
    texture: float  # texture complexity of the source
    occlusion_rank: float  # share of the test set that is easier in this respect, 0 to 1
    texture_rank: float


def failure_cases(failures: Sequence[Failure], title: str, path_stem: Path) -> list[Path]:
    """Source, target pose, output and truth of each, its score and its difficulty beside it (Fig. 11)."""
    if not failures:
        raise DataError("no images to show as failures")
    rows = [[case.source, case.target_pose, case.output, case.truth] for case in failures]
    notes = [
        f"fg-SSIM {case.ssim:.3f}\n\n"
        f"self-occlusion {case.occlusion:.2f}\nmore than {case.occlusion_rank:.0%} of the test images\n\n"
        f"texture complexity {case.texture:.3f}\nmore than {case.texture_rank:.0%} of the test images"
        for case in failures
    ]
    sheet = Sheet(rows, ["Source", "Target pose", title, "Ground truth"], notes=notes, column_breaks=frozenset({2}))
    return draw_sheet(sheet, path_stem)


@styled
def difficulty(
    ssim: Values, occlusion: Values, texture: Values, worst: Sequence[int], title: str, path_stem: Path
) -> list[Path]:
    """Foreground SSIM of every test image [N] against both measures of difficulty, with Spearman's ρ.

    A ring marks the images of `failure_cases`. Raises DataError for arrays of different lengths or fewer than 3.
    """
    if not len(ssim) == len(occlusion) == len(texture) or len(ssim) < 3:
        raise DataError(f"{len(ssim)}, {len(occlusion)} and {len(texture)} values are not those of 3 or more images")
    figure = new_figure(WIDTH, 2.7)
    axes = figure.subplots(1, 2, sharey=True)
    for panel, values, name in (
        (axes[0], occlusion, "self-occlusion of the target pose"),
        (axes[1], texture, "texture complexity of the source (one a character)"),
    ):
        panel.scatter(values, ssim, s=9, color=BLUE, alpha=0.45, linewidths=0)
        panel.scatter(
            np.asarray(values)[list(worst)], np.asarray(ssim)[list(worst)], s=42, facecolors="none",
            edgecolors=VERMILION, linewidths=1.1,
        )  # fmt: skip
        panel.set_xlabel(name)
        panel.set_title(f"Spearman's ρ = {spearman(values, ssim):+.2f}".replace("-", "−"), loc="left")
    axes[0].set_ylabel(f"fg-SSIM of {title}")
    return save(figure, path_stem)


def spearman(first: Values, second: Values) -> float:
    """Rank correlation; 0 where one of them does not vary."""
    a, b = rankdata(first), rankdata(second)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
