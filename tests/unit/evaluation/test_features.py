"""Features for a picture, and average precision against hand-worked cases and scikit-learn."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from dfer.evaluation.features import choose_features, precision_recall, project


def test_at_most_so_many_features_evenly_spread() -> None:
    features = np.arange(50, dtype=np.float32)[:, None]
    chosen = choose_features(features, 5)
    assert chosen.num_clips == 50
    assert len(chosen.places) == 5
    assert np.array_equal(chosen.values[:, 0], chosen.places)
    assert np.ptp(np.diff(chosen.places)) <= 1
    assert len(choose_features(features).places) == 50
    assert len(choose_features(features[:0]).places) == 0


def test_precision_and_recall_by_hand() -> None:
    found = precision_recall([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert found is not None
    recall, precision, average = found
    assert recall.tolist() == [0, 0.5, 0.5, 1, 1]
    assert precision.tolist() == pytest.approx([1, 1, 0.5, 2 / 3, 0.5])
    assert average == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert precision_recall([0.5, 0.4], [False, False]) is None


@pytest.mark.parametrize("ties", [1, 3])
def test_average_precision_is_scikit_learn_s(ties: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(ties)
    scores = rng.random(60).round(ties)
    positive = rng.random(60) < 0.3
    found = precision_recall(scores, positive)
    assert found is not None
    assert found[2] == pytest.approx(metrics.average_precision_score(positive, scores))


def _groups() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    classes = np.arange(40) % 2
    return (rng.normal(0, 0.1, (40, 8)) + 5 * classes[:, None]).astype(np.float32), classes


def _apart(points: Any, classes: Any) -> bool:
    one, other = points[classes == 0], points[classes == 1]
    gap = np.linalg.norm(one.mean(axis=0) - other.mean(axis=0))
    return bool(gap > 2 * max(one.std(axis=0).max(), other.std(axis=0).max()))


def test_tsne_keeps_groups_apart_and_is_the_same_every_time() -> None:
    pytest.importorskip("sklearn")
    features, classes = _groups()
    points, method = project(features)
    assert method.startswith("t-SNE")
    assert _apart(points, classes)
    assert np.array_equal(points, project(features)[0])
    assert project(features[:, :1])[0].shape == (40, 2)


def test_without_scikit_learn_principal_components(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def refuse(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return load(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    features, classes = _groups()
    points, method = project(features)
    assert method.startswith("principal components")
    assert _apart(points, classes)
    assert project(features[:, :1])[0].shape == (40, 2)
