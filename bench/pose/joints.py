"""Test characters whose joints are a detector's instead of exact: what the published setting had to work with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.pack import Pack
from bench.files import digest_of, kept_array
from bench.pose.detector import THRESHOLD, Detector, detector
from bench.progress import Task
from bench.source import source_hash

DETECTOR, WEIGHTS = "movenet", "movenet-thunder"
CODE = ("bench.pose.crop", "bench.pose.detector", "bench.pose.joints", "bench.pose.movenet")
AT_ONCE = 32


def joints_identity() -> dict[str, Any]:
    """Everything that determines detected joints, besides the pictures; raises WeightsMissing."""
    from bench import weights

    return {
        "detector": DETECTOR,
        "weights": weights.load(WEIGHTS).sha256,
        "threshold": THRESHOLD,
        "code": source_hash(CODE),
    }


def with_detected_joints(pack: Pack, store: Path, task: Task, using: Detector | None = None) -> Pack:
    """`pack` with every frame of its test characters, sources and targets, under detected joints.

    They are detected once and kept in the store. The pictures stay as they are, and so do training and validation.
    """
    frames = pack.frames_in("test")
    wanted = {"pixels": pack.pixel_digest, "size": pack.image_size, "frames": frames.tolist(), **joints_identity()}
    path = store / "joints" / f"{pack.digest[:12]}-{digest_of(wanted)}.npy"

    def detect() -> NDArray[np.float32]:
        found = using or detector(DETECTOR)
        joints = []
        for start in range(0, len(frames), AT_ONCE):
            pictures = np.asarray(pack.rgb[frames[start : start + AT_ONCE]])
            joints.append(found.detect(pictures).keypoints(pack.image_size, pack.image_size))
            task.update(min(start + AT_ONCE, len(frames)), len(frames))
        return np.concatenate(joints)

    keypoints = np.array(pack.keypoints)
    keypoints[frames] = kept_array(path, detect)
    return replace(pack, keypoints=keypoints)
