"""Smoothing and interpolation of detections over time, symmetric, so that nothing lags behind the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A parabola is fitted to each detection and two on either side: it follows a face that accelerates or turns, and
# halves the detector's jitter.
_NEIGHBOURS = 2
_DEGREE = 2
# Over a longer time than this, no parabola describes how a face moves.
_MAX_SPAN_S = 1.0


def smooth(times_s: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each value by that of a parabola fitted to its neighbours in time (local regression).

    Args:
        times_s: float64 [N], seconds, ascending; need not be evenly spaced.
        values: float64 [N, D].

    Returns:
        float64 [N, D]. Fewer than five detections are returned unchanged, and so are those whose neighbours lie so far
        apart that they say nothing of its position.

    Source: Savitzky and Golay, "Smoothing and differentiation of data by simplified least squares procedures",
    Analytical Chemistry 1964; here with a tricube weight in time, for uneven spacing.
    """
    width = 2 * _NEIGHBOURS + 1
    if len(times_s) < width:
        return values
    smoothed = values.copy()
    for n, time_s in enumerate(times_s):
        first = min(max(n - _NEIGHBOURS, 0), len(times_s) - width)
        window = slice(first, first + width)
        offsets = times_s[window] - time_s
        if np.ptp(offsets) > _MAX_SPAN_S:
            continue
        reach = np.abs(offsets).max() * (1 + 1 / _NEIGHBOURS)
        weights = (1 - (np.abs(offsets) / reach) ** 3) ** 3
        powers = np.vander(offsets / reach, _DEGREE + 1, increasing=True)
        # The fitted value at offset 0 is the constant term.
        solution = np.linalg.lstsq(powers * np.sqrt(weights)[:, None], np.diag(np.sqrt(weights)), rcond=None)[0]
        smoothed[n] = solution[0] @ values[window]
    return smoothed


def interpolate(
    times_s: NDArray[np.float64], values: NDArray[np.float64], at_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate by monotone cubics, which are smooth and never overshoot two neighbouring values.

    Args:
        times_s: float64 [N], seconds, ascending, where values are known.
        values: float64 [N, D].
        at_s: float64 [M], the times to interpolate at, between the first and last of `times_s`.

    Returns:
        float64 [M, D].
    """
    if len(times_s) == 1:
        return np.repeat(values, len(at_s), axis=0)
    from scipy.interpolate import PchipInterpolator  # slow to import, and not needed before all faces are found

    return np.asarray(PchipInterpolator(times_s, values, axis=0)(at_s))
