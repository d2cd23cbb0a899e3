"""A face's segments as a timeline: steps of probabilities, runs that one emotion wins, and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.records import FacePrediction


class Run(NamedTuple):
    """A stretch of time that one emotion wins, seconds, with its mean probability there."""

    start: float
    end: float
    label: str
    probability: float


def probability_steps(face: FacePrediction, labels: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the face's probabilities as steps over time.

    Args:
        face: with one segment or more.
        labels: the C emotions, in the order of the rows.

    Returns:
        The steps' edges, float64 [N + 1], seconds, and probabilities, float64 [C, N]; zeros while the face is gone.
    """
    edges: list[float] = []
    columns: list[list[float]] = []
    for segments in face.stretches:
        if edges:
            columns.append([0.0] * len(labels))
        edges += [*(segment.start for segment in segments), segments[-1].end]
        columns += [[segment.probabilities.get(label, 0.0) for label in labels] for segment in segments]
    return np.array(edges), np.array(columns).T


def emotion_runs(face: FacePrediction) -> list[Run]:
    """Return the winning emotions of a face in order of time, equal neighbours joined."""
    runs = []
    for stretch in face.stretches:
        for label, group in groupby(stretch, key=lambda segment: segment.label):
            segments = list(group)
            won = np.array([segment.probabilities.get(label, 0.0) for segment in segments])
            lengths = np.array([segment.end - segment.start for segment in segments])
            mean = np.average(won, weights=lengths) if lengths.sum() > 0 else won.mean()
            runs.append(Run(segments[0].start, segments[-1].end, label, float(mean)))
    return runs


def gaps(face: FacePrediction) -> list[tuple[float, float]]:
    """Return the stretches of time between its spans, in which the face is gone: start and end, seconds."""
    return [(end, start) for (_, end), (start, _) in pairwise(face.spans)]
