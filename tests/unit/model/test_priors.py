"""Priors: Bayes' rule by hand, whatever the loss did, and what cannot be answered is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.errors import CheckpointError, UsageError
from dfer.model.checkpoint import CheckpointInfo
from dfer.model.priors import choose_answering, comparable_answerings, tempered_shares

LABELS = ["happy", "sad", "disgust"]
TRAINED = {"happy": 0.7, "sad": 0.2, "disgust": 0.1}
# Of a face that looks disgusted: how often each emotion looks like this.
LIKELIHOODS = np.array([0.02, 0.03, 0.12])


def info(**changes: Any) -> CheckpointInfo:
    settings = {"num_classes": 3, "num_frames": 2}
    plain = CheckpointInfo(
        "logo_former_s", settings, LABELS, {"size": 48}, 48, 2, 1.0, {"name": "x"}, "", "last", 1, {}, "0"
    )
    return replace(plain, **{"prior": TRAINED, **changes})


def posterior(shares: dict[str, float]) -> list[float]:
    """Return Bayes' rule by a plain loop."""
    joint = [shares[label] * likelihood for label, likelihood in zip(LABELS, LIKELIHOODS.tolist(), strict=True)]
    return [value / sum(joint) for value in joint]


def learnt_logits(tau: float, weights: dict[str, float] | None, temperature: float) -> np.ndarray[Any, Any]:
    """Return what a perfect model would learn: weighted targets, less the adjustment; overconfident by T."""
    weighted = np.array([TRAINED[label] * (weights or {}).get(label, 1.0) for label in LABELS])
    return temperature * (np.log(weighted * LIKELIHOODS) - tau * np.log(weighted))[None]


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("weights", [None, {"happy": 0.5, "sad": 1.0, "disgust": 4.0}], ids=["plain", "weighted"])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_answers_are_bayes_rule_under_any_prior(
    tau: float, weights: dict[str, float] | None, temperature: float, tmp_path: Path
) -> None:
    (tmp_path / "use.yaml").write_text("happy: 1\nsad: 1\ndisgust: 8\n")
    checkpoint = info(logit_adjustment=tau, class_weights=weights, temperature=temperature)
    logits = learnt_logits(tau, weights, temperature)
    for prior, shares in {
        "training": TRAINED,
        "balanced": dict.fromkeys(LABELS, 1 / 3),
        "dfew": {"happy": 2445, "sad": 1894, "disgust": 145},
        str(tmp_path / "use.yaml"): {"happy": 0.1, "sad": 0.1, "disgust": 0.8},
    }.items():
        answering = choose_answering(checkpoint, prior, where="x")
        assert answering.prior == prior
        assert answering.probabilities(logits)[0].tolist() == pytest.approx(posterior(shares))


def test_a_worked_example() -> None:
    """Trained on 90 % happy, it says 3 : 1 for happy: the face itself speaks 1 : 3 against it."""
    checkpoint = info(labels=["happy", "sad"], prior={"happy": 0.9, "sad": 0.1})
    logits = np.log([[0.75, 0.25]])
    assert choose_answering(checkpoint, where="x").probabilities(logits)[0].tolist() == pytest.approx([0.75, 0.25])
    balanced = choose_answering(checkpoint, "balanced", where="x")
    assert balanced.probabilities(logits)[0].tolist() == pytest.approx([0.25, 0.75])


def test_a_share_of_zero_cannot_win_and_a_class_without_clips_does_not_gain(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("happy,1\nsad,1\ndisgust,0\n")
    answering = choose_answering(info(), str(tmp_path / "a.csv"), where="x")
    assert answering.probabilities([[0.0, 0.0, 99.0]])[0, 2] == 0
    never = choose_answering(info(prior={"happy": 0.8, "sad": 0.2, "disgust": 0.0}), "balanced", where="x")
    probabilities = never.probabilities([[1.0, 1.0, -5.0]])[0]
    assert np.isfinite(probabilities).all()
    assert probabilities.argmin() == 2


def test_the_checkpoints_own_priors_have_their_temperatures() -> None:
    own = {"default": {"shares": dict.fromkeys(LABELS, 1.0), "temperature": 2.0}}
    own["dfew"] = {"shares": {"happy": 0.5, "sad": 0.4, "disgust": 0.1}, "temperature": 3.0}
    checkpoint = info(priors=own, temperature=1.5)
    found = {prior: choose_answering(checkpoint, prior, where="x") for prior in (None, "dfew", "balanced")}
    assert [answering.temperature for answering in found.values()] == [2.0, 3.0, 1.5]
    assert [answering.prior for answering in found.values()] == ["default", "dfew", "balanced"]
    shift = found["dfew"].shift
    assert shift is not None
    assert np.exp(shift).tolist() == pytest.approx([0.5 / 0.7, 0.4 / 0.2, 0.1 / 0.1])


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "training"),
        ({"prior": None}, "training"),
        ({"logit_adjustment": 1.0}, "balanced"),
        ({"logit_adjustment": 0.5}, "as trained"),
        ({"class_weights": {"happy": 1.0, "sad": 1.0, "disgust": 2.0}}, "as trained"),
    ],
)
def test_without_a_default_the_logits_are_taken_as_they_are(changes: dict[str, Any], name: str) -> None:
    answering = choose_answering(info(**changes), where="x")
    assert (answering.prior, answering.shift) == (name, None)


def test_only_answers_that_differ_are_compared() -> None:
    def others(checkpoint: CheckpointInfo, prior: str | None = None) -> list[str]:
        chosen = choose_answering(checkpoint, prior, where="x")
        return [answering.prior for answering in comparable_answerings(checkpoint, chosen, where="x")]

    own = {"default": {"shares": {"happy": 0.5, "sad": 0.3, "disgust": 0.2}, "temperature": 1.0}}
    assert others(info()) == ["balanced"]
    assert others(info(), "balanced") == ["training"]
    assert others(info(logit_adjustment=1.0)) == ["training"]
    assert others(info(priors=own)) == ["training", "balanced"]
    assert others(info(priors=own), "dfew") == ["default", "training", "balanced"]
    assert others(info(prior=None)) == []


def test_what_cannot_be_answered_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not say .* \(a\.safetensors\)"):
        choose_answering(info(prior=None), "balanced", where="a.safetensors")
    with pytest.raises(UsageError, match="no prior or file 'dfwe'") as caught:
        choose_answering(info(), "dfwe", where="x")
    assert "balanced, training, ferplus, dfew" in str(caught.value.hint)
    helpless = info(labels=[*LABELS, "helplessness"], prior={**TRAINED, "helplessness": 0.1})
    with pytest.raises(UsageError, match="dfew has no share of 'helplessness'"):
        choose_answering(helpless, "dfew", where="x")
    assert choose_answering(helpless, "mafw", where="x").prior == "mafw"


def test_powers_of_shares() -> None:
    assert tempered_shares(TRAINED, 1) == pytest.approx(TRAINED)
    assert tempered_shares({**TRAINED, "fear": 0.0}, 0) == pytest.approx(
        {"happy": 1 / 3, "sad": 1 / 3, "disgust": 1 / 3, "fear": 0.0}
    )
    half = tempered_shares({"happy": 0.8, "sad": 0.2}, 0.5)
    assert half == pytest.approx({"happy": 2 / 3, "sad": 1 / 3})
