"""Face detectors: SCRFD through insightface, and OpenCV's Haar cascades where its weights are not to be had."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError, UsageError
from dfer.faces.detectors.haar import HaarDetector
from dfer.faces.detectors.scrfd import ScrfdDetector
from dfer.faces.detectors.weights import WEIGHTS_HINT, download_detector_weights, find_detector_weights
from dfer.records import Face

__all__ = ["KINDS", "CloseUpDetector", "Detector", "build_detector", "find_detector_weights"]

KINDS = ("auto", "scrfd", "haar")

logger = logging.getLogger(__name__)


class Detector(Protocol):
    """What finds faces in a frame.

    Attributes:
        name: "scrfd" or "haar", as it is noted with the crops.
    """

    name: str

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """All faces of an RGB uint8 [H, W, 3] frame, the most prominent (score x area) first."""
        ...


@runtime_checkable
class CloseUpDetector(Protocol):
    """A detector that can also look closely around a face that it knows: cheaper, and more exact."""

    name: str

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """As `Detector.detect`."""
        ...

    def detect_around(self, frame_rgb: NDArray[np.uint8], box_xyxy: NDArray[np.float64]) -> Face | None:
        """The face nearest to where `box_xyxy` [4] lies, or None."""
        ...


def build_detector(kind: str, weights: Path | None = None) -> Detector:
    """A detector, ready to run on one thread.

    Args:
        kind: "scrfd", "haar", or "auto": SCRFD where its weights are found or can be downloaded, else Haar, which
            is logged as a warning.
        weights: SCRFD's .onnx file or its folder; else `$DFER_DETECTOR_WEIGHTS`, insightface's cache, and
            insightface's download are tried, in this order.

    Raises:
        UsageError: unknown kind.
        DferError: weights were named and are missing or cannot be used, or "scrfd" and there are none.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown detector {kind!r}", hint=f"one of {', '.join(KINDS)}")
    if kind == "haar":
        return HaarDetector()
    found = find_detector_weights(weights)
    if found is None:
        found, reason = download_detector_weights()
        if found is None:
            if kind == "scrfd":
                raise DferError(f"no weights for the SCRFD detector: {reason}", hint=WEIGHTS_HINT)
            _warn_of_haar(reason)
            return HaarDetector()
    return ScrfdDetector(found)


@cache
def _warn_of_haar(reason: str) -> None:
    """Logged once: with many clips, the same line for each would hide all others."""
    logger.warning(
        "no weights for the SCRFD detector (%s): falling back to OpenCV's Haar cascade, which misses turned and "
        "small faces and finds the eyes alone. %s",
        reason,
        WEIGHTS_HINT,
    )
