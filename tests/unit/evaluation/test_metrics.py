"""WAR, UAR and the distance ratio, on matrices small enough to check by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dfer.evaluation.metrics import (
    best_epoch,
    confusion_matrix,
    expected_calibration_error,
    intra_inter_ratio,
    per_class_recall,
    uar,
    war,
)

# 10 clips of class 0, 5 of class 1, 5 of class 2.
CONFUSION = [[8, 1, 1], [0, 2, 3], [1, 0, 4]]


def test_confusion_counts_true_by_predicted() -> None:
    confusion = confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 0, 2], 4)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]]


def test_confusion_matches_a_loop() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    expected = np.zeros((7, 7), dtype=int)
    for t, p in zip(true, predicted, strict=True):
        expected[t, p] += 1
    assert np.array_equal(confusion_matrix(true, predicted, 7), expected)


def test_confusion_of_no_clips_is_all_zero() -> None:
    assert confusion_matrix([], [], 3).tolist() == [[0] * 3] * 3


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        pytest.param([0, 3], [0, 1], r"true label 3 is not in 0\.\.2", id="true-too-large"),
        pytest.param([0, 1], [0, -1], r"predicted label -1 is not in 0\.\.2", id="negative"),
        pytest.param([0, 1], [0], "as many predicted as true labels, got 1 and 2", id="lengths"),
        pytest.param([0.0, 1.0], [0, 1], r"true labels int \[N\]", id="floats"),
        pytest.param([[0, 1]], [0, 1], r"true labels int \[N\]", id="two-axes"),
    ],
)
def test_confusion_refuses_what_are_no_labels(true: list, predicted: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion_matrix(true, predicted, 3)


@pytest.mark.parametrize("form", [list, np.array, tuple], ids=["list", "array", "tuple"])
def test_war_and_uar_by_hand(form: type) -> None:
    confusion = form(CONFUSION)
    assert war(confusion) == pytest.approx(14 / 20)
    assert uar(confusion) == pytest.approx((0.8 + 0.4 + 0.8) / 3)
    assert per_class_recall(confusion) == pytest.approx([0.8, 0.4, 0.8])
    assert isinstance(war(confusion), float)
    assert isinstance(uar(confusion), float)


def test_rows_are_the_true_classes() -> None:
    assert uar(np.transpose(CONFUSION)) != pytest.approx(uar(CONFUSION))


def test_a_class_without_clips_is_left_out_of_uar() -> None:
    confusion = [[3, 1, 0], [0, 0, 0], [1, 0, 1]]
    assert uar(confusion) == pytest.approx((0.75 + 0.5) / 2)
    assert war(confusion) == pytest.approx(4 / 6)
    assert np.isnan(per_class_recall(confusion)).tolist() == [False, True, False]


def test_unread_clips_are_errors() -> None:
    unread = [0, 5, 0]
    assert war(CONFUSION, unread) == pytest.approx(14 / 25)
    assert uar(CONFUSION, unread) == pytest.approx((0.8 + 0.2 + 0.8) / 3)
    assert per_class_recall(CONFUSION, unread=unread) == pytest.approx([0.8, 0.2, 0.8])


def test_a_class_of_only_unread_clips_counts_as_zero() -> None:
    confusion = [[3, 1], [0, 0]]
    assert uar(confusion) == pytest.approx(0.75)
    assert uar(confusion, unread=[0, 2]) == pytest.approx(0.375)


@pytest.mark.parametrize("metric", [war, uar, per_class_recall])
@pytest.mark.parametrize(
    ("confusion", "unread", "message"),
    [
        pytest.param(np.zeros((3, 3)), None, "no clips", id="all-zero"),
        pytest.param(np.zeros((0, 0)), None, "no clips", id="no-classes"),
        pytest.param([], None, "square", id="empty"),
        pytest.param([[1, 2, 3]], None, r"square confusion matrix \[C, C\], got \[1, 3\]", id="not-square"),
        pytest.param(CONFUSION, [1, 2], "unread clips of 3 classes", id="unread-too-short"),
        pytest.param([[1, -1], [0, 1]], None, "negative", id="negative"),
    ],
)
def test_nothing_to_measure_is_an_error(metric, confusion, unread, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        metric(confusion, unread)
    assert "\n" not in str(caught.value)


def test_ratio_by_hand() -> None:
    # Two classes on a line, centres at 1 and 6, every point 1 from its centre.
    features = [[0.0, 0.0], [2.0, 0.0], [5.0, 0.0], [7.0, 0.0]]
    assert intra_inter_ratio(features, [0, 0, 1, 1]) == pytest.approx(1 / 5)
    assert intra_inter_ratio(features, [0, 1, 0, 1]) == pytest.approx(2.5 / 2)


def test_ratio_matches_a_loop_and_ignores_scale_and_place() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 5)).astype(np.float32), rng.integers(0, 4, 60) * 3
    centers = {label: features[labels == label].mean(axis=0) for label in set(labels.tolist())}
    intra = np.mean([np.linalg.norm(f - centers[y]) for f, y in zip(features, labels, strict=True)])
    pairs = [(a, b) for a in centers for b in centers if a < b]
    inter = np.mean([np.linalg.norm(centers[a] - centers[b]) for a, b in pairs])
    assert intra_inter_ratio(features, labels) == pytest.approx(intra / inter, rel=1e-5)
    assert intra_inter_ratio(10 * features + 3, labels) == pytest.approx(intra / inter, rel=1e-5)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        pytest.param([[1.0], [2.0]], [1, 1], "at least two, got 1", id="one-class"),
        pytest.param(np.zeros((0, 4)), [], "at least two, got 0", id="no-clips"),
        pytest.param([[1.0], [1.0]], [0, 1], "coincide", id="same-centres"),
        pytest.param([1.0, 2.0], [0, 1], r"features \[N, D\]", id="flat"),
        pytest.param([[1.0], [2.0]], [0], r"features \[N, D\]", id="lengths"),
    ],
)
def test_ratio_refuses_what_has_none(features, labels, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        intra_inter_ratio(features, labels)


def test_metrics_need_no_torch() -> None:
    code = "import sys, dfer.evaluation.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_calibration_error_by_hand() -> None:
    # Two answers of 0.9, one right; two of 0.6, both right; one of 0.55, wrong, in the bin of 0.6 when there are 5.
    top = np.array([0.9, 0.9, 0.6, 0.6, 0.55])
    probabilities, labels = np.stack([top, 1 - top], 1), [0, 1, 0, 0, 1]
    assert expected_calibration_error(probabilities, labels, bins=5) == pytest.approx(
        (2 * abs(0.9 - 1 / 2) + 3 * abs((0.6 + 0.6 + 0.55) / 3 - 2 / 3)) / 5
    )
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(top.mean() - 3 / 5))
    assert expected_calibration_error([[1.0, 0.0], [0.0, 1.0]], [0, 1]) == 0
    assert expected_calibration_error([[1.0, 0.0], [0.0, 1.0]], [1, 0]) == 1


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        pytest.param(np.zeros((0, 2)), [], id="no clips"),
        pytest.param(np.zeros((2, 2)), [0], id="another number of labels"),
        pytest.param(np.zeros(2), [0, 1], id="one axis"),
    ],
)
def test_calibration_error_refuses_wrong_shapes(probabilities: np.ndarray, labels: list) -> None:
    with pytest.raises(ValueError, match="expected probabilities"):
        expected_calibration_error(probabilities, labels)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        pytest.param({"val_war": 0.6, "val_uar": 0.1, "val_loss": 9.0}, 2, id="higher WAR"),
        pytest.param({"val_war": 0.5, "val_uar": 0.5, "val_loss": 9.0}, 2, id="same WAR and higher UAR"),
        pytest.param({"val_war": 0.5, "val_uar": 0.4, "val_loss": 1.0}, 2, id="lower loss"),
        pytest.param({"val_war": 0.5, "val_uar": 0.4, "val_loss": 2.0}, 1, id="equal in everything"),
        pytest.param({"val_war": 0.4, "val_uar": 0.9, "val_loss": 0.1}, 1, id="lower WAR"),
        pytest.param({}, 1, id="not validated"),
    ],
)
def test_the_best_epoch_has_the_highest_war_then_uar_then_the_lowest_loss(
    second: dict[str, float], expected: int
) -> None:
    history = [{"epoch": 1, "val_war": 0.5, "val_uar": 0.4, "val_loss": 2.0}, {"epoch": 2, **second}]
    best = best_epoch(history)
    assert best is not None
    assert best["epoch"] == expected


def test_without_validation_no_epoch_is_best() -> None:
    assert best_epoch([{"epoch": 1, "train_loss": 1.0}]) is None
