"""Priors: how often each emotion is expected, which is a choice of the use and not of the model.

A model learns how often its training clips show each emotion. By Bayes' rule, dividing its probabilities by the prior λ
that its logits stand for, and multiplying them by the prior ρ of the use, gives its answers for that use:

    probabilities = softmax(logits / T + log ρ - log λ),    λ = (w π)^(1 - τ)

with π the shares of the classes in training, w the class weights of the loss, and τ its logit adjustment. The
temperature T divides only the logits, since it calibrates what the model has learnt, and a prior needs no calibration.

Source: M. Saerens et al., "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
    Neural Computation, 2002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfer.errors import CheckpointError, UsageError
from dfer.model.calibration import class_probabilities
from dfer.model.checkpoint import CheckpointInfo
from dfer.shares import BALANCED, DATASET_COUNTS, TRAINING, read_shares

DEFAULT, AS_TRAINED = "default", "as trained"


@dataclass(frozen=True)
class Answering:
    """A way from a model's logits to probabilities: the prior, and the temperature.

    Attributes:
        prior: the name of the prior, or its file.
        temperature: divides the logits.
        shift: log ρ - log λ of each class, float64 [C]; None for 0.
    """

    prior: str
    temperature: float = 1.0
    shift: NDArray[np.float64] | None = field(default=None, repr=False)

    def probabilities(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Return class probabilities, float64 [N, C], of logits float [N, C]."""
        return class_probabilities(logits, self.temperature, self.shift)

    def among(self, columns: Sequence[int]) -> Answering:
        """Return the same for logits of some classes only, whose probabilities are then divided by their sum.

        Raises:
            UsageError: the prior gives none of them a share.
        """
        if self.shift is None:
            return self
        shift = self.shift[list(columns)]
        if not np.isfinite(shift).any():
            raise UsageError(f"the prior {self.prior} has no share of the classes that are tested", where="--prior")
        return replace(self, shift=shift)


def choose_answering(info: CheckpointInfo, prior: str | None = None, *, where: str | Path) -> Answering:
    """Return how a checkpoint answers under a prior.

    Args:
        info: the checkpoint's settings.
        prior: "balanced", "training", "default", a data set of `DATASET_COUNTS`, or a file, see `read_shares`; None for
            the checkpoint's default, and without one for the prior that its logits stand for.
        where: the checkpoint, for errors.

    Raises:
        UsageError: there is no such prior, or it does not have the checkpoint's labels.
        CheckpointError: the checkpoint does not say under which prior it was trained.
    """
    if prior is None and DEFAULT not in info.priors:
        return Answering(_name_as_trained(info), info.temperature)
    name = DEFAULT if prior is None else prior
    shares = _shares(name, info)
    shift = prior_shift(info, shares, where=where)
    calibrated = info.priors.get(name)
    return Answering(name, calibrated["temperature"] if calibrated else info.temperature, shift)


def prior_shift(info: CheckpointInfo, shares: Mapping[str, float], *, where: str | Path) -> NDArray[np.float64]:
    """Return log ρ - log λ of each class, float64 [C]: -inf for a class of share 0.

    Args:
        info: the settings of the checkpoint, which decide λ.
        shares: ρ by label; it need not sum to 1.
        where: the checkpoint, for errors.

    Raises:
        CheckpointError: the checkpoint does not say under which prior it was trained.
    """
    if info.prior is None:
        raise CheckpointError(
            "this checkpoint does not say how often its training showed each emotion: it knows no other prior",
            where=where,
            hint="leave out --prior, or train again with this dfer",
        )
    learnt = np.array([info.prior[label] * (info.class_weights or {}).get(label, 1.0) for label in info.labels])
    learnt = learnt / learnt.sum()
    # As in training, a class without clips counts as frequent: the model knows it only as one that is not there.
    log_learnt = (1 - info.logit_adjustment) * np.log(np.where(learnt > 0, learnt, 1.0))
    target = np.array([shares[label] for label in info.labels], np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(target / target.sum()) - log_learnt)


def tempered_shares(shares: Mapping[str, float], power: float) -> dict[str, float]:
    """Return shares to a power, normalised: 1 leaves them, 0 makes all classes equal that have any."""
    raised = {label: share**power if share > 0 else 0.0 for label, share in shares.items()}
    total = sum(raised.values())
    return {label: share / total for label, share in raised.items()}


def comparable_answerings(info: CheckpointInfo, chosen: Answering, *, where: str | Path) -> list[Answering]:
    """Return the answers under the default, the training and the balanced prior that differ from the chosen ones."""
    if info.prior is None:
        return []
    found = [chosen]
    for name in (*([DEFAULT] if DEFAULT in info.priors else []), TRAINING, BALANCED):
        other = choose_answering(info, name, where=where)
        if not any(_same_answers(other, known) for known in found):
            found.append(other)
    return found[1:]


def _same_answers(one: Answering, other: Answering) -> bool:
    first, second = (np.zeros(1) if a.shift is None else a.shift - a.shift.max() for a in (one, other))
    return one.temperature == other.temperature and np.allclose(first, second)


def _name_as_trained(info: CheckpointInfo) -> str:
    plain = info.logit_adjustment == 0 and info.class_weights is None
    return TRAINING if plain else BALANCED if info.logit_adjustment == 1 else AS_TRAINED


def _shares(name: str, info: CheckpointInfo) -> Mapping[str, float]:
    if name in info.priors:
        return info.priors[name]["shares"]
    if name == BALANCED:
        return dict.fromkeys(info.labels, 1.0)
    if name == TRAINING:
        return info.prior or dict.fromkeys(info.labels, 1.0)  # without one, the shift is refused
    if name in DATASET_COUNTS:
        return dataset_shares(name, info.labels)
    if not Path(name).exists():
        names = ", ".join(dict.fromkeys((BALANCED, TRAINING, *info.priors, *DATASET_COUNTS)))
        raise UsageError(f"no prior or file {name!r}", where="--prior", hint=f"{names}, or a file of label: share")
    return read_shares(Path(name), info.labels)


def dataset_shares(name: str, labels: Sequence[str]) -> dict[str, float]:
    """Return how often a data set shows each of the labels, relative to all of them.

    Args:
        name: a key of `DATASET_COUNTS`.
        labels: the labels of the model.

    Raises:
        UsageError: the data set does not have one of the labels.
    """
    counts = DATASET_COUNTS[name]
    missing = [label for label in labels if label not in counts]
    if missing:
        hint = f"write a file with a line `label: share` for each of {', '.join(labels)}"
        raise UsageError(f"the prior {name} has no share of {missing[0]!r}", where="--prior", hint=hint)
    total = sum(counts[label] for label in labels)
    return {label: counts[label] / total for label in labels}
