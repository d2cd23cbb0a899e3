"""Intervals and tests for the figures of several runs on the same clips.

Shape letters: U units that are drawn (clips, or people with all their clips), M runs, C classes, R resamples, F
figures: WAR, UAR, macro-F1 and the recall of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEVEL = 0.95
_CHUNK = 500  # resamples at a time: of 8,000 clips, 32 MB of weights


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval, fractions; NaN where it is not defined."""

    value: float
    low: float
    high: float

    @property
    def bar(self) -> tuple[float, float, float]:
        """The figure and its limits."""
        return self.value, self.low, self.high

    def to_dict(self) -> dict[str, float | None]:
        """Return the JSON object; NaN is null."""
        return {name: None if np.isnan(number) else number for name, number in vars(self).items()}


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of two runs.

    Attributes:
        only_first: clips that only the first run got right.
        only_second: clips that only the second one got right.
        p: two-sided.
    """

    only_first: int
    only_second: int
    p: float


def unit_counts(truth: Integers, predicted: Integers, units: Integers, num_classes: int) -> Floats:
    """Count by unit and class the clips that are right, all clips, and those taken for the class.

    Args:
        truth: int [N].
        predicted: int [N]; a negative label counts as an error, and as no class.
        units: int [N], numbers from 0 up without a gap.
        num_classes: C.

    Returns:
        float64 [U, 3, C].
    """
    num_units = int(units.max(initial=-1)) + 1
    right, answered = truth == predicted, predicted >= 0

    def count(of: NDArray[np.bool_], labels: Integers) -> NDArray[np.intp]:
        places = units[of] * num_classes + labels[of]
        return np.bincount(places, minlength=num_units * num_classes).reshape(num_units, num_classes)

    every = np.ones(len(truth), bool)
    return np.stack([count(right, truth), count(every, truth), count(answered, predicted)], axis=1).astype(np.float64)


def figures(counts: Floats) -> Floats:
    """Return WAR, UAR, macro-F1 and recalls: [..., F] of counts [..., 3, C].

    UAR and macro-F1 are means over the classes that have clips; the recall of another class is NaN.
    """
    right, clips, taken = np.moveaxis(counts, -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = right / clips
        f1 = np.where(clips > 0, 2 * right / (clips + taken), np.nan)
        war = right.sum(-1, keepdims=True) / clips.sum(-1, keepdims=True)
    return np.concatenate([war, _mean(recalls), _mean(f1), recalls], axis=-1)


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(-1, keepdims=True) / known.sum(-1, keepdims=True))


def fold_mean(values: Sequence[Floats]) -> Floats:
    """Return the mean of the folds' figures, each over the folds in which it is defined."""
    return np.asarray(_mean(np.stack(values, axis=-1))[..., 0])


def bootstrap(folds: Sequence[Floats], *, resamples: int, seed: int = 0) -> Floats:
    """Return the figures of resampled test lists, the mean over the folds.

    Within each fold as many units are drawn as it has, with replacement, the same ones for every run, so that the
    differences between runs are paired.

    Args:
        folds: of each fold the counts of all runs, [M, U, 3, C]; M and C are the same everywhere.
        resamples: R.
        seed: of the draws.

    Returns:
        float64 [R, M, F].

    Source: B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    drawn = [_draw(counts, resamples, np.random.default_rng([seed, number])) for number, counts in enumerate(folds)]
    return fold_mean(drawn)


def _draw(counts: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    runs, units, _, classes = counts.shape
    flat = np.moveaxis(counts, 1, 0).reshape(units, -1)
    found = []
    for begin in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - begin)
        places = rng.integers(0, units, (size, units)) + units * np.arange(size)[:, None]
        weights = np.bincount(places.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)
        found.append(figures((weights @ flat).reshape(size, runs, 3, classes)))
    return np.concatenate(found)


def interval(value: float, samples: ArrayLike) -> Interval:
    """Return a figure with the percentile interval of its resamples; those in which it is not defined do not count."""
    known = np.asarray(samples, np.float64)
    known = known[~np.isnan(known)]
    if np.isnan(value) or not len(known):
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))


def bootstrap_p(differences: ArrayLike) -> float:
    """Return the two-sided p-value of a paired bootstrap: how often the resampled difference is on the other side of 0.

    Args:
        differences: float [R].

    Source: as `bootstrap`, chapter 15; with the observed sample counted as one of them, so that it is never 0.
    """
    values = np.asarray(differences)
    rarer = min((values <= 0).sum(), (values >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(values) + 1)))


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """Return McNemar's exact test of whether two runs are right equally often.

    Args:
        first_right: bool [N], by clip.
        second_right: bool [N].

    Source: Q. McNemar, Psychometrika 12, 1947; exact: the binomial test of the clips that only one run got right.
    """
    from scipy.stats import binomtest  # slow to import, and `dfer eval` does without

    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    differing = only_first + only_second
    p = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return McNemar(only_first, only_second, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for the number of tests, in the same order.

    Source: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics,
        1979.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return list(map(float, corrected))
