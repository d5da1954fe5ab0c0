"""Scores of single images, which the score stage keeps beside the means that a record holds."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.records import Record
from bench.store import check_stage
from bench.verify import stage_folder

F64 = NDArray[np.float64]
ImageScores = dict[str, F64]
"""[N] by metric, and `frame`: the frame of the pack."""


def read_image_scores(folder: Path) -> ImageScores:
    """Those of a finished score stage; raises OSError or ValueError for a file that is gone or damaged."""
    with (folder / "images.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    values = np.array([[float(value) for value in row[1:]] for row in rows])  # the first column names the character
    return dict(zip(header[1:], values.T, strict=True))


def image_scores_of(records: Iterable[Record], store: Path) -> tuple[dict[str, ImageScores], list[str]]:
    """Scores by record key, and a line for each record whose scores the store does not hold whole."""
    found: dict[str, ImageScores] = {}
    missing: list[str] = []
    for record in records:
        folder = stage_folder(store, "score", record.key)
        seed = "" if record.kind == "floor" else f", seed {record.cell['seed']}"
        try:
            if folder is None:
                raise FileNotFoundError(f"not in {store}")
            check_stage(folder)
            found[record.key] = read_image_scores(folder)
        except (OSError, ValueError, DataError) as error:
            reason = str(error) if folder is None else f"images.csv is damaged ({error})"
            missing.append(f"{record.title}{seed}: {reason}; make them with: {record.command}")
    return found, missing


def at_frames(scores: ImageScores, metric: str, frames: NDArray[np.int64]) -> F64:
    """A metric [N] of these frames, in this order; raises DataError where one was not scored."""
    row = {int(frame): index for index, frame in enumerate(scores["frame"])}
    if missing := [int(frame) for frame in frames if int(frame) not in row]:
        raise DataError(f"{len(missing)} of the test images have no scores; run the cells again on these data")
    return np.asarray(scores[metric][[row[int(frame)] for frame in frames]], np.float64)
