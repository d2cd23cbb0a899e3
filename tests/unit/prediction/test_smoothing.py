"""The smoothing of a face's timeline."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.prediction.smoothing import smooth_probabilities


def smoothed(first: list[float], stride_s: float) -> NDArray[np.float64]:
    """The first of two classes after smoothing."""
    starts = np.arange(len(first)) * stride_s
    given = np.stack([first, 1 - np.array(first)], axis=1)
    found = smooth_probabilities(given, starts, starts + stride_s)
    assert found.sum(axis=1) == pytest.approx(1)
    return found[:, 0]


@pytest.mark.parametrize("stride_s", [0.05, 0.2, 0.67, 5.0])
def test_an_even_timeline_stays_as_it_is(stride_s: float) -> None:
    assert smoothed([0.7] * 20, stride_s) == pytest.approx(0.7)


@pytest.mark.parametrize("stride_s", [0.05, 0.1, 0.2])
def test_a_moment_of_another_answer_goes(stride_s: float) -> None:
    values = [0.9] * 9 + [0.2] + [0.9] * 9
    assert smoothed(values, stride_s).min() > 0.5


@pytest.mark.parametrize("stride_s", [0.05, 0.1, 0.3, 0.67])
def test_a_change_stays_where_it_is(stride_s: float) -> None:
    found = smoothed([0.9] * 12 + [0.1] * 12, stride_s)
    assert (found > 0.5).tolist() == [True] * 12 + [False] * 12


def test_time_has_no_direction() -> None:
    values = np.random.default_rng(0).uniform(size=30)
    assert smoothed(values.tolist(), 0.1) == pytest.approx(smoothed(values[::-1].tolist(), 0.1)[::-1])


def test_segments_far_apart_do_not_touch() -> None:
    assert smoothed([0.9, 0.1, 0.9], 1.5) == pytest.approx([0.9, 0.1, 0.9], abs=1e-4)


def test_a_short_segment_counts_for_its_length() -> None:
    given = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = smooth_probabilities(given, np.array([0.0, 0.4]), np.array([0.4, 0.41]))
    assert found[1, 0] > 0.9
    assert found[0, 0] > 0.98
