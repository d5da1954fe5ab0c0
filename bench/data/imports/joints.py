"""Where the joints of an import come from: files of annotations, or a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.imports.faults import Faults
from bench.data.imports.folder import Found
from bench.data.imports.labels import KINDS, Label, Labels, label_files, read_labels
from bench.data.imports.options import ImportOptions
from bench.data.imports.picture import Decoded, fitted, padding
from bench.data.pixels import on_white
from bench.errors import DataError, UsageError
from bench.pose.detector import Detector, detector

F32 = NDArray[np.float32]

DETECTED_AT = 768  # pixels a side that a detector is shown at most
SMALLEST_EXTENT = 2.0  # pixels that joints must span: less are shares of the picture, or one point


class JointSource:
    """Joints by picture, and what they say of its view and clip. Without files to read, a detector's."""

    def __init__(self, source: Path, found: Found, options: ImportOptions, faults: Faults) -> None:
        """Raises UsageError where the files asked for are not there, WeightsMissing where the detector is not."""
        self._threshold, self._faults = options.threshold, faults
        self._detector: Detector | None = None
        self._scores: list[float] = []
        self.labels = Labels()
        self.outside = 0  # joints that lay outside of their picture
        self._description: dict[str, Any] = {}
        wanted, chosen = options.joints, options.annotations
        files = {} if wanted == "detect" else label_files(found, wanted, chosen, faults)
        kinds = sorted({kind for kind, _ in files.values()})
        if len(kinds) > 1:
            raise UsageError(f"{source} has joints of both kinds, COCO and AlphaPose; say which: --joints coco")
        if files:
            self.labels = read_labels(found, files, options.threshold, faults)
            self._description = {"from": kinds[0], "files": sorted(path.name for path in files)}
            if kinds == ["alphapose"]:
                self._description["threshold"] = options.threshold
        elif not faults.fatal:  # a file with a fault may hold the joints: no detector in its place
            if wanted in KINDS or chosen:
                raise UsageError(
                    f"{source}: --joints {wanted} found no file of that kind; name it with --annotations, or detect "
                    "joints with --joints detect"
                )
            self._detector = detector(options.detector)
            self._description = {"from": "detector", "detector": self._detector.name, "threshold": options.threshold}

    @property
    def description(self) -> dict[str, Any]:
        """For the metadata and for the user: what was used."""
        if not self._scores:
            return self._description
        return {**self._description, "mean_score": round(float(np.mean(self._scores)), 3)}

    def of(self, key: str, decoded: Decoded) -> F32:
        """Joints [17, 3] in the picture's pixels; raises DataError where there are none to use."""
        if self._detector is not None:
            return self._detected(decoded, self._detector)
        label = self.labels.by_picture.get(key, Label())
        if label.size is not None and label.size != (decoded.width, decoded.height):
            width, height = label.size
            raise DataError(
                f"{decoded.width}×{decoded.height} px, annotated as {width}×{height}; its joints would be off"
            )
        if label.joints is None:
            if self._faults.fatal or key in self._faults.pictures:
                return np.zeros((17, 3), np.float32)  # its annotation, or the file with it, is a fault already
            raise DataError("no joints for it; annotate it, or import with --joints detect")
        return self._usable(label.joints, decoded.width, decoded.height)

    def _usable(self, joints: F32, width: int, height: int) -> F32:
        """A copy without the joints outside of the picture; raises DataError where they cannot be meant for it."""
        there = joints[:, 2] > 0
        if not there.any():
            raise DataError(f"no joint of it is seen with a score of {self._threshold:g} or more")
        if np.ptp(joints[there, :2], axis=0).max() < SMALLEST_EXTENT:
            raise DataError("its joints span less than 2 px; write them in pixels, not as shares")
        beyond = there & ((joints[:, :2] < 0) | (joints[:, :2] > (width, height))).any(1)
        if beyond.sum() * 2 > there.sum():
            raise DataError("most of its joints lie outside of it; are they of a picture of another size?")
        self.outside += int(beyond.sum())
        return np.where(beyond[:, None], np.float32(0), joints)

    def _detected(self, decoded: Decoded, detector: Detector) -> F32:
        left, top, side = padding(decoded.width, decoded.height)
        shown = min(side, DETECTED_AT)
        found = detector.detect(on_white(fitted(decoded.rgba, shown))[None])
        joints = found.keypoints(shown, shown, self._threshold)[0]
        if not (joints[:, 2] > 0).any():
            raise DataError(f"no joint found by {detector.name}; annotate it, or lower --threshold")
        self._scores.append(float(found.scores.mean()))
        places = joints[:, :2] * np.float32(side / shown) - np.asarray([left, top], np.float32)
        return np.where(joints[:, 2:] > 0, np.column_stack([places, joints[:, 2]]), 0).astype(np.float32)
