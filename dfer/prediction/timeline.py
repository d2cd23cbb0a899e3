"""A face's segments as steps of probabilities over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dfer.records import FacePrediction


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
