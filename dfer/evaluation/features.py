"""The features of test clips for a picture, and the precision and recall of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfer.batches.sampling import evenly_spread

MAX_POINTS = 2000  # of a fold: more take minutes and show no more
MIN_POINTS = 10  # fewer make no picture
PERPLEXITY = 30.0


@dataclass(frozen=True)
class ClipFeatures:
    """The features of some of a fold's readable clips, evenly spread.

    Attributes:
        places: int64 [K], of the clips among the readable ones.
        values: float32 [K, D].
        num_clips: of which they were taken.
    """

    places: NDArray[np.int64]
    values: NDArray[np.float32]
    num_clips: int


def choose_features(features: NDArray[np.float32], most: int = MAX_POINTS) -> ClipFeatures:
    """Return at most `most` rows of the features, float32 [N, D], evenly spread."""
    places = np.array(evenly_spread(len(features), min(most, len(features))) if len(features) else [], np.int64)
    return ClipFeatures(places, features[places], len(features))


def project(features: NDArray[np.float32], seed: int = 0) -> tuple[NDArray[np.float64], str]:
    """Return points in the plane, float64 [K, 2], and the name of the method.

    It is t-SNE from a start by principal components, and principal components where scikit-learn is not installed.

    Args:
        features: float32 [K, D], K at least 2.
        seed: of t-SNE.

    Source: L. van der Maaten and G. Hinton, "Visualizing Data using t-SNE", JMLR 2008.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        centred = features.astype(np.float64) - features.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        points = centred @ axes[:2].T
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
        return points, "principal components (t-SNE: pip install dfer[tsne])"
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    start = "pca" if min(features.shape) >= 2 else "random"
    fitted = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(features)
    return np.asarray(fitted, np.float64), f"t-SNE, perplexity {perplexity:.3g}"


def precision_recall(
    scores: ArrayLike, positive: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Return recall and precision at each threshold, and the average precision; None without a positive clip.

    Args:
        scores: float [N], the probability of the class.
        positive: bool [N], whether it is the clip's.

    Returns:
        Recall, ascending from 0, and precision, float64 [M + 1] each for M different scores, and the area under their
        steps: the sum of the precisions, each weighted by how much the recall rises.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of clips of equal score
    found = np.cumsum(positive[order])[last]
    recall, precision = found / positive.sum(), found / (last + 1)
    average = float((np.diff(recall, prepend=0.0) * precision).sum())
    return np.append(0.0, recall), np.append(1.0, precision), average
