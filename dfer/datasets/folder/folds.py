"""Folds for data without a split: the same on every machine, by subject where subjects are known."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from dfer.records import Split

NUM_FOLDS = 5


def folds_by_subject(subjects: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Divide clips into test folds with disjoint subjects and balanced sizes and labels.

    Subjects are assigned in order of size, the largest first, each to the fold that has the fewest of its labels.

    Args:
        subjects: the person in each clip.
        labels: the label of each clip.

    Returns:
        The fold, 1-based, in which each clip is tested; if there are fewer than five subjects, one fold per subject.
    """
    by_subject: dict[str, Counter[str]] = defaultdict(Counter)
    for subject, label in zip(subjects, labels, strict=True):
        by_subject[subject][label] += 1
    totals = Counter(labels)
    folds: list[Counter[str]] = [Counter() for _ in range(min(NUM_FOLDS, len(by_subject)))]

    def crowding(fold: int, counts: Counter[str]) -> tuple[float, int, int]:
        # Growth of the sum of squared shares of all labels in the fold, up to a constant.
        growth = sum(2 * folds[fold][label] * count / totals[label] ** 2 for label, count in counts.items())
        return growth, folds[fold].total(), fold

    fold_of = {}
    for subject, counts in sorted(by_subject.items(), key=lambda item: (-item[1].total(), _digest(item[0]))):
        best = min(range(len(folds)), key=lambda fold: crowding(fold, counts))
        folds[best] += counts
        fold_of[subject] = best + 1
    return [fold_of[subject] for subject in subjects]


def folds_by_label(clip_ids: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Divide clips into test folds in which each label has the same share, by a hash of the ids.

    Args:
        clip_ids: the id of each clip; their order does not matter.
        labels: the label of each clip.

    Returns:
        The fold, 1-based, in which each clip is tested; if there are fewer than five clips, one fold per clip.
    """
    num_folds = min(NUM_FOLDS, len(clip_ids))
    # Each label continues at the fold where the previous one ended, so that fold sizes differ by at most one.
    order = sorted(range(len(clip_ids)), key=lambda index: (labels[index], _digest(clip_ids[index])))
    folds = [0] * len(clip_ids)
    for place, index in enumerate(order):
        folds[index] = place % num_folds + 1
    return folds


def splits_by_fold(tested: Sequence[int]) -> list[dict[int, Split]]:
    """Return the split of each clip in every fold, given the fold in which it is tested."""
    numbers = range(1, max(tested, default=0) + 1)
    return [{fold: "test" if fold == number else "train" for fold in numbers} for number in tested]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
