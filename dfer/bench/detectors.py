"""Detectors beside SCRFD at 640 pixels: faces found, other faces, distance of the landmarks, speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.faces.detectors import DETECTORS, Detector, build_detector
from dfer.faces.detectors.network import box_overlap
from dfer.faces.detectors.scrfd import ScrfdDetector
from dfer.records import Face
from dfer.runtime.device import describe_machine
from dfer.video import open_frames

SCHEMA = "dfer.bench.detectors/1"
# The reference's input. Faces that fill their image are found only at the smaller sizes, which come after it.
REFERENCE_SIDES = (640, 320, 224, 128)
SAME_FACE = 0.3  # intersection over union with the reference's box


@dataclass
class _Tally:
    """The measurements of one detector: seconds of each run, and for each face found the landmarks' errors [K, 2]."""

    whole_s: list[float] = field(default_factory=list)
    close_up_s: list[float] = field(default_factory=list)
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    extra: int = 0


def bench_detectors(
    sources: Sequence[Path],
    weights: Path,
    *,
    every: int = 4,
    detectors: Sequence[str] = tuple(DETECTORS),
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Run each detector over the same frames, on one thread.

    Args:
        sources: videos, frame folders or images, at least one.
        weights: SCRFD's .onnx file.
        every: distance between the frames, in frames.
        detectors: keys of `DETECTORS`; those for frames that are aligned already are left out.
        on_step: called with a line on what is measured next.

    Returns:
        `dfer.bench.detectors/1`: see `dfer.reports.prediction_benchmarks.detectors_bench_table` for its figures.

    Raises:
        DferError: a source cannot be read, or a detector cannot be loaded.
    """
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        reference = ScrfdDetector(weights, input_sides=REFERENCE_SIDES)
        built = [build_detector(name, weights) for name in detectors]
        tallies = {detector: _Tally() for detector in built if not detector.aligned_input}
        frames = faces = 0
        for source in sources:
            on_step(str(source))
            for frame in _iter_frames(source, every):
                expected = reference.detect(frame)
                frames, faces = frames + 1, faces + len(expected)
                for detector, tally in tallies.items():
                    _run(detector, frame, expected, tally)
    finally:
        cv2.setNumThreads(threads)
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "sources": len(sources),
        "frames": frames,
        "faces": faces,
        "detectors": [_summary(detector.name, tally, frames, faces) for detector, tally in tallies.items()],
    }


def _iter_frames(source: Path, every: int) -> Iterator[NDArray[np.uint8]]:
    opened, decoded = open_frames(source), False
    for _, frame in opened.iter_frames(range(0, opened.num_frames, every)):
        decoded = True
        yield frame
    if not decoded:
        raise VideoError("no frame can be decoded", where=source)


def _run(detector: Detector, frame: NDArray[np.uint8], expected: list[Face], tally: _Tally) -> None:
    begun = time.perf_counter()
    found = detector.detect(frame)
    tally.whole_s.append(time.perf_counter() - begun)
    left = list(range(len(found)))
    for face in expected:
        nearest = max(left, key=lambda n: _overlap(found[n], face), default=None)
        if nearest is None or _overlap(found[nearest], face) < SAME_FACE:
            continue
        left.remove(nearest)
        closer = found[nearest]
        if detector.uses_around:  # as `dfer.faces.tracking` does
            begun = time.perf_counter()
            around = detector.detect(frame, closer.box_xyxy.astype(np.float64))
            tally.close_up_s.append(time.perf_counter() - begun)
            closer = around[0] if around and _overlap(around[0], closer) >= SAME_FACE else closer
        tally.errors.append(_errors(closer, face))
    tally.extra += len(left)


def _overlap(one: Face, other: Face) -> float:
    return float(box_overlap(one.box_xyxy.astype(np.float64), other.box_xyxy.astype(np.float64)[None])[0])


def _errors(found: Face, expected: Face) -> NDArray[np.float64]:
    """Return the landmarks less the expected ones [K, 2], along and across the line of the eyes, in its lengths."""
    x, y = (expected.landmarks[1] - expected.landmarks[0]).astype(np.float64)
    difference = found.landmarks - expected.landmarks[: len(found.landmarks)]
    return np.asarray(difference @ np.array([[x, -y], [y, x]]) / (x**2 + y**2))


def _summary(name: str, tally: _Tally, frames: int, faces: int) -> dict[str, Any]:
    errors = np.array(tally.errors) if tally.errors else np.empty((0, 0, 2))
    distances = np.linalg.norm(errors, axis=2)
    some = bool(len(errors))
    return {
        "name": name,
        "recall": len(errors) / faces if faces else None,
        "extra_per_100_frames": 100 * tally.extra / frames,
        "points": errors.shape[1] if some else None,
        "eyes": float(distances[:, :2].mean()) if some else None,
        "landmarks": float(distances.mean()) if some else None,
        "without_offset": float(np.linalg.norm(errors - np.median(errors, axis=0), axis=2).mean()) if some else None,
        "frames_per_s": 1 / float(np.mean(tally.whole_s)),
        "close_ups_per_s": 1 / float(np.mean(tally.close_up_s)) if tally.close_up_s else None,
    }
