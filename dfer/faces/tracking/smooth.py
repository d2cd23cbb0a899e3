"""Smoothing and interpolation of detections over time, symmetric, so that nothing lags behind the face."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

# A parabola is fitted to each detection and two on either side: it follows a face that accelerates or turns, and
# halves the detector's jitter.
_NEIGHBOURS = 2
_DEGREE = 2


def smooth(frames: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each value by that of a parabola fitted to its neighbours in time (local regression).

    Args:
        frames: [N], ascending; need not be evenly spaced.
        values: float64 [N, D].

    Returns:
        float64 [N, D]. Fewer than five detections are returned unchanged.

    Source: Savitzky and Golay, "Smoothing and differentiation of data by simplified least squares procedures",
    Analytical Chemistry 1964; here with a tricube weight in time, for uneven spacing.
    """
    width = 2 * _NEIGHBOURS + 1
    if len(frames) < width:
        return values
    smoothed = np.empty_like(values)
    for n, frame in enumerate(frames):
        first = min(max(n - _NEIGHBOURS, 0), len(frames) - width)
        window = slice(first, first + width)
        offsets = (frames[window] - frame).astype(np.float64)
        reach = np.abs(offsets).max() * (1 + 1 / _NEIGHBOURS)
        weights = (1 - (np.abs(offsets) / reach) ** 3) ** 3
        powers = np.vander(offsets / reach, _DEGREE + 1, increasing=True)
        # The fitted value at offset 0 is the constant term.
        solution = np.linalg.lstsq(powers * np.sqrt(weights)[:, None], np.diag(np.sqrt(weights)), rcond=None)[0]
        smoothed[n] = solution[0] @ values[window]
    return smoothed


def interpolate(frames: NDArray[Any], values: NDArray[np.float64], at: NDArray[Any]) -> NDArray[np.float64]:
    """Interpolate by monotone cubics, which are smooth and never overshoot two neighbouring values.

    Args:
        frames: [N], ascending, where values are known.
        values: float64 [N, D].
        at: [M], the frames to interpolate at, between the first and last of `frames`.

    Returns:
        float64 [M, D].
    """
    if len(frames) == 1:
        return np.repeat(values, len(at), axis=0)
    return np.asarray(PchipInterpolator(frames, values, axis=0)(at))
