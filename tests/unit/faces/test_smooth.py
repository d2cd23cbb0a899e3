"""Smoothing and interpolation over time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from dfer.faces.tracking.smooth import interpolate, smooth


def test_keeps_parabolas() -> None:
    frames = np.array([0, 4, 8, 12, 13, 17, 21, 24])
    values = np.stack([frames * 2.0 - 3, 0.1 * frames**2], axis=1)
    assert smooth(frames, values) == pytest.approx(values)


def test_few_values_are_kept() -> None:
    values = np.array([[1.0], [5.0], [2.0], [9.0]])
    assert np.array_equal(smooth(np.arange(4), values), values)


def test_is_symmetric_in_time() -> None:
    values = np.random.default_rng(0).normal(size=(12, 3))
    frames = np.arange(0, 48, 4)
    assert smooth(frames, values)[::-1] == pytest.approx(smooth(frames, values[::-1]))


def test_interpolation_does_not_overshoot() -> None:
    values = np.array([[0.0], [0.0], [10.0], [10.0]])
    filled = interpolate(np.array([0, 4, 8, 12]), values, np.arange(13))
    assert filled[[0, 4, 8, 12]] == pytest.approx(values)
    assert filled.min() >= 0
    assert filled.max() <= 10
    assert np.all(np.diff(filled[:, 0]) >= 0)


@pytest.mark.parametrize("count", [2, 3, 4, 60])
def test_interpolation_is_that_of_scipy(count: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(20):
        times = np.cumsum(random.uniform(0.01, 0.3, count))
        values = random.normal(size=(count, 14)).round(1) * 100  # rounded: some neighbours are equal
        at = np.concatenate([times, random.uniform(times[0], times[-1], 50)])
        expected = PchipInterpolator(times, values, axis=0)(at)
        assert interpolate(times, values, at) == pytest.approx(expected, rel=1e-12, abs=1e-10)
