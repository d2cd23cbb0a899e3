"""All of `dfer compare` once more from predictions.csv, with pandas and scipy and no code of the comparison."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dfer.evaluation.compare import compare
from dfer.evaluation.compared_runs import read_runs
from dfer.evaluation.comparison import Comparison
from tests.answers import write_run

RIGHT = {"a": (0.9, 0.8, 0.6), "b": (0.8, 0.6, 0.6), "c": (0.5, 0.4, 0.5)}
SEEDS = (0, 1)
RESAMPLES = 4000
Tables = dict[tuple[str, int], list[pd.DataFrame]]  # by method and seed, a table for each fold


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Tables]:
    """Three methods with two seeds on two folds, and clips that could not be read."""
    root = tmp_path_factory.mktemp("runs")
    runs = {
        (name, seed): write_run(
            root / f"{name}_seed{seed}", right=right, seed=10 * number + seed, settings=name, clips=90, unread=2
        )
        for number, (name, right) in enumerate(RIGHT.items())
        for seed in SEEDS
    }
    tables = {
        key: [pd.read_csv(path) for path in sorted(run.glob("fold*/predictions.csv"))] for key, run in runs.items()
    }
    return compare(read_runs(list(map(str, runs.values()))), resamples=RESAMPLES), tables


def is_right(table: pd.DataFrame) -> pd.Series:
    return (table["label"] == table["predicted"]).astype(float)


def war(table: pd.DataFrame) -> float:
    return float(is_right(table).mean())


def uar(table: pd.DataFrame) -> float:
    return float(is_right(table).groupby(table["label"]).mean().mean())


def macro_f1(table: pd.DataFrame) -> float:
    scores = []
    for label in table["label"].unique():
        hits = ((table["label"] == label) & (table["predicted"] == label)).sum()
        scores.append(2 * hits / ((table["label"] == label).sum() + (table["predicted"] == label).sum()))
    return float(np.mean(scores))


def holm(p_values: list[float]) -> list[float]:
    """The definition: the largest of the products of all smaller p-values with the number of tests that remain."""
    count = len(p_values)
    ranked = sorted(p_values)
    return [min(1.0, max((count - k) * q for k, q in enumerate(ranked) if q <= p)) for p in p_values]


def mean_right(tables: Tables, name: str, fold: int) -> np.ndarray:
    """Of each clip, the share of the seeds that got it right, [N]."""
    return np.mean([is_right(tables[name, seed][fold]) for seed in SEEDS], axis=0)


@pytest.mark.parametrize(("metric", "figure"), [("war", war), ("uar", uar), ("macro_f1", macro_f1)])
def test_figures_and_deviations(
    made: tuple[Comparison, Tables], metric: str, figure: Callable[[pd.DataFrame], float]
) -> None:
    result, tables = made
    assert [method.name for method in result.methods] == list(RIGHT)
    for method in result.methods:
        by_seed = [np.mean([figure(table) for table in tables[method.name, seed]]) for seed in SEEDS]
        assert method.metrics[metric].value == pytest.approx(np.mean(by_seed))
        assert method.deviations[metric] == pytest.approx(np.std(by_seed, ddof=1))


def test_intervals_of_war_and_its_differences_are_scipy_s(made: tuple[Comparison, Tables]) -> None:
    """Samples of scipy's bootstrap are drawn independently: here one for each fold, which is the stratification."""
    result, tables = made
    wanted = {(method.name,): method.metrics["war"] for method in result.methods}
    wanted |= {(pair.first, pair.second): pair.metrics["war"] for pair in result.pairs}
    for names, found in wanted.items():
        values = [mean_right(tables, names[-1], fold) for fold in (0, 1)]
        if len(names) == 2:
            values = [own - mean_right(tables, names[0], fold) for fold, own in enumerate(values)]
        expected = stats.bootstrap(
            values,
            lambda *folds, axis: np.mean([fold.mean(axis=axis) for fold in folds], axis=0),
            n_resamples=RESAMPLES,
            method="percentile",
            rng=1,
        ).confidence_interval
        assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.012)


def test_mcnemar_of_each_pair_of_seeds_with_holm_over_all(made: tuple[Comparison, Tables]) -> None:
    result, tables = made
    right = {key: pd.concat(map(is_right, of)).to_numpy() for key, of in tables.items()}
    expected = []
    for first, second in combinations(RIGHT, 2):
        for seed in SEEDS:
            ours, theirs = right[first, seed], right[second, seed]
            only = int((ours > theirs).sum())
            expected.append(stats.binomtest(only, int((ours != theirs).sum())).pvalue)
    assert [(pair.first, pair.second) for pair in result.pairs] == list(combinations(RIGHT, 2))
    assert [test.p for pair in result.pairs for test in pair.mcnemar] == pytest.approx(expected)
    assert [p for pair in result.pairs for p in pair.mcnemar_holm] == pytest.approx(holm(expected))
    assert min(expected) < 0.05 < max(expected), "the answers show both outcomes"


@pytest.mark.parametrize("metric", ["war", "uar", "macro_f1"])
def test_holm_of_the_bootstrap(made: tuple[Comparison, Tables], metric: str) -> None:
    pairs = made[0].pairs
    assert [pair.p_holm[metric] for pair in pairs] == pytest.approx(holm([pair.p[metric] for pair in pairs]))
