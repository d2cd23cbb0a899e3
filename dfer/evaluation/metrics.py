"""WAR, UAR and the other metrics of an evaluation, in pure numpy; confusion is confusion[true][predicted].

WAR, the weighted average recall, is the overall accuracy; UAR, the unweighted one, the mean over classes of their
recalls. Both are fractions, not percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Record = TypeVar("Record", bound=Mapping[str, float])


def confusion_matrix(true: ArrayLike, predicted: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Count the clips of each true and predicted class.

    Args:
        true: int [N], labels.
        predicted: int [N], predicted labels.
        num_classes: C.

    Returns:
        int64 [C, C], `confusion[true][predicted]`.

    Raises:
        ValueError: the two differ in length, or contain anything but labels 0 to C - 1.
    """
    labels = [_labels(true, "true", num_classes), _labels(predicted, "predicted", num_classes)]
    if len(labels[0]) != len(labels[1]):
        raise ValueError(f"expected as many predicted as true labels, got {len(labels[1])} and {len(labels[0])}")
    flat = labels[0] * num_classes + labels[1]
    counts = np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)
    return counts.astype(np.int64)


def war(confusion: ArrayLike, unread: ArrayLike | None = None) -> float:
    """Return the weighted average recall: the share of all clips that were classified correctly.

    Args:
        confusion: [C, C], `confusion[true][predicted]`.
        unread: [C], clips of each true class that could not be read; they count as errors.

    Raises:
        ValueError: there are no clips, or the shapes are wrong.
    """
    correct, clips = _correct_and_clips(confusion, unread)
    return float(correct.sum() / clips.sum())


def uar(confusion: ArrayLike, unread: ArrayLike | None = None) -> float:
    """Return the unweighted average recall: the mean of the recalls of all classes that have clips.

    Args:
        confusion: [C, C], `confusion[true][predicted]`.
        unread: [C], clips of each true class that could not be read; they count as errors.

    Raises:
        ValueError: there are no clips, or the shapes are wrong.
    """
    return float(np.nanmean(per_class_recall(confusion, unread)))


def per_class_recall(confusion: ArrayLike, unread: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the share of each class's clips that were classified correctly.

    Args:
        confusion: [C, C], `confusion[true][predicted]`.
        unread: [C], clips of each true class that could not be read; they count as errors.

    Returns:
        float64 [C], NaN for a class without clips.

    Raises:
        ValueError: there are no clips, or the shapes are wrong.
    """
    correct, clips = _correct_and_clips(confusion, unread)
    recalls = np.full(len(clips), np.nan)
    np.divide(correct, clips, out=recalls, where=clips > 0)
    return recalls


def intra_inter_ratio(features: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean distance of features to their class centre, over the mean distance between class centres.

    The compact loss is meant to lower it on unseen clips. It does not depend on the scale of the features.

    Args:
        features: float [N, D], pooled features.
        labels: int [N].

    Raises:
        ValueError: there are fewer than two classes, their centres coincide, or the shapes are wrong.
    """
    points, classes = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if points.ndim != 2 or classes.shape != points.shape[:1]:
        raise ValueError(f"expected features [N, D] and labels [N], got {points.shape} and {classes.shape}")
    names, member_of = np.unique(classes, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"distances between classes need clips of at least two, got {len(names)}")
    centers = np.stack([points[member_of == index].mean(axis=0) for index in range(len(names))])
    first, second = np.triu_indices(len(names), k=1)
    intra = np.linalg.norm(points - centers[member_of], axis=1).mean()
    inter = np.linalg.norm(centers[first] - centers[second], axis=1).mean()
    if inter == 0:
        raise ValueError("all class centres coincide: the features do not separate the classes")
    return float(intra / inter)


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Return how far a model's confidence is from its accuracy, on average over the clips.

    The clips are put into bins of equal width by the probability of their predicted class; each bin contributes the
    difference between mean probability and accuracy, weighted by its number of clips.

    Args:
        probabilities: float [N, C], each row summing to 1.
        labels: int [N].
        bins: of confidence between 0 and 1; a bin holds its upper edge.

    Raises:
        ValueError: there are no clips, or the shapes are wrong.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    return calibration_error(*confidence_and_right(probabilities, labels), bins)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15) -> float:
    """Return the mean difference between confidence and accuracy, over bins of equal width; see above.

    Args:
        confidence: float [N], of at least one answer.
        right: bool [N], whether the answer is.
        bins: of confidence between 0 and 1.
    """
    # Of each bin: clips times difference.
    gaps = np.bincount(confidence_bins(confidence, bins), weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def confidence_and_right(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probability of each clip's predicted class, float64 [N], and whether it is right, bool [N].

    Args:
        probabilities: float [N, C], each row summing to 1.
        labels: int [N].

    Raises:
        ValueError: there are no clips, or the shapes are wrong.
    """
    values, classes = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if values.ndim != 2 or classes.shape != values.shape[:1] or len(values) == 0:
        raise ValueError(f"expected probabilities [N, C] and labels [N], got {values.shape} and {classes.shape}")
    return values.max(axis=1), values.argmax(axis=1) == classes


def confidence_bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """Return each clip's bin, int64 [N]: `bins` of equal width between 0 and 1, each holding its upper edge."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def best_epoch(history: Sequence[Record]) -> Record | None:
    """Return the record of the best epoch: the highest WAR, then the highest UAR, then the lowest loss.

    Args:
        history: lines of metrics.jsonl; epochs that were not validated do not count.

    Returns:
        The first of equals; None if no epoch was validated.
    """
    validated = [record for record in history if record.get("val_war") is not None]
    return max(validated, key=lambda epoch: (epoch["val_war"], epoch["val_uar"], -epoch["val_loss"]), default=None)


def _labels(values: ArrayLike, name: str, num_classes: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"expected {name} labels int [N], got {array.dtype} {list(array.shape)}")
    if array.min() < 0 or array.max() >= num_classes:
        outside = array[(array < 0) | (array >= num_classes)][0]
        raise ValueError(f"{name} label {outside} is not in 0..{num_classes - 1}")
    return array.astype(np.int64)


def _correct_and_clips(
    confusion: ArrayLike, unread: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix = np.asarray(confusion, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"expected a square confusion matrix [C, C], got {list(matrix.shape)}")
    lost = np.zeros(len(matrix)) if unread is None else np.asarray(unread, dtype=np.float64)
    if lost.shape != matrix.shape[:1]:
        raise ValueError(f"expected unread clips of {len(matrix)} classes, got {list(lost.shape)}")
    if (matrix < 0).any() or (lost < 0).any():
        raise ValueError("numbers of clips must not be negative")
    clips = matrix.sum(axis=1) + lost
    if not clips.sum() > 0:
        raise ValueError("there are no clips to measure")
    return np.diagonal(matrix).copy(), clips
