"""A face's segments as a timeline: runs that one emotion wins, unsure time, and gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from dfer.records.answers import FacePrediction, Segment


class Run(NamedTuple):
    """A stretch of time that one emotion wins, or that is unsure.

    Attributes:
        start: seconds.
        end: seconds.
        label: the emotion; of unsure time the likeliest.
        probability: its mean.
        reasons: why the answers should not be trusted, the one that holds for longest first; empty if they may be.
    """

    start: float
    end: float
    label: str
    probability: float
    reasons: tuple[str, ...] = ()


def emotion_runs(face: FacePrediction) -> list[Run]:
    """Return the winning emotions of a face in order of time, equal neighbours joined, and so is unsure time."""
    return [
        _run(list(group))
        for stretch in face.stretches
        for _, group in groupby(stretch, key=lambda segment: None if segment.unsure else segment.label)
    ]


def _run(segments: Sequence[Segment]) -> Run:
    parts = [(segment.end - segment.start, segment) for segment in segments]
    total = sum(seconds for seconds, _ in parts)
    sums: dict[str, float] = {}
    for seconds, segment in parts:
        for label, probability in segment.probabilities.items():
            sums[label] = sums.get(label, 0.0) + probability * (seconds / total if total else 1 / len(parts))
    label = max(sums, key=lambda name: sums[name]) if segments[0].unsure else segments[0].label
    return Run(segments[0].start, segments[-1].end, label, sums.get(label, 0.0), main_doubts(parts))


def gaps(face: FacePrediction) -> list[tuple[float, float]]:
    """Return the stretches of time between its spans, in which the face is gone: start and end, seconds."""
    return [(end, start) for (_, end), (start, _) in pairwise(face.spans)]


def main_doubts(parts: Iterable[tuple[float, Segment]]) -> tuple[str, ...]:
    """Return the reasons that hold for a stretch of time of which most is unsure, the longest first.

    Args:
        parts: its segments, each with its seconds.
    """
    total = unsure = 0.0
    lengths: dict[str, float] = {}
    for seconds, segment in parts:
        total += seconds
        unsure += seconds * segment.unsure
        for reason in segment.reasons:
            lengths[reason] = lengths.get(reason, 0.0) + seconds
    if 0 < total >= 2 * unsure:
        return ()
    return tuple(sorted(lengths, key=lambda reason: -lengths[reason]))
