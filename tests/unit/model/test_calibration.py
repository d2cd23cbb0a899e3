"""Temperature scaling, on logits whose temperature is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.evaluation.metrics import expected_calibration_error
from dfer.model.calibration import TEMPERATURE_LIMITS, class_probabilities, fit_temperature


def _drawn(temperature: float, clips: int = 40_000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (clips, 5))
    chances = class_probabilities(logits, temperature)
    labels = (rng.random((clips, 1)) > chances.cumsum(1)).sum(1).clip(0, 4)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_and_calibrates(temperature: float) -> None:
    logits, labels = _drawn(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    assert fit_temperature(logits, labels) == found
    after = expected_calibration_error(class_probabilities(logits, found), labels)
    assert after < 0.01
    if temperature != 1.0:
        assert expected_calibration_error(class_probabilities(logits), labels) > 5 * after


def test_the_minimum_is_that_of_a_fine_grid() -> None:
    logits, labels = _drawn(1.7, clips=200)
    grid = np.exp(np.linspace(*np.log(TEMPERATURE_LIMITS), 4001))
    losses = [-np.log(class_probabilities(logits, t)[np.arange(200), labels]).mean() for t in grid]
    assert fit_temperature(logits, labels) == pytest.approx(grid[np.argmin(losses)], rel=2e-3)


@pytest.mark.parametrize(("label", "limit"), [(0, 0), (1, 1)], ids=["always right", "always wrong"])
def test_without_a_minimum_it_stays_within_the_limits(label: int, limit: int) -> None:
    logits = np.tile([3.0, 0.0], (10, 1))
    assert fit_temperature(logits, np.full(10, label)) == pytest.approx(TEMPERATURE_LIMITS[limit], rel=1e-6)


def test_probabilities_by_hand() -> None:
    logits = np.array([[0.0, np.log(4.0)]], np.float32)
    assert class_probabilities(logits) == pytest.approx(np.array([[0.2, 0.8]]))
    assert class_probabilities(logits, 2.0) == pytest.approx(np.array([[1 / 3, 2 / 3]]))
    assert class_probabilities(logits, 0.5) == pytest.approx(np.array([[1 / 17, 16 / 17]]))


def test_a_shift_is_added_after_the_temperature() -> None:
    logits, shift = np.array([[0.0, np.log(4.0)]]), np.log([0.9, 0.1])
    assert class_probabilities(logits, 2.0, shift) == pytest.approx(np.array([[9 / 11, 2 / 11]]))
    assert class_probabilities(logits, 2.0, [0.0, -np.inf]).tolist() == [[1, 0]]


def test_the_temperature_is_fitted_under_the_shift() -> None:
    shift = np.log([0.6, 0.1, 0.1, 0.1, 0.1])
    logits, _ = _drawn(1.0)
    chances = class_probabilities(logits, 1.8, shift)
    labels = (np.random.default_rng(1).random((len(logits), 1)) > chances.cumsum(1)).sum(1).clip(0, 4)
    assert fit_temperature(logits, labels, shift) == pytest.approx(1.8, rel=0.03)
    assert fit_temperature(logits, labels) != pytest.approx(1.8, rel=0.1)


def test_large_logits_do_not_overflow() -> None:
    assert class_probabilities([[1e5, 0.0], [-1e5, 0.0]], 0.05).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.inf, np.nan])
def test_a_temperature_must_be_a_positive_number(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be above 0"):
        class_probabilities([[1.0, 2.0]], temperature)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        pytest.param(np.zeros((0, 3)), np.zeros(0, int), id="no clips"),
        pytest.param(np.zeros((2, 3)), np.zeros(3, int), id="another number of labels"),
        pytest.param(np.zeros((2, 3)), np.zeros(2), id="labels that are no integers"),
        pytest.param(np.zeros(3), np.zeros(3, int), id="one axis"),
    ],
)
def test_wrong_shapes(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="expected logits"):
        fit_temperature(logits, labels)
