"""Temperature scaling: one number, fitted on validation logits, that makes a model's confidence match its accuracy.

Dividing the logits by it changes no prediction, only the confidence. A prior's shift is added afterwards; see
`dfer.model.priors`.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfer.errors import CheckpointError

# Logits that classify every validation clip correctly would give the temperature 0, and uninformative ones infinity.
TEMPERATURE_LIMITS = (0.05, 20.0)


def class_probabilities(
    logits: ArrayLike, temperature: float = 1.0, shift: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the softmax of logits / temperature + shift: the one place where logits become probabilities.

    Args:
        logits: float [N, C].
        temperature: above 0; a value above 1 lowers the confidence.
        shift: of a prior, float [C], see `dfer.model.priors`; -inf for a class that cannot occur. None for 0.

    Returns:
        float64 [N, C]; each row sums to 1.

    Raises:
        ValueError: the shape or the temperature is wrong.
        CheckpointError: a logit is NaN or infinite.
    """
    return np.exp(_log_probabilities(_logits(logits), temperature, shift))


def fit_temperature(logits: ArrayLike, labels: ArrayLike, shift: ArrayLike | None = None) -> float:
    """Return the temperature that minimises the negative log-likelihood, within `TEMPERATURE_LIMITS`.

    Args:
        logits: float [N, C], of clips that the model was neither trained nor will be tested on.
        labels: int [N].
        shift: as in `class_probabilities`; finite for all labels.

    Raises:
        ValueError: there are no clips, or the shapes are wrong.
    """
    from scipy.optimize import minimize_scalar  # slow to import, and prediction does not need it

    values, classes = _logits(logits), np.asarray(labels)
    if len(values) == 0 or classes.shape != values.shape[:1] or classes.dtype.kind not in "iu":
        raise ValueError(f"expected logits [N, C] and int labels [N], got {values.shape} and {classes.shape}")

    def loss(log_temperature: float) -> float:
        log_probabilities = _log_probabilities(values, float(np.exp(log_temperature)), shift)
        return -float(log_probabilities[np.arange(len(classes)), classes].mean())

    # The loss is convex in 1 / temperature, so it has one minimum, unless it is lowest at a limit.
    low, high = np.log(TEMPERATURE_LIMITS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(min((low, found.x, high), key=loss)))


def _log_probabilities(logits: NDArray[np.float64], temperature: float, shift: ArrayLike | None) -> NDArray[np.float64]:
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    scaled = logits / temperature + (0.0 if shift is None else np.asarray(shift, np.float64))
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def _logits(logits: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(logits, np.float64)
    if values.ndim != 2:
        raise ValueError(f"expected logits [N, C], got {list(values.shape)}")
    if not np.isfinite(values).all():
        raise CheckpointError("the model's output is NaN or infinite", hint="its checkpoint is damaged; use another")
    return values
