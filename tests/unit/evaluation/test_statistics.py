"""Intervals and tests, against scipy, against figures of statsmodels and scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dfer.evaluation.metrics import confusion_matrix, per_class_recall, uar, war
from dfer.evaluation.statistics import (
    Floats,
    bootstrap,
    bootstrap_p,
    figures,
    fold_mean,
    holm,
    interval,
    mcnemar,
    unit_counts,
)

CLASSES = 4


def answers(seed: int, clips: int = 90, right: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, clips)
    return truth, np.where(rng.random(clips) < right, truth, rng.integers(0, CLASSES, clips))


def counts_of(truth: np.ndarray, *predicted: np.ndarray) -> Floats:
    units = np.arange(len(truth))
    return np.stack([unit_counts(truth, of, units, CLASSES) for of in predicted])


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_metrics(seed: int) -> None:
    truth, predicted = answers(seed)
    predicted[:5] = -1
    (found,) = figures(counts_of(truth, predicted).sum(axis=1))
    read = predicted >= 0
    confusion = confusion_matrix(truth[read], predicted[read], CLASSES)
    unread = np.bincount(truth[~read], minlength=CLASSES)
    assert found[0] == pytest.approx(war(confusion, unread))
    assert found[1] == pytest.approx(uar(confusion, unread))
    assert found[3:] == pytest.approx(per_class_recall(confusion, unread))


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [  # sklearn.metrics.f1_score(truth, predicted, average="macro"), scikit-learn 1.9.1
        ([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], 0.26666666666666666),
        ([0, 0, 1, 1, 2, 2, 3, 3, 3], [0, 1, 1, 1, 2, 0, 3, 3, 2], 0.65),
        ([0, 1, 1, 2, 3], [0, 1, 1, 2, 3], 1.0),
    ],
)
def test_macro_f1_is_that_of_scikit_learn(truth: list[int], predicted: list[int], expected: float) -> None:
    assert figures(counts_of(np.array(truth), np.array(predicted)).sum(axis=1))[0, 2] == pytest.approx(expected)


def test_classes_without_clips_count_in_no_mean() -> None:
    found = figures(counts_of(np.array([0, 0, 2]), np.array([0, 1, 2])).sum(axis=1))[0]
    assert found[:3] == pytest.approx([2 / 3, (1 / 2 + 1) / 2, (2 / 3 + 1) / 2])
    assert found[3:] == pytest.approx([1 / 2, np.nan, 1, np.nan], nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_scipy_s(seed: int) -> None:
    truth, predicted = answers(seed, clips=150)
    samples = bootstrap([counts_of(truth, predicted)], resamples=9_999, seed=seed)[:, 0]

    def statistic(rows: np.ndarray) -> float:
        return uar(confusion_matrix(truth[rows], predicted[rows], CLASSES))

    right = (truth == predicted).astype(float)
    expected = stats.bootstrap((right,), np.mean, n_resamples=9_999, method="percentile", rng=seed, vectorized=True)
    found = interval(right.mean(), samples[:, 0])
    assert [found.low, found.high] == pytest.approx(list(expected.confidence_interval), abs=0.007)
    rows = (np.arange(150),)
    expected = stats.bootstrap(rows, statistic, n_resamples=999, method="percentile", rng=seed, vectorized=False)
    found = interval(statistic(np.arange(150)), samples[:, 1])
    assert [found.low, found.high] == pytest.approx(list(expected.confidence_interval), abs=0.015)


def test_differences_are_paired_and_drawn_within_folds() -> None:
    truth, predicted = answers(0)
    other = predicted.copy()
    other[:3] = (truth[:3] + 1) % CLASSES
    folds = [counts_of(truth, predicted, other, predicted), counts_of(truth[:20], predicted[:20], *[other[:20]] * 2)]
    samples = bootstrap(folds, resamples=200)
    assert samples.shape == (200, 3, 3 + CLASSES)
    alone = bootstrap([folds[0][:1]], resamples=200)
    paired = samples[:, 0, 0] - samples[:, 1, 0]
    assert paired.std() < alone[:, 0, 0].std()
    one_clip = np.ones((1, 1, 3, 1))  # of a fold with a single clip, every sample is that clip
    assert (bootstrap([one_clip, 0 * one_clip + [[[[0.0], [1.0], [0.0]]]]], resamples=50)[:, 0, 0] == 0.5).all()


def test_people_are_drawn_with_all_their_clips() -> None:
    """Two people, one always right, one never: only 0, 1/2 and 1 can be drawn, 1/4, 1/2 and 1/4 of the time."""
    truth, predicted = np.zeros(10, np.int64), np.repeat([0, 1], 5)
    counts = unit_counts(truth, predicted, np.repeat([0, 1], 5), 2)
    samples = bootstrap([counts[None]], resamples=4000)[:, 0, 0]
    shares = [float((samples == value).mean()) for value in (0.0, 0.5, 1.0)]
    assert sum(shares) == 1
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_folds_weigh_the_same_and_an_undefined_recall_does_not_count() -> None:
    values = [np.array([0.2, np.nan, np.nan]), np.array([0.6, 0.5, np.nan])]
    assert fold_mean(values) == pytest.approx([0.4, 0.5, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [  # statsmodels.stats.contingency_tables.mcnemar([[30, b], [c, 5]], exact=True).pvalue, statsmodels 0.15.0
        (0, 0, 1.0),
        (1, 9, 0.021484375),
        (5, 5, 1.0),
        (12, 3, 0.03515625),
        (40, 61, 0.046044066929342785),
    ],
)
def test_mcnemar_is_that_of_statsmodels(only_first: int, only_second: int, p: float) -> None:
    first = np.array([True] * 30 + [True] * only_first + [False] * only_second + [False] * 5)
    second = np.array([True] * 30 + [False] * only_first + [True] * only_second + [False] * 5)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p == pytest.approx(p)
    by_hand = sum(stats.binom.pmf(k, only_first + only_second, 0.5) for k in range(min(only_first, only_second) + 1))
    assert found.p == pytest.approx(min(1.0, 2 * by_hand))


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [  # the first by hand; the others statsmodels.stats.multitest.multipletests(p, method="holm")[1]
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5], [0.5]),
        ([0.02, 0.02, 0.9], [0.06, 0.06, 0.9]),
        ([0.6, 0.7, 0.001, 0.4], [1.0, 1.0, 0.004, 1.0]),
        ([], []),
    ],
)
def test_holm_is_that_of_statsmodels(p_values: list[float], corrected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(corrected)


@pytest.mark.parametrize(
    ("differences", "p"),
    [([0.0] * 9, 1.0), ([0.1] * 99, 2 / 100), ([0.1] * 95 + [-0.1] * 4, 2 * 5 / 100), ([-0.1, 0.1] * 50, 1.0)],
    ids=["the same", "always better", "mostly better", "either"],
)
def test_the_p_value_of_the_paired_bootstrap_by_hand(differences: list[float], p: float) -> None:
    assert bootstrap_p(differences) == pytest.approx(p)


def test_the_paired_bootstrap_agrees_with_mcnemar() -> None:
    truth, predicted = answers(3, clips=600, right=0.5)
    other = np.where(np.random.default_rng(1).random(600) < 0.12, truth, predicted)
    samples = bootstrap([counts_of(truth, predicted, other)], resamples=2000)
    assert bootstrap_p(samples[:, 1, 0] - samples[:, 0, 0]) < 0.01
    assert mcnemar(predicted == truth, other == truth).p < 0.01
