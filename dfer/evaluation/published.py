"""The field's published results, as data: `published.csv`, a row per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dfer.datasets import official_sizes
from dfer.errors import DataError, UsageError
from dfer.evaluation.compared_runs import Run
from dfer.runtime.formatting import pluralize
from dfer.store.names import our_name

PUBLISHED_DATASETS = ("dfew", "ferv39k", "mafw")
PUBLISHED_FILE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class PublishedResult:
    """A method's result on a data set, as it was published.

    Attributes:
        method: its name.
        year: of the paper.
        modality: "V" for video, "AV" for video and sound.
        pretraining: the data or models it starts from; "" where that is not known.
        input: frames and their size; "" where that is not known.
        selection: how the epoch was chosen; "" where that is not known.
        uar: percent; None where it was not published.
        war: percent; None where it was not published.
        source: where the figures were read.
    """

    method: str
    year: int
    modality: str
    pretraining: str
    input: str
    selection: str
    uar: float | None
    war: float | None
    source: str


def read_published(dataset: str) -> list[PublishedResult]:
    """Return the published results on a data set, newest first, in a year the highest WAR first.

    Args:
        dataset: one of `PUBLISHED_DATASETS`.

    Raises:
        UsageError: another data set.
    """
    if dataset not in PUBLISHED_DATASETS:
        known = ", ".join(PUBLISHED_DATASETS)
        raise UsageError(f"no published results on {dataset!r}", where="DATASET", hint=f"data sets: {known}")
    table = pd.read_csv(PUBLISHED_FILE, dtype=str, keep_default_na=False)
    results = [
        PublishedResult(
            method=row["method"],
            year=int(row["year"]),
            modality=row["modality"],
            pretraining=row["pretraining"],
            input=row["input"],
            selection=row[f"{dataset}_selection"],
            uar=_number(row[f"{dataset}_uar"]),
            war=_number(row[f"{dataset}_war"]),
            source=row["source"],
        )
        for row in table.to_dict("records")
    ]
    known_results = [result for result in results if result.uar is not None or result.war is not None]
    return sorted(known_results, key=lambda result: (-result.year, -(result.war or 0.0)))


def _number(text: str) -> float | None:
    return float(text) if text else None


def require_dataset(run: Run, dataset: str) -> None:
    """Check that a run has the classes of a data set.

    Raises:
        DataError: it has others.
    """
    official = official_sizes(dataset)
    expected = set(official.emotions) if official else set()
    found = {our_name(answers.labels[label]) for answers in run.folds.values() for label in answers.truth}
    if unknown := sorted(found - expected):
        raise DataError(f"the class {unknown[0]!r} is not one of {dataset}'s", where=run.path)


def protocol_notes(runs: Sequence[Run], dataset: str) -> list[str]:
    """Return a line for each run that was not tested on all clips of the data set's official test lists.

    Args:
        runs: of the data set.
        dataset: one of `PUBLISHED_DATASETS`.
    """
    official = official_sizes(dataset)
    lists = {fold: size for (fold, split), size in official.lists.items() if split == "test"} if official else {}
    expected = _size(lists)
    sizes = {run.name: {fold: len(answers.clip_ids) for fold, answers in run.folds.items()} for run in runs}
    return [
        f"{name} was tested on {_size(own)}, not on the {expected} of the official lists: its figures cannot be "
        "compared with the others"
        for name, own in sizes.items()
        if own != lists
    ]


def _size(lists: Mapping[int, int]) -> str:
    return f"{pluralize(sum(lists.values()), 'clip')} of {pluralize(len(lists), 'fold')}"
