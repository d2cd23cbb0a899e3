"""A face's windows as a timeline: steps of probabilities, and runs that one emotion wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.faces.tracking.clock import MAX_GAP_S
from dfer.records import FacePrediction, Segment


class Run(NamedTuple):
    """A stretch of time that one emotion wins, seconds, with its mean probability there."""

    start: float
    end: float
    label: str
    probability: float


def cut_stretches(face: FacePrediction) -> list[tuple[NDArray[np.float64], list[Segment]]]:
    """Return the face's windows in order of time, split where the face was gone.

    Windows that overlap meet halfway. A gap longer than `MAX_GAP_S`, or than the usual step from window to window,
    splits the timeline; a shorter one is shared between its neighbours.

    Returns:
        Of each stretch the edges, float64 [N + 1], seconds, and its N windows: window n lasts from edges[n] to
        edges[n + 1].
    """
    segments = sorted(face.segments, key=lambda segment: (segment.start, segment.end))
    if not segments:
        return []
    starts = np.array([segment.start for segment in segments])
    ends = np.maximum.accumulate([segment.end for segment in segments])
    step = min(float(np.median(np.diff(starts))), MAX_GAP_S) if len(segments) > 1 else 0.0
    breaks = np.flatnonzero(starts[1:] - ends[:-1] > step + 1e-6) + 1
    stretches = []
    for places in np.split(np.arange(len(segments)), breaks):
        first, last = places[0], places[-1]
        between = (ends[first:last] + starts[first + 1 : last + 1]) / 2
        edges = np.maximum.accumulate([starts[first], *between, ends[last]])
        stretches.append((edges, segments[first : last + 1]))
    return stretches


def probability_steps(face: FacePrediction, labels: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the face's probabilities as steps over time.

    Args:
        face: with one window or more.
        labels: the C emotions, in the order of the rows.

    Returns:
        The steps' edges, float64 [N + 1], seconds, and probabilities, float64 [C, N]; zeros while the face was gone.
    """
    edges: list[float] = []
    columns: list[list[float]] = []
    for stretch_edges, segments in cut_stretches(face):
        if edges:
            columns.append([0.0] * len(labels))
        edges += stretch_edges.tolist()
        columns += [[segment.probabilities.get(label, 0.0) for label in labels] for segment in segments]
    return np.array(edges), np.array(columns).T


def emotion_runs(face: FacePrediction) -> list[Run]:
    """Return the winning emotions of a face in order of time, equal neighbours joined."""
    runs = []
    for edges, segments in cut_stretches(face):
        winners = [segment.label for segment in segments]
        changes = [n for n in range(1, len(winners)) if winners[n] != winners[n - 1]]
        for first, last in zip([0, *changes], [*changes, len(winners)], strict=True):
            label = winners[first]
            won = np.array([segment.probabilities.get(label, 0.0) for segment in segments[first:last]])
            lengths = np.diff(edges[first : last + 1])
            mean = np.average(won, weights=lengths) if lengths.sum() > 0 else won.mean()
            runs.append(Run(float(edges[first]), float(edges[last]), label, float(mean)))
    return runs
