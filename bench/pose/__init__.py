"""Joints of pictures that come without them: pose detectors behind one interface, and how far they can be trusted."""

from bench.pose.detector import DETECTORS, Detection, Detector, detector

__all__ = ["DETECTORS", "Detection", "Detector", "detector"]
