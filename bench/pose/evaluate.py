"""How far a detector's joints are from the exact ones of rendered characters: PCK and median error by view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.layout import VIEWS
from bench.data.pack import Pack
from bench.pose.detector import THRESHOLD, Detection, Detector

F32 = NDArray[np.float32]

UNIT = 256  # pixels a side that errors are given at, whatever the pictures' size
RADII = (8.0, 13.0)  # pixels at that size within which a joint is correct
AT_ONCE = 32
# each joint's partner on the other side; the nose has none
MIRRORED = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
BODY = slice(5, 17)


@dataclass(frozen=True)
class PoseScore:
    """A detector on some frames. Joints that the truth calls absent are left out of all but `ghosts`."""

    frames: int
    joints: int
    pck: tuple[float, ...]  # share of joints within each of RADII
    median: float  # pixels at UNIT
    drawn: float  # share of joints whose score passes the threshold
    ghosts: float | None  # the same share of joints that are absent (a face from behind); None: there are none
    swapped: float  # share of frames whose body fits better with left and right exchanged
    score: float  # the detector's own mean


@dataclass(frozen=True)
class PoseReport:
    """Scores by view, "dance" for all frames that are none, and "all"."""

    detector: str
    image_size: int
    threshold: float
    views: dict[str, PoseScore]

    def as_json(self) -> dict[str, Any]:
        value = asdict(self)
        value["pck_radii"] = list(RADII)
        return value


def joint_errors(found: Detection, truth: F32, size: int) -> F32:
    """Distances [N, 17] in pixels at UNIT to the joints [N, 17, 3] of pictures `size` pixels wide; NaN if absent."""
    distance = np.linalg.norm(found.places - truth[..., :2], axis=-1) * (UNIT / size)
    return np.where(truth[..., 2] > 0, distance, np.nan).astype(np.float32)


def sides_swapped(found: Detection, truth: F32) -> NDArray[np.bool_]:
    """Frames [N] whose body joints lie nearer to the truth when left and right are exchanged."""
    present = truth[:, BODY, 2] > 0
    direct = np.linalg.norm(found.places - truth[..., :2], axis=-1)[:, BODY]
    crossed = np.linalg.norm(found.places[:, MIRRORED] - truth[..., :2], axis=-1)[:, BODY]
    return np.asarray((crossed * present).sum(1) < (direct * present).sum(1))


def pose_score(found: Detection, truth: F32, size: int, threshold: float = THRESHOLD) -> PoseScore:
    """A detector's score on frames with the joints [N, 17, 3], hidden ones included."""
    errors, present = joint_errors(found, truth, size), truth[..., 2] > 0
    distances, drawn = errors[present], found.scores >= threshold
    return PoseScore(
        frames=len(truth),
        joints=int(present.sum()),
        pck=tuple(float((distances < radius).mean()) for radius in RADII),
        median=float(np.median(distances)),
        drawn=float(drawn[present].mean()),
        ghosts=float(drawn[~present].mean()) if (~present).any() else None,
        swapped=float(sides_swapped(found, truth).mean()),
        score=float(found.scores.mean()),
    )


def evaluate(
    detector: Detector,
    pack: Pack,
    threshold: float = THRESHOLD,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PoseReport:
    """Run a detector over every frame of a data set whose joints are known."""
    places, scores = [], []
    for start in range(0, len(pack), AT_ONCE):
        found = detector.detect(np.asarray(pack.rgb[start : start + AT_ONCE]))
        places.append(found.places)
        scores.append(found.scores)
        on_progress(min(start + AT_ONCE, len(pack)), len(pack))
    everything, truth = Detection(np.concatenate(places), np.concatenate(scores)), np.asarray(pack.keypoints)
    known = (truth[..., 2] > 0).any(1)
    chosen = {view: pack.view == index for index, view in enumerate(VIEWS)}
    chosen |= {"dance": pack.view < 0, "all": np.ones(len(pack), bool)}
    views = {
        view: pose_score(
            Detection(everything.places[some], everything.scores[some]), truth[some], pack.image_size, threshold
        )
        for view, wanted in chosen.items()
        if (some := np.flatnonzero(wanted & known)).size
    }
    return PoseReport(detector.name, pack.image_size, threshold, views)


def as_table(report: PoseReport) -> str:
    """The report as a Markdown table, aligned for a terminal."""
    header = ["view", "frames", *(f"PCK@{radius:g}" for radius in RADII), "median px", "drawn", "ghosts", "swapped"]
    rows = [
        [
            view,
            str(score.frames),
            *(f"{share:.3f}" for share in score.pck),
            f"{score.median:.1f}",
            f"{score.drawn:.2f}",
            "–" if score.ghosts is None else f"{score.ghosts:.2f}",
            f"{score.swapped:.2f}",
        ]
        for view, score in report.views.items()
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        first, *numbers = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *numbers])} |"

    ruler = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(header), ruler, *map(line, rows)])
