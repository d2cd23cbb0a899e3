"""A face's windows as a timeline: stretches of probabilities, runs of one emotion, rows of a CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfer.records import FacePrediction, Segment


@dataclass(frozen=True)
class Stretch:
    """Windows that follow each other, each shown for its share of the time.

    Attributes:
        edges: float64 [N + 1], seconds; window n counts from edges[n] to edges[n + 1].
        segments: the N windows.
    """

    edges: NDArray[np.float64]
    segments: list[Segment]

    def probabilities(self, labels: Sequence[str]) -> NDArray[np.float64]:
        """float64 [C, N] in the order of `labels`."""
        rows = [[segment.probabilities.get(label, 0.0) for label in labels] for segment in self.segments]
        return np.array(rows, np.float64).T


@dataclass(frozen=True)
class Run:
    """A stretch of time that one emotion wins, with its mean probability there."""

    start: float
    end: float
    label: str
    probability: float


def cut_stretches(face: FacePrediction) -> list[Stretch]:
    """The face's windows in order of time, parted where it was gone.

    Windows that overlap meet halfway. A gap longer than the usual step from window to window parts two stretches;
    a shorter one is shared between its neighbours.
    """
    segments = sorted(face.segments, key=lambda segment: (segment.start, segment.end))
    if not segments:
        return []
    starts = np.array([segment.start for segment in segments])
    ends = np.maximum.accumulate([segment.end for segment in segments])
    step = float(np.median(np.diff(starts))) if len(segments) > 1 else 0.0
    breaks = np.flatnonzero(starts[1:] - ends[:-1] > step + 1e-6) + 1
    stretches = []
    for places in np.split(np.arange(len(segments)), breaks):
        first, last = places[0], places[-1]
        between = (ends[first:last] + starts[first + 1 : last + 1]) / 2
        edges = np.maximum.accumulate([starts[first], *between, ends[last]])
        stretches.append(Stretch(edges, segments[first : last + 1]))
    return stretches


def emotion_runs(face: FacePrediction) -> list[Run]:
    """The winning emotions of a face in order of time, equal neighbours joined."""
    runs = []
    for stretch in cut_stretches(face):
        winners = [segment.label for segment in stretch.segments]
        changes = [n for n in range(1, len(winners)) if winners[n] != winners[n - 1]]
        for first, last in zip([0, *changes], [*changes, len(winners)], strict=True):
            label = winners[first]
            won = stretch.probabilities([label])[0, first:last]
            lengths = np.diff(stretch.edges[first : last + 1])
            mean = np.average(won, weights=lengths) if lengths.sum() > 0 else won.mean()
            runs.append(Run(float(stretch.edges[first]), float(stretch.edges[last]), label, float(mean)))
    return runs
