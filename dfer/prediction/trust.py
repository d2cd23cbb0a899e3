"""The trust in an answer: a confidence that knows how well the face is seen, and reasons to doubt.

Measured by `dfer.release.quality` on test stills that were made worse step by step, with the default weights. The table
is in docs/confidence.md.
"""

from __future__ import annotations

import math

from dfer.records import Quality

# Beyond these, less than four fifths of the accuracy on faces that are seen well is left: about 70 %.
MIN_SIZE = 13.0
MIN_SHARPNESS = 0.016
MIN_BRIGHTNESS = 0.08
MAX_YAW = 40.0
MIN_CONFIDENCE = 0.5  # an answer below it is more likely wrong than right

TOO_SMALL, TOO_BLURRED, TOO_DARK, TOO_TURNED, TOO_FLAT = (
    "too small",
    "too blurred",
    "too dark",
    "too turned",
    "no clear emotion",
)


# The logit of an answer's chance to be right: a constant, then weights of `confidence_features`.
CONFIDENCE = (0.148, 0.974, 0.0, -0.215, -0.848, -0.598)
# What a face loses counts below this size, sharpness and brightness, and above this yaw.
_FULL_SIZE, _FULL_SHARPNESS, _FULL_BRIGHTNESS, _FRONTAL_YAW = 48.0, 0.1, 0.2, 15.0
_LEAST = 1e-4


def calibrated_confidence(probability: float, quality: Quality | None) -> float:
    """Return the measured chance that an answer is right, 0..1.

    Args:
        probability: of the answer's label.
        quality: how well the face is seen.
    """
    constant, *weights = CONFIDENCE
    features = confidence_features(probability, quality)
    logit = constant + sum(weight * value for weight, value in zip(weights, features, strict=True))
    return 1 / (1 + math.exp(-logit))


def confidence_features(probability: float, quality: Quality | None) -> list[float]:
    """Return what an answer's chance to be right depends on: the logit of its probability, and four losses.

    The losses are of size, sharpness, brightness and yaw: 0 for a face that is seen well, or was not measured.
    """
    probability = min(max(probability, _LEAST), 1 - _LEAST)
    losses = [0.0] * 4
    if quality is not None:
        yaw = 0.0 if quality.yaw is None else abs(quality.yaw)
        losses = [
            _loss(quality.size, _FULL_SIZE),
            _loss(quality.sharpness, _FULL_SHARPNESS),
            _loss(quality.brightness, _FULL_BRIGHTNESS),
            max(0.0, yaw - _FRONTAL_YAW) / 30,
        ]
    return [math.log(probability / (1 - probability)), *losses]


def _loss(value: float | None, full: float) -> float:
    """Return by how many powers of e a measure is less than is needed."""
    return 0.0 if value is None else max(0.0, math.log(full / max(value, _LEAST)))


def doubts(quality: Quality | None, confidence: float) -> tuple[str, ...]:
    """Return why an answer should not be trusted; nothing if it may be."""
    found = [] if quality is None else [reason for reason, bad in _checks(quality) if bad]
    return tuple(found if found or confidence >= MIN_CONFIDENCE else [TOO_FLAT])


def _checks(quality: Quality) -> list[tuple[str, bool]]:
    return [
        (TOO_SMALL, quality.size < MIN_SIZE),
        (TOO_BLURRED, quality.sharpness is not None and quality.sharpness < MIN_SHARPNESS),
        (TOO_DARK, quality.brightness is not None and quality.brightness < MIN_BRIGHTNESS),
        (TOO_TURNED, quality.yaw is not None and abs(quality.yaw) > MAX_YAW),
    ]
