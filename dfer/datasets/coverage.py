"""Classes that only the train list or only the test list of a fold has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dfer.records import Split


def one_sided_classes(clips: Iterable[tuple[str, Mapping[int, Split]]], labels: Sequence[str]) -> list[str]:
    """Find the classes that cannot be learnt or are not tested in some folds.

    Args:
        clips: the label and the folds of each clip that counts.
        labels: all labels in order.

    Returns:
        A notice for each such class.
    """
    found: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for label, folds in clips:
        for fold, split in folds.items():
            found[fold][split].add(label)
    notices = []
    for label in labels:
        untaught = _one_sided(found, label, has="test", lacks="train")
        untested = _one_sided(found, label, has="train", lacks="test")
        if untaught:
            notices.append(f"{label} has test clips but no training clips in {_folds(untaught)}: it cannot be learnt")
        if untested:
            notices.append(f"{label} has training clips but no test clips in {_folds(untested)}: it is not measured")
    return notices


def _one_sided(found: Mapping[int, Mapping[str, set[str]]], label: str, *, has: Split, lacks: Split) -> list[int]:
    """Return the folds in which one list has a label and the other one, which is not empty, lacks it."""
    return [fold for fold, of in sorted(found.items()) if label in of[has] and of[lacks] and label not in of[lacks]]


def _folds(numbers: Sequence[int]) -> str:
    return ("fold " if len(numbers) == 1 else "folds ") + ", ".join(map(str, numbers))
