"""A light smoothing of a face's timeline, symmetric in time, which stops flicker without lag."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIGMA_S = 0.3  # docs/protocol.md says what it does to the shipped clips
_REACH = 3.0  # beyond this number of standard deviations, a weight is taken for 0


def smooth_probabilities(
    probabilities: NDArray[np.float64], starts_s: NDArray[np.float64], ends_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average the answers of a stretch of time with those before and after, weighted by a Gaussian of their distance.

    Args:
        probabilities: float64 [N, C], of successive segments between which the face is not gone.
        starts_s: when each begins, seconds, float64 [N], ascending.
        ends_s: when each ends, seconds, float64 [N].

    Returns:
        float64 [N, C]. The weights are also proportional to the lengths of the segments, and symmetric in time.
    """
    middles, lengths = (starts_s + ends_s) / 2, ends_s - starts_s
    reach_s = _REACH * SIGMA_S + 1e-6  # whatever rounding does, as far back as ahead
    first, after = np.searchsorted(middles, middles - reach_s), np.searchsorted(middles, middles + reach_s)
    smoothed = np.empty_like(probabilities)
    for n, (low, high) in enumerate(zip(first, after, strict=True)):
        weights = lengths[low:high] * np.exp(-0.5 * ((middles[low:high] - middles[n]) / SIGMA_S) ** 2)
        smoothed[n] = weights @ probabilities[low:high] / weights.sum()
    return smoothed
