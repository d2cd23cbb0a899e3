"""The results of an evaluation: the confusion of each fold, and the metrics that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.evaluation.across import TEST_ONLY, JoinedClasses
from dfer.evaluation.features import ClipFeatures
from dfer.evaluation.metrics import per_class_recall, uar, war
from dfer.records import Selection, Split
from dfer.store.manifest import ManifestRow


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """The test clips by class, and the metrics that are computed from them.

    Attributes:
        confusion: int64 [C, C], confusion[true][predicted] of the clips that could be read.
        unreadable: int64 [C], clips of each true class that could not be read; they count as errors.
    """

    confusion: NDArray[np.int64]
    unreadable: NDArray[np.int64]

    @cached_property
    def war(self) -> float:
        """The accuracy over all clips, a fraction."""
        return war(self.confusion, self.unreadable)

    @cached_property
    def uar(self) -> float:
        """The mean recall of the classes that have clips, a fraction."""
        return uar(self.confusion, self.unreadable)

    @cached_property
    def recalls(self) -> list[float | None]:
        """The recall of each class, a fraction; None for a class without clips."""
        recalls = per_class_recall(self.confusion, self.unreadable)
        return [None if np.isnan(recall) else float(recall) for recall in recalls]

    @property
    def num_unreadable(self) -> int:
        """The number of clips that could not be read."""
        return int(self.unreadable.sum())

    @property
    def num_clips(self) -> int:
        """The number of clips, readable or not."""
        return int(self.confusion.sum()) + self.num_unreadable


@dataclass(frozen=True, kw_only=True)
class PriorCounts(ClassCounts):
    """The test clips by class, as answered under a prior.

    Attributes:
        prior: its name or file, or what the model was trained under; see `dfer.model.priors`.
        ece: expected calibration error; None without readable clips.
    """

    prior: str
    ece: float | None


@dataclass(frozen=True, kw_only=True)
class FoldEvaluation(PriorCounts):
    """The result of one checkpoint on the test list of one fold.

    Attributes:
        fold: its number, from 1.
        labels: C class names, in the order of the confusion matrix.
        checkpoint: the file, or the name of the shipped weights.
        selection: how the checkpoint's epoch was chosen.
        logits: float32 [N, M] of the N readable clips and all M classes of the model, in the manifest's order.
        truth: int64 [N], their labels.
        probabilities: float64 [N, C], as answered under the prior.
        clips: all clips of the test list, readable or not, in the manifest's order.
        splits: the lists that were tested.
        classes: how the classes of data and model were joined; None where both have the same.
        left_out: clips of the list whose class has no counterpart, by class of the data; they count nowhere.
        under_other_protocol: the result under `classes.other_protocol`; None where that would be the same.
        others: the results under other priors, where the checkpoint knows its own.
        intra_inter_ratio: see `dfer.evaluation.metrics`; None where it is not defined.
        features: of readable clips; None where they are not kept.
        data: the store; None where it is not known.
    """

    fold: int
    labels: list[str]
    checkpoint: str
    selection: Selection
    logits: NDArray[np.float32] = field(repr=False)
    truth: NDArray[np.int64] = field(repr=False)
    probabilities: NDArray[np.float64] = field(repr=False)
    clips: Sequence[ManifestRow] = field(repr=False)
    splits: tuple[Split, ...] = TEST_ONLY
    classes: JoinedClasses | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    under_other_protocol: ClassCounts | None = None
    others: list[PriorCounts] = field(default_factory=list)
    intra_inter_ratio: float | None
    features: ClipFeatures | None = field(default=None, repr=False)
    data: Path | None = None

    @property
    def war_readable(self) -> float | None:
        """The accuracy over the readable clips; None if there are none."""
        return war(self.confusion) if self.confusion.any() else None

    @property
    def uar_readable(self) -> float | None:
        """The mean recall over the readable clips; None if there are none."""
        return uar(self.confusion) if self.confusion.any() else None

    def to_dict(self) -> dict[str, Any]:
        """Return the fold's object in `dfer.evaluation/1`."""
        return {
            "war": self.war,
            "uar": self.uar,
            "war_readable": self.war_readable,
            "uar_readable": self.uar_readable,
            "per_class_recall": dict(zip(self.labels, self.recalls, strict=True)),
            "confusion": self.confusion.tolist(),
            "num_clips": self.num_clips,
            "num_unreadable": self.num_unreadable,
            "ece": self.ece,
            "prior": self.prior,
            "other_priors": {
                other.prior: {"war": other.war, "uar": other.uar, "ece": other.ece} for other in self.others
            },
            "checkpoint": self.checkpoint,
            "selection": self.selection,
            "intra_inter_ratio": self.intra_inter_ratio,
            **self._beyond_its_own_data(),
        }

    def _beyond_its_own_data(self) -> dict[str, Any]:
        facts: dict[str, Any] = {} if self.splits == TEST_ONLY else {"splits": list(self.splits)}
        if self.classes is None:
            return facts
        other, counts = self.classes.other_protocol, self.under_other_protocol
        if other is not None and counts is not None:
            facts["other_protocol"] = {"protocol": other, "war": counts.war, "uar": counts.uar}
        return {**facts, "left_out": self.left_out}


