"""Classes of a store that are trained but not tested, or tested but not trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dfer.datasets.coverage import one_sided_classes
from dfer.store.manifest import ManifestRow


def find_one_sided_classes(rows: Iterable[ManifestRow], labels: Sequence[str], *, fold: int | None = None) -> list[str]:
    """Find the classes that cannot be learnt or are not tested, judged by the clips that could be read.

    Test clips that could not be read count too, as they do in an evaluation.

    Args:
        rows: of the manifest.
        labels: the labels in order.
        fold: look at this fold only.

    Returns:
        A notice for each such class.
    """
    clips = []
    for row in rows:
        folds = {number: split for number, split in row.folds.items() if row.ok or split == "test"}
        clips.append((labels[row.label], folds if fold is None else {n: folds[n] for n in folds if n == fold}))
    return one_sided_classes(clips, labels)
