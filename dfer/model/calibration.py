"""Temperature scaling: one number, fitted on validation logits, that makes a model as sure as it is right.

Dividing logits by it changes no answer, only how sure it is. In numpy alone.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Logits that tell all validation clips apart would have the temperature 0, and such that say nothing an infinite one.
TEMPERATURE_LIMITS = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2
_STEPS = 40  # each leaves 0.62 of the interval


def class_probabilities(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """The softmax of logits at a temperature: the one place where logits become probabilities.

    Args:
        logits: float [N, C].
        temperature: above 0; above 1 makes a model less sure.

    Returns:
        float64 [N, C]; each row sums to 1.

    Raises:
        ValueError: the shape or the temperature is wrong.
    """
    return np.exp(_log_probabilities(_logits(logits), temperature))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature at which the labels are likeliest, within `TEMPERATURE_LIMITS`.

    The mean negative log-likelihood is convex in 1 / temperature, so that a golden-section search finds its minimum.

    Args:
        logits: float [N, C], of clips that the model was not trained on; never those that it is tested on.
        labels: int [N].

    Raises:
        ValueError: there are no clips, or the shapes are wrong.
    """
    values, classes = _logits(logits), np.asarray(labels)
    if len(values) == 0 or classes.shape != values.shape[:1] or classes.dtype.kind not in "iu":
        raise ValueError(f"expected logits [N, C] and int labels [N], got {values.shape} and {classes.shape}")
    places = np.arange(len(classes))

    def loss(log_temperature: float) -> float:
        return -float(_log_probabilities(values, float(np.exp(log_temperature)))[places, classes].mean())

    low, high = np.log(TEMPERATURE_LIMITS)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    for _ in range(_STEPS):
        if left_loss <= right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - _GOLDEN * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + _GOLDEN * (high - low)
            right_loss = loss(right)
    return float(np.exp((low + high) / 2))


def _log_probabilities(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    if not 0 < temperature < np.inf:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    scaled = logits / temperature
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def _logits(logits: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(logits, np.float64)
    if values.ndim != 2:
        raise ValueError(f"expected logits [N, C], got {list(values.shape)}")
    return values
