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
from dfer.faces.detectors.weights import (
    download_detector_weights,
    find_detector_weights,
    require_detector_weights,
)
from dfer.registry import Registry

__all__ = [
    "AUTO", "DETECTORS", "FALLBACK", "PREFERRED", "Detector", "DetectorEntry", "build_detector",
    "choose_detector", "download_weights", "find_detector_weights", "require_detector_name", "resolve_detector",
]  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetectorEntry:
    """A detector in the registry.

    Attributes:
        build: builds the detector for one thread, from its weight file where it needs one.
        help: one sentence for `--detector`, without its full stop.
        find_weights: the weight file, from the path that the user gave or None; None for a detector that needs none
            but its own.
        download: fetches the weights for `dfer doctor --get`; None where there is nothing to fetch.
    """

    build: Callable[[Path | None], Detector]
    help: str
    find_weights: Callable[[Path | None], Path] | None = None
    download: Callable[[], Path] | None = None


def _build_scrfd(weights: Path | None) -> Detector:
    from dfer.faces.detectors.scrfd import ScrfdDetector

    return ScrfdDetector(require_detector_weights(weights))


def _build_centerface(_weights: Path | None) -> Detector:
    from dfer.faces.detectors.centerface import CenterFaceDetector

    return CenterFaceDetector()


def _build_haar(_weights: Path | None) -> Detector:
    from dfer.faces.detectors.haar import HaarDetector

    return HaarDetector()


def _build_none(_weights: Path | None) -> Detector:
    from dfer.faces.detectors.none import AlignedFrames

    return AlignedFrames()


DETECTORS = Registry(
    "detector",
    DetectorEntry,
    {
        "scrfd": DetectorEntry(
            _build_scrfd,
            "insightface's SCRFD, which finds five landmarks and needs weights",
            require_detector_weights,
            download_detector_weights,
        ),
        "centerface": DetectorEntry(
            _build_centerface, "CenterFace, which finds five landmarks and whose weights are installed with dfer"
        ),
        "haar": DetectorEntry(
            _build_haar, "OpenCV's Haar cascades, which find only the eyes and miss many small or turned faces"
        ),
        "none": DetectorEntry(_build_none, "the frames are aligned face crops already"),
    },
)
# "auto" is the preferred detector where its weights are found on this machine, else the fallback.
AUTO, PREFERRED, FALLBACK = "auto", "scrfd", "centerface"


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
        name: a key of `DETECTORS`, or "auto", which logs which one it takes.
        weights: weight file or folder; else `$DFER_DETECTOR_WEIGHTS` and insightface's cache are searched, in this
            order. Ignored by detectors that need none.

    Raises:
        UsageError: unknown name.
        DferError: weights are missing or unusable.
    """
    name, file = choose_detector(name, weights)
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
    name, file = choose_detector(name, weights)
    DETECTORS[name].build(file)  # unusable weights fail here, before any output is written
    return name, file


def download_weights(name: str) -> Path:
    """Download the weights of a detector.

    Returns:
        The file.

    Raises:
        UsageError: the detector has none that can be downloaded.
        DferError: the download failed.
    """
    download = DETECTORS[name].download if name in DETECTORS else None
    if download is None:
        known = ", ".join(key for key, entry in DETECTORS.items() if entry.download)
        raise UsageError(f"no weights to download for {name!r}", where="--get", hint=f"there are some for: {known}")
    return download()


def choose_detector(name: str, weights: Path | None = None) -> tuple[str, Path | None]:
    """Return what `resolve_detector` does, without building the detector."""
    if require_detector_name(name) != AUTO:
        find_weights = DETECTORS[name].find_weights
        return name, find_weights(weights) if find_weights else None
    found = find_detector_weights(weights)
    chosen = FALLBACK if found is None else PREFERRED
    _say_choice(chosen, found)
    return chosen, found


@cache
def _say_choice(chosen: str, weights: Path | None) -> None:
    """Log what "auto" means, once per process and not once per clip."""
    logger.info("face detector: %s (%s)", chosen, weights or f"no weights for {PREFERRED}")
