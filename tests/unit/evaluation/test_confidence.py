"""Reliability and risk over coverage, by hand and against the calibration error."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.evaluation.confidence import accuracy_at_coverage, reliability, risk_coverage
from dfer.evaluation.metrics import expected_calibration_error

PROBABILITIES = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.55, 0.45], [0.3, 0.7]]
LABELS = [0, 1, 1, 0, 0]  # by confidence: right, right, wrong, wrong, right


def test_risk_over_coverage_by_hand() -> None:
    coverage, risk = risk_coverage(PROBABILITIES, LABELS)
    assert coverage.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 4, 2 / 5])


@pytest.mark.parametrize(("coverage", "accuracy"), [(0.01, 1), (0.4, 1), (0.41, 2 / 3), (0.8, 0.5), (1.0, 0.6)])
def test_the_accuracy_of_the_most_confident(coverage: float, accuracy: float) -> None:
    assert accuracy_at_coverage(PROBABILITIES, LABELS, coverage) == pytest.approx(accuracy)


def test_reliability_is_that_of_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(4), 300), rng.integers(0, 4, 300)
    confidence, accuracy, clips = reliability(probabilities, labels)
    assert clips.sum() == 300
    assert np.array_equal(np.isnan(confidence), clips == 0)
    error = np.nansum(np.abs(confidence - accuracy) * clips) / 300
    assert error == pytest.approx(expected_calibration_error(probabilities, labels))
