"""Face detectors, by name. To add one, write a file beside these and give it a line in `DETECTORS`.

The detectors' own modules are imported when one is built: the command line reads only the names and help texts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dfer.errors import UsageError
from dfer.faces.detectors.protocol import Detector
from dfer.faces.detectors.weights import WeightsNotFoundError, find_detector_weights, require_detector_weights

__all__ = [
    "AUTO", "DETECTORS", "FALLBACK", "PREFERRED", "Detector", "DetectorEntry", "build_detector",
    "find_detector_weights", "require_detector_name", "resolve_detector",
]  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectorEntry:
    """A detector in the registry.

    Attributes:
        build: builds the detector for one thread, from its weight file where it needs one.
        help: one sentence for `--detector`, without its full stop.
        find_weights: the weight file, from the path that the user gave or None; None for a detector without weights.
    """

    build: Callable[[Path | None], Detector]
    help: str
    find_weights: Callable[[Path | None], Path] | None = None


def _build_scrfd(weights: Path | None) -> Detector:
    from dfer.faces.detectors.scrfd import ScrfdDetector

    return ScrfdDetector(require_detector_weights(weights))


def _build_haar(_weights: Path | None) -> Detector:
    from dfer.faces.detectors.haar import HaarDetector

    return HaarDetector()


def _build_none(_weights: Path | None) -> Detector:
    from dfer.faces.detectors.none import AlignedFrames

    return AlignedFrames()


DETECTORS = {
    "scrfd": DetectorEntry(
        _build_scrfd, "insightface's SCRFD, which finds five landmarks and needs weights", require_detector_weights
    ),
    "haar": DetectorEntry(
        _build_haar, "OpenCV's Haar cascade, which finds only the eyes and misses turned and small faces"
    ),
    "none": DetectorEntry(_build_none, "the frames are aligned face crops already"),
}
# "auto" is the preferred detector where its weights are found or can be downloaded, else the fallback.
AUTO, PREFERRED, FALLBACK = "auto", "scrfd", "haar"


def require_detector_name(name: str) -> str:
    """Return `name` if it is "auto" or a key of `DETECTORS`.

    Raises:
        UsageError: it is neither.
    """
    if name != AUTO and name not in DETECTORS:
        raise UsageError(f"unknown detector {name!r}", hint=f"known detectors: {', '.join((AUTO, *DETECTORS))}")
    return name


def build_detector(name: str, weights: Path | None = None) -> Detector:
    """Build a detector that runs on one thread.

    Args:
        name: a key of `DETECTORS`, or "auto", which logs a warning where it takes the fallback.
        weights: weight file or folder; else `$DFER_DETECTOR_WEIGHTS`, insightface's cache, and insightface's
            download are tried, in this order. Ignored by detectors without weights.

    Raises:
        UsageError: unknown name.
        DferError: weights were named and are missing or unusable, or a detector that needs weights has none.
    """
    name, file = _choose(name, weights)
    return DETECTORS[name].build(file)


def resolve_detector(name: str, weights: Path | None = None) -> tuple[str, Path | None]:
    """Decide which detector a name means on this machine, once, so that every worker builds the same one.

    Args:
        name: as for `build_detector`.
        weights: as for `build_detector`.

    Returns:
        A key of `DETECTORS`, and the weight file where that detector needs one.

    Raises:
        UsageError: unknown name.
        DferError: the detector cannot be built.
    """
    name, file = _choose(name, weights)
    DETECTORS[name].build(file)  # unusable weights fail here, before any output is written
    return name, file


def _choose(name: str, weights: Path | None) -> tuple[str, Path | None]:
    chosen = PREFERRED if require_detector_name(name) == AUTO else name
    find_weights = DETECTORS[chosen].find_weights
    try:
        return chosen, find_weights(weights) if find_weights else None
    except WeightsNotFoundError as error:
        if name != AUTO:
            raise
        _warn_of_fallback(error.what, error.hint or "")
        return FALLBACK, None


@cache
def _warn_of_fallback(reason: str, hint: str) -> None:
    """Warn once per process, not once per clip."""
    fallback = DETECTORS[FALLBACK].help
    logger.warning("%s. Falling back to %s: %s. To use %s, %s", reason, FALLBACK, fallback, PREFERRED, hint)
