"""From windows to one answer for a face. In the mean over time, a short expression drowns in the neutral rest.

Each rule takes the windows' probabilities, how long each lasts and how expressive each is, and returns one
distribution. `dfer.release.clip_answers` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# (probabilities [N, C], seconds [N], intensities [N] in 0..1) -> probabilities [C]
AnswerRule = Callable[[Floats, Floats, Floats], Floats]

NEUTRAL = "neutral"


def intensities(probabilities: Floats, labels: Sequence[str]) -> Floats:
    """Return how expressive each window is, float64 [N]: 1 - its probability of neutral; without that label, 1."""
    if NEUTRAL not in labels:
        return np.ones(len(probabilities))
    return np.asarray(1.0 - probabilities[:, list(labels).index(NEUTRAL)])


def certainties(probabilities: Floats) -> Floats:
    """Return 1 - the entropy of each window, relative to the largest possible, float64 [N]."""
    logs = np.log(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
    return np.asarray(1.0 + (probabilities * logs).sum(axis=1) / np.log(probabilities.shape[1]))


def intensity_answer(power: float) -> AnswerRule:
    """Return a rule: the mean over time, each moment weighted by its intensity to a power; 0 for no weights."""
    return lambda probabilities, seconds, intensity: _mean(probabilities, seconds * intensity**power)


def certainty_answer(power: float) -> AnswerRule:
    """Return a rule: the mean over time, each moment weighted by its certainty to a power."""
    return lambda probabilities, seconds, _: _mean(probabilities, seconds * certainties(probabilities) ** power)


def peak_answer(share: float) -> AnswerRule:
    """Return a rule: the mean over the share of the time that is most expressive; at least one window counts."""

    def answer(probabilities: Floats, seconds: Floats, intensity: Floats) -> Floats:
        order = np.argsort(-intensity, kind="stable")
        before = np.concatenate([[0.0], np.cumsum(seconds[order])[:-1]])
        taken = np.clip(share * seconds.sum() - before, 0.0, seconds[order])
        return _mean(probabilities[order], taken if taken.any() else np.eye(1, len(order))[0])

    return answer


def _mean(probabilities: Floats, weights: Floats) -> Floats:
    weights = (
        weights if weights.sum() > 0 else np.ones(len(weights))
    )  # all windows are sure of neutral, or of no length
    total = weights @ probabilities
    return np.asarray(total / total.sum())


CHOSEN_POWER = 0.5  # docs/model.md says why
RULES: dict[str, AnswerRule] = {
    "mean over time": intensity_answer(0.0),
    "intensity, power 0.5": intensity_answer(CHOSEN_POWER),
    "intensity": intensity_answer(1.0),
    "intensity, power 2": intensity_answer(2.0),
    "certainty": certainty_answer(1.0),
    "most expressive half": peak_answer(0.5),
    "most expressive quarter": peak_answer(0.25),
}
CHOSEN = "intensity, power 0.5"


def answer_weights(probabilities: Floats, seconds: Floats, labels: Sequence[str]) -> Floats:
    """Return what each window counts in the answer of its face by the chosen rule, float64 [N].

    Args:
        probabilities: float64 [N, C].
        seconds: how long each window lasts, float64 [N].
        labels: the C emotions.
    """
    return np.asarray(seconds * intensities(probabilities, labels) ** CHOSEN_POWER)


def answer_for_face(probabilities: Floats, seconds: Floats, labels: Sequence[str], *, rule: str = CHOSEN) -> Floats:
    """Return the probabilities of a whole face, float64 [C], from those of its windows.

    Args:
        probabilities: float64 [N, C], N at least 1.
        seconds: how long each window lasts, float64 [N].
        labels: the C emotions; without "neutral" all windows count as equally expressive.
        rule: a key of `RULES`.
    """
    return RULES[rule](probabilities, seconds, intensities(probabilities, labels))
