"""Answers on a regular grid of time: every bin of a video, whether a face is seen in it or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import UsageError
from dfer.records.answers import Bin, FaceBin, FacePrediction, Quality, Segment
from dfer.records.timeline import main_doubts

MIN_BIN_S = 0.01
_SAME = 1e-6  # of a bin: times that differ by less are equal


def check_bin(seconds: float | None) -> None:
    """Refuse a length that no bin can have.

    Raises:
        UsageError: it is not a number, or shorter than `MIN_BIN_S`.
    """
    if seconds is not None and not MIN_BIN_S <= seconds < math.inf:
        raise UsageError(f"a bin must be at least {MIN_BIN_S} seconds, not {seconds}", where="--bin")


def stride_within(bin_s: float, usual_s: float) -> float:
    """Return the length of segments that fill a bin exactly: the longest that is no longer than usual, seconds."""
    return bin_s / math.ceil(bin_s / usual_s - _SAME)


def cut_bins(faces: Sequence[FacePrediction], *, bin_s: float, end_s: float) -> list[Bin]:
    """Answer for each bin of a regular grid from 0 s.

    Args:
        faces: of one video.
        bin_s: seconds of a bin.
        end_s: where the grid ends at the earliest: the end of the video.

    Returns:
        All bins up to the end of the video, at least one, and of the last face. In each, a face's probabilities are
        the mean of its segments there, weighted by the time that each has in the bin.
    """
    end_s = max([end_s, *(face.end for face in faces)])
    count = max(1, math.ceil(end_s / bin_s - _SAME))
    columns = [face_bins(face, bin_s, count) for face in faces]
    seen_s = np.zeros(count)
    for start, end in _union(span for face in faces for span in face.spans):
        for place, overlap_s in _overlaps(start, end, bin_s):
            seen_s[place] += overlap_s
    return [
        Bin(place * bin_s, (place + 1) * bin_s, float(seen_s[place]), [column[place] for column in columns])
        for place in range(count)
    ]


def face_bins(face: FacePrediction, bin_s: float, count: int) -> list[FaceBin]:
    """Answer for one face in each of `count` bins of `bin_s` seconds from 0 s."""
    parts: list[list[tuple[float, Segment]]] = [[] for _ in range(count)]
    for segment in face.segments:
        for place, overlap_s in _overlaps(segment.start, segment.end, bin_s):
            parts[place].append((overlap_s, segment))
    return [_face_bin(face.id, part) for part in parts]


def _face_bin(number: int, parts: Sequence[tuple[float, Segment]]) -> FaceBin:
    if not parts:
        return FaceBin(number, 0.0)
    weights = np.array([overlap_s for overlap_s, _ in parts])
    segments = [segment for _, segment in parts]
    labels = list(segments[0].probabilities)
    means = _means(weights, [[segment.probabilities[label] for label in labels] for segment in segments])
    probabilities = dict(zip(labels, (means / means.sum()).tolist(), strict=True))
    x1, y1, x2, y2 = _means(weights, [segment.box for segment in segments]).tolist()
    return FaceBin(
        number,
        float(weights.sum()),
        labels[int(means.argmax())],
        probabilities,
        (x1, y1, x2, y2),
        _mean_quality(weights, [segment.quality for segment in segments]),
        float(np.average([segment.confidence for segment in segments], weights=weights)),
        main_doubts(parts),
    )


def _mean_quality(weights: NDArray[np.float64], qualities: Sequence[Quality | None]) -> Quality | None:
    """Return the weighted means of what is known."""
    known = [(weight, quality) for weight, quality in zip(weights, qualities, strict=True) if quality is not None]
    if not known:
        return None
    means: dict[str, Any] = {}
    for field in fields(Quality):
        values = [(weight, getattr(quality, field.name)) for weight, quality in known]
        values = [(weight, value) for weight, value in values if value is not None]
        means[field.name] = sum(w * v for w, v in values) / sum(w for w, _ in values) if values else None
    return Quality(**means)


def _means(weights: NDArray[np.float64], rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.asarray(np.average(np.array(rows), axis=0, weights=weights))


def _overlaps(start: float, end: float, bin_s: float) -> Iterator[tuple[int, float]]:
    """Yield the bins that a stretch of time reaches into, each with the seconds that they share."""
    first, after = math.floor(start / bin_s + _SAME), math.ceil(end / bin_s - _SAME)
    for place in range(first, after):
        yield place, min(end, (place + 1) * bin_s) - max(start, place * bin_s)


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return stretches of time with those that overlap joined."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
