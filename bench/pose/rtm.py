"""RTMPose through the package `rtmlib`, where that and its files are here."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from bench.errors import WeightsMissing
from bench.pose.detector import U8, Detection

MODE = "balanced"  # a YOLOX detector trained on Human-Art and RTMPose-m


class RTMDetector:
    """rtmlib's `Body`: finds people, then joints; the person of the highest mean score is the character."""

    def __init__(self, body: Any, version: str) -> None:
        self._body = body
        self.name = f"rtmlib {version}, Body {MODE}"

    def detect(self, images: U8) -> Detection:
        """Joints of pictures on white, uint8 [N, H, W, 3]; score 0 where nobody is found."""
        places = np.zeros((len(images), 17, 2), np.float32)
        scores = np.zeros((len(images), 17), np.float32)
        for index, image in enumerate(images):
            people, certain = self._body(np.ascontiguousarray(image[..., ::-1]))  # it takes BGR
            certain = np.asarray(certain, np.float32).reshape(-1, 17)
            if len(certain):
                best = int(certain.mean(1).argmax())
                places[index] = np.asarray(people, np.float32).reshape(-1, 17, 2)[best]
                scores[index] = certain[best].clip(0, 1)
        return Detection(places, scores)


def load() -> RTMDetector:
    """The detector; raises WeightsMissing where the package or its files cannot be had."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        import rtmlib
    except ImportError as error:
        raise WeightsMissing(f"detector 'rtmlib': {error}; `pip install rtmlib`, or use --detector movenet") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports each file there; stdout belongs to the command
            body = rtmlib.Body(mode=MODE, backend="onnxruntime", device="cpu")
    except Exception as error:  # whatever its downloads and onnxruntime raise
        raise WeightsMissing(
            f"detector 'rtmlib': its files cannot be had ({type(error).__name__}: {error}); rtmlib fetches them on "
            "first use on a machine with internet, or use --detector movenet"
        ) from error
    try:
        installed = version("rtmlib")
    except PackageNotFoundError:
        installed = "of unknown version"
    return RTMDetector(body, installed)
