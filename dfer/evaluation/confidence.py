"""The worth of a model's confidence: accuracy by confidence, and without the least confident answers.

Shape letters: N clips, C classes, B bins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfer.evaluation.metrics import confidence_and_right, confidence_bins

Floats = NDArray[np.float64]


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, bins: int = 15
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return mean confidence and accuracy of the clips in each bin of confidence, as in the calibration error.

    Args:
        probabilities: float [N, C], each row summing to 1.
        labels: int [N].
        bins: B, of equal width between 0 and 1; a bin holds its upper edge.

    Returns:
        Mean confidence and accuracy, float64 [B], NaN for an empty bin, and the number of clips, int64 [B].
    """
    confidence, right = confidence_and_right(probabilities, labels)
    place = confidence_bins(confidence, bins)
    clips = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means, accuracies = (np.bincount(place, values, minlength=bins) / clips for values in (confidence, right))
    return means, accuracies, clips


def risk_coverage(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Return the share of wrong answers among the most confident ones, for every share of clips that is answered.

    Args:
        probabilities: float [N, C], each row summing to 1.
        labels: int [N], N at least 1.

    Returns:
        Coverage, ascending to 1, and risk, float64 [N] each. Clips of equal confidence are taken in their order.

    Source: Y. Geifman and R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
    """
    confidence, right = confidence_and_right(probabilities, labels)
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    return answered / len(order), np.cumsum(~right[order]) / answered


def accuracy_at_coverage(probabilities: ArrayLike, labels: ArrayLike, coverage: float) -> float:
    """Return the accuracy on the most confident share of the clips, rounded up to whole clips.

    Args:
        probabilities: float [N, C], each row summing to 1.
        labels: int [N], N at least 1.
        coverage: the share that is answered, above 0 and at most 1.
    """
    _, risk = risk_coverage(probabilities, labels)
    return 1 - float(risk[int(np.ceil(coverage * len(risk) - 1e-9)) - 1])
