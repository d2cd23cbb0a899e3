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

    Source: Fritsch and Butland, "A method for constructing local monotone piecewise cubic interpolants", SIAM Journal
    on Scientific and Statistical Computing 1984. Equal to SciPy's `PchipInterpolator`, whose import takes longer than
    the interpolation of hours of video.
    """
    if len(times_s) == 1:
        return np.repeat(values, len(at_s), axis=0)
    steps_s = np.diff(times_s)[:, None]
    slopes = np.diff(values, axis=0) / steps_s
    tangents = _monotone_tangents(steps_s, slopes)
    bend = (tangents[:-1] + tangents[1:] - 2 * slopes) / steps_s
    squared, cubed = (slopes - tangents[:-1]) / steps_s - bend, bend / steps_s
    piece = np.clip(np.searchsorted(times_s, at_s, side="right") - 1, 0, len(steps_s) - 1)
    x = (at_s - times_s[piece])[:, None]
    return np.asarray(values[piece] + tangents[piece] * x + squared[piece] * (x * x) + cubed[piece] * (x * x * x))


def _monotone_tangents(steps_s: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope of the curve at each of N known values, float64 [N, D].

    Args:
        steps_s: float64 [N - 1, 1], between the values.
        slopes: float64 [N - 1, D], of the straight lines between them.
    """
    if len(slopes) == 1:
        return np.repeat(slopes, 2, axis=0)
    before, after = slopes[:-1], slopes[1:]
    weight_before, weight_after = 2 * steps_s[1:] + steps_s[:-1], steps_s[1:] + 2 * steps_s[:-1]
    is_peak = before * after <= 0
    ones = np.ones_like(before)
    inverse = weight_before / np.where(is_peak, ones, before) + weight_after / np.where(is_peak, ones, after)
    inner = np.where(is_peak, 0.0, (weight_before + weight_after) / np.where(is_peak, ones, inverse))
    first = _end_tangent(steps_s[0], steps_s[1], slopes[0], slopes[1])
    last = _end_tangent(steps_s[-1], steps_s[-2], slopes[-1], slopes[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end_tangent(
    step_s: NDArray[np.float64],
    next_s: NDArray[np.float64],
    slope: NDArray[np.float64],
    next_slope: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the slope at one end, float64 [D]: of a parabola through three values, limited so that it is monotone."""
    tangent = ((2 * step_s + next_s) * slope - step_s * next_slope) / (step_s + next_s)
    turns_round = (np.sign(slope) != np.sign(next_slope)) & (np.abs(tangent) > 3 * np.abs(slope))
    return np.where(np.sign(tangent) != np.sign(slope), 0.0, np.where(turns_round, 3 * slope, tangent))
