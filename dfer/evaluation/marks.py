"""Logits and true labels -> confusion and calibration, among all classes of a model or some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dfer.evaluation.metrics import confusion_matrix, expected_calibration_error
from dfer.evaluation.results import PriorCounts
from dfer.model.priors import Answering
from dfer.store.manifest import ManifestRow


@dataclass(frozen=True)
class Marks:
    """The answers for a list of clips, to be measured.

    Attributes:
        labels: C classes of the model.
        rows: the clips, readable or not; their labels are indices into `labels`.
        logits: float32 [N, C] of the N readable clips, in their order.
        merged: class of the model -> the class as which its answers count, see `dfer.evaluation.across`.
    """

    labels: Sequence[str]
    rows: Sequence[ManifestRow]
    logits: NDArray[np.float32] = field(repr=False)
    merged: Mapping[str, str] = field(default_factory=dict)

    def truth(self, shown: Sequence[str]) -> NDArray[np.int64]:
        """Return the true labels of the readable clips as indices into `shown`, int64 [N]."""
        return self._places([row for row in self.rows if row.ok], shown)

    def probabilities(self, under: Answering, shown: Sequence[str]) -> NDArray[np.float64]:
        """Return the probabilities of the classes `shown` among them, float64 [N, S]; each row sums to 1.

        Raises:
            UsageError: the prior gives none of them a share.
        """
        place = self._place(shown)
        found = under.among(list(place)).probabilities(self.logits[:, list(place)])
        return found if len(place) == len(shown) else found @ np.eye(len(shown))[list(place.values())]

    def counts(self, under: Answering, shown: Sequence[str]) -> PriorCounts:
        """Return the confusion of the answers among the classes `shown`, and their calibration error."""
        truth, probabilities = self.truth(shown), self.probabilities(under, shown)
        lost = self._places([row for row in self.rows if not row.ok], shown)
        return PriorCounts(
            confusion=confusion_matrix(truth, probabilities.argmax(axis=1), len(shown)),
            unreadable=np.bincount(lost, minlength=len(shown)),
            prior=under.prior,
            ece=expected_calibration_error(probabilities, truth) if len(truth) else None,
        )

    def _place(self, shown: Sequence[str]) -> dict[int, int]:
        """Return the column of each class that can be answered, in the model's order -> its place among `shown`."""
        names = [self.merged.get(label, label) for label in self.labels]
        return {column: list(shown).index(name) for column, name in enumerate(names) if name in shown}

    def _places(self, rows: Sequence[ManifestRow], shown: Sequence[str]) -> NDArray[np.int64]:
        place = self._place(shown)
        return np.array([place[row.label] for row in rows], np.int64)
