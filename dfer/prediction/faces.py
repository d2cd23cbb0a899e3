"""A face's answer, put together from those of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dfer.faces.quality import face_sizes, head_angles
from dfer.prediction.smoothing import smooth_probabilities
from dfer.prediction.trust import calibrated_confidence, doubts
from dfer.prediction.windows import Cell
from dfer.records import FacePrediction, FaceTrack, Quality, Segment
from dfer.records.timeline import main_doubts
from dfer.records.whole_face import answer_for_face

_SAME_S = 1e-6  # times that differ by less are equal


def predict_face(
    track: FaceTrack,
    cells: Sequence[Cell],
    probabilities: NDArray[np.float64],
    pictures: NDArray[np.float32],
    labels: Sequence[str],
    *,
    size_hw: tuple[int, int],
    smooth: bool,
) -> FacePrediction:
    """Put a face's answer together.

    Args:
        track: the face; its number is the answer's.
        cells: its N pieces of time, in order.
        probabilities: of each cell, float64 [N, C].
        pictures: sharpness and brightness in each of the track's frames, float32 [frames, 2]; NaN where not measured.
        labels: the C emotions.
        size_hw: height and width of the frames, pixels.
        smooth: smooth the timeline; the face's own answer is not smoothed.
    """
    lengths = np.array([cell.end - cell.start for cell in cells])
    shown = _smooth(track, cells, probabilities) if smooth else probabilities
    qualities = _qualities(track, cells, pictures)
    segments = [
        _segment(cell, row, quality, _box(track, cell, size_hw), labels)
        for cell, row, quality in zip(cells, shown, qualities, strict=True)
    ]
    sure = np.array([not segment.unsure for segment in segments])
    used = sure if sure.any() else ~sure
    whole = answer_for_face(probabilities[used], lengths[used], labels)
    confidences = np.array([segment.confidence for segment in segments])
    return FacePrediction(
        track.track_id,
        segments[0].start,
        segments[-1].end,
        *_name(whole, labels),
        segments=segments,
        confidence=float(np.average(confidences[used], weights=lengths[used])),
        reasons=main_doubts(zip(lengths.tolist(), segments, strict=True)),
    )


def _segment(
    cell: Cell,
    probabilities: NDArray[np.float64],
    quality: Quality,
    box: tuple[float, float, float, float],
    labels: Sequence[str],
) -> Segment:
    label, named = _name(probabilities, labels)
    confidence = calibrated_confidence(named[label], quality)
    return Segment(cell.start, cell.end, label, named, box, quality, confidence, doubts(quality, confidence))


def _name(probabilities: NDArray[np.float64], labels: Sequence[str]) -> tuple[str, dict[str, float]]:
    """Return the winning label, and the probability of each."""
    probabilities = probabilities / probabilities.sum()
    return labels[int(probabilities.argmax())], dict(zip(labels, probabilities.tolist(), strict=True))


def _box(track: FaceTrack, cell: Cell, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = size_hw
    # Detectors guess the part of a face that lies outside the frame.
    x1, y1, x2, y2 = np.clip(track.boxes_xyxy[cell.places].mean(0), 0, (width, height, width, height)).tolist()
    return x1, y1, x2, y2


def _smooth(track: FaceTrack, cells: Sequence[Cell], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth the answers within each stretch of time without a gap or a cut."""
    shots = track.shots if track.shots is not None else np.zeros(len(track.frames), np.int64)
    ends = [
        n
        for n, (one, two) in enumerate(pairwise(cells), 1)
        if two.start - one.end > _SAME_S or shots[one.places[0]] != shots[two.places[0]]
    ]
    smoothed = []
    for first, after in pairwise([0, *ends, len(cells)]):
        starts, stops = (np.array([cell[side] for cell in cells[first:after]], np.float64) for side in (0, 1))
        smoothed.append(smooth_probabilities(probabilities[first:after], starts, stops))
    return np.concatenate(smoothed)


def _qualities(track: FaceTrack, cells: Sequence[Cell], pictures: NDArray[np.float32]) -> list[Quality]:
    """Return how well the face is seen in each cell: medians over its frames."""
    sizes, angles = face_sizes(track.boxes_xyxy), head_angles(track.landmarks)
    scores = track.scores if track.scores is not None else np.full(len(sizes), track.score)
    qualities = []
    for cell in cells:
        at = slice(cell.places.start, cell.places.stop)
        seen = pictures[at]
        if np.isnan(seen).all():  # the model saw none of the cell's own frames
            seen = pictures[list(cell.window.sampled)]
        sharpness, brightness = (_median(seen[:, column]) for column in (0, 1))
        yaw, pitch, roll = (_median(angles[at, column]) for column in (0, 1, 2))
        qualities.append(
            Quality(
                size=float(np.median(sizes[at])),
                sharpness=sharpness,
                brightness=brightness,
                yaw=yaw,
                pitch=pitch,
                roll=roll,
                score=float(scores[at].mean()),
                detected=float(track.detected[at].mean()),
            )
        )
    return qualities


def _median(values: NDArray[np.floating]) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