@dataclass(frozen=True)
class Evaluation:
    """The result of a run on the test lists of its folds.

    Attributes:
        dataset: name of the store.
        labels: class names in the order of the confusion matrices.
        folds: at least one, in the order they were evaluated.
        notes: what every reader must know, such as that the model has seen only drawings.
        not_kept: why the answers of a fold could not be written.
    """

    dataset: str
    labels: list[str]
    folds: list[FoldEvaluation]
    notes: list[str]
    not_kept: list[DferError] = field(default_factory=list)

    @property
    def mean_war(self) -> float:
        """The mean of the folds' accuracies, a fraction."""
        return _mean(fold.war for fold in self.folds)

    @property
    def mean_uar(self) -> float:
        """The mean of the folds' UAR, a fraction."""
        return _mean(fold.uar for fold in self.folds)

    @property
    def prior(self) -> str:
        """The prior that was answered under; of folds that differ, all of them."""
        return " or ".join(dict.fromkeys(fold.prior for fold in self.folds))

    def under_other_priors(self) -> dict[str, list[PriorCounts]]:
        """Return the folds' results under each other prior that all of them have, by its name."""
        names = dict.fromkeys(other.prior for fold in self.folds for other in fold.others)
        found = {name: [other for fold in self.folds for other in fold.others if other.prior == name] for name in names}
        return {name: others for name, others in found.items() if len(others) == len(self.folds)}

    @property
    def classes(self) -> JoinedClasses | None:
        """The classes of data and model, as joined; None where both have the same."""
        return self.folds[0].classes

    @cached_property
    def pooled(self) -> ClassCounts:
        """The test clips of all folds, counted together."""
        return ClassCounts(
            confusion=np.sum([fold.confusion for fold in self.folds], axis=0),
            unreadable=np.sum([fold.unreadable for fold in self.folds], axis=0),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the schema `dfer.evaluation/1`."""
        return {
            "schema": "dfer.evaluation/1",
            "dataset": self.dataset,
            "labels": self.labels,
            "folds": {str(fold.fold): fold.to_dict() for fold in self.folds},
            "prior": self.prior,
            "mean": {"war": self.mean_war, "uar": self.mean_uar},
            "other_priors": {
                name: {"war": _mean(o.war for o in others), "uar": _mean(o.uar for o in others)}
                for name, others in self.under_other_priors().items()
            },
            "pooled": {
                "war": self.pooled.war,
                "uar": self.pooled.uar,
                "per_class_recall": dict(zip(self.labels, self.pooled.recalls, strict=True)),
            },
            "notes": self.notes,
            **({} if self.classes is None else {"across": self.classes.to_dict()}),
        }


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
