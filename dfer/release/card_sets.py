"""The sets of a model card: stores, maybe of the same data with several detectors, and the figures of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from dfer.batches.sampling import evenly_spread
from dfer.evaluation.across import OPEN, Across, trained_store
from dfer.evaluation.confidence import accuracy_at_coverage, reliability, risk_coverage
from dfer.evaluation.evaluate import evaluate_fold
from dfer.evaluation.results import FoldEvaluation
from dfer.model.checkpoint import CheckpointInfo
from dfer.model.priors import Answering, choose_answering
from dfer.model.video_model import VideoModel
from dfer.records import SPLITS, Split
from dfer.store import Store, open_store

COVERAGE = 0.8
_CURVE_POINTS = 200  # of a risk-coverage curve


@dataclass(frozen=True)
class CardSet:
    """A store, and the lists of it that are tested."""

    path: Path
    splits: tuple[Split, ...] = ("test",)


def parse_set(text: str) -> CardSet:
    """Return the store and lists that "data/faces160:val+test" names; without lists, the test list."""
    path, _, names = text.rpartition(":")
    splits = tuple(cast(Split, name) for name in names.split("+"))
    return CardSet(Path(path), splits) if path and set(splits) <= set(SPLITS) else CardSet(Path(text))


@dataclass(frozen=True)
class MeasuredSet:
    """A set with its results.

    Attributes:
        member: the set.
        store: opened.
        result: on its lists.
        answering: how logits became answers.
    """

    member: CardSet
    store: Store
    result: FoldEvaluation
    answering: Answering

    def figures(self, labels: Sequence[str], without: Sequence[str]) -> dict[str, Any]:
        """Return the set's row in the card, and the points of its diagrams.

        Args:
            labels: emotion names, in order.
            without: labels that a further mean recall leaves out.
        """
        probabilities = self.answering.probabilities(self.result.logits)
        coverage, risk = risk_coverage(probabilities, self.result.truth)
        kept = evenly_spread(len(risk), _CURVE_POINTS)
        recalls = [recall for label, recall in zip(labels, self.result.recalls, strict=True) if label not in without]
        found = [recall for recall in recalls if recall is not None]
        confidence, accuracy, clips = reliability(probabilities, self.result.truth)
        return {
            "dataset": self.store.info.name,
            "detector": self.store.info.detector,
            "split": "+".join(self.member.splits),
            "prior": self.answering.prior,
            "num_clips": self.result.num_clips,
            "num_unreadable": self.result.num_unreadable,
            "war": self.result.war,
            "uar": self.result.uar,
            "uar_without": float(np.mean(found)) if found else None,
            "ece": self.result.ece,
            "accuracy_80": accuracy_at_coverage(probabilities, self.result.truth, COVERAGE),
            "reliability": {
                "confidence": [None if np.isnan(value) else float(value) for value in confidence],
                "accuracy": [None if np.isnan(value) else float(value) for value in accuracy],
                "clips": clips.tolist(),
            },
            "risk_coverage": {"coverage": coverage[kept].tolist(), "risk": risk[kept].tolist()},
        }


def prior_of(store: Store, info: CheckpointInfo) -> str | None:
    """Return the prior that a store is calibrated and tested under: its data set's; None for the default."""
    return store.info.name if store.info.name in info.priors else None


def fold_of(store: Store, fold: int) -> int:
    """Return the only fold of a store, or else `fold`."""
    return 1 if store.info.num_folds == 1 else fold


def measure_set(
    model: VideoModel, info: CheckpointInfo, member: CardSet, fold: int, *, checkpoint: Path, batch_size: int
) -> MeasuredSet:
    """Test a model on a set, under the set's own prior if it was calibrated under one, else under its default.

    Args:
        model: on the device to compute on.
        info: of its checkpoint.
        member: the set.
        fold: of its store, if that has several.
        checkpoint: the file it was loaded from.
        batch_size: clips at a time.

    Raises:
        DferError: the store does not fit the checkpoint, or has no such list.
    """
    store = open_store(member.path)
    prior = prior_of(store, info)
    result = evaluate_fold(
        model,
        info,
        store,
        fold_of(store, fold),
        checkpoint=checkpoint,
        batch_size=batch_size,
        prior=prior,
        splits=member.splits,
        # The figures of all sets stand under the model's own classes.
        across=None if trained_store(store, info) else Across(protocol=OPEN),
    )
    return MeasuredSet(member, store, result, choose_answering(info, prior, where=checkpoint))
