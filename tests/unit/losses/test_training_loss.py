"""The training loss: torch's own where torch has one, soft labels, class weights, the compact part."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.losses import LOSSES
from dfer.losses.training_loss import LossSection, TrainingLoss, class_weights


def batch(size: int = 12, classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(size, classes, generator=generator, dtype=torch.float64)
    return logits, torch.arange(size) % (classes - 1), torch.zeros(size, 8)  # the last class is absent


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["none", "balanced", "effective"])
def test_cross_entropy_is_torchs_own(smoothing: float, weights: Any) -> None:
    logits, labels, features = batch()
    counts = torch.tensor([30, 8, 2, 0])
    settings = LossSection(class_weights=weights, label_smoothing=smoothing, compact_weight=0)
    loss = TrainingLoss(settings, counts=counts, dim=8)
    expected = F.cross_entropy(
        logits.float(), labels, weight=class_weights(counts, settings), label_smoothing=smoothing
    )
    entropy, compact = loss(logits, F.one_hot(labels, 4).float(), features)
    assert entropy.item() == pytest.approx(expected.item(), rel=1e-6)
    assert compact == 0


def test_effective_numbers_equal_the_formula_and_an_absent_class_has_no_weight() -> None:
    counts, beta = torch.tensor([500, 20, 0, 1]), 0.99
    weights = class_weights(counts, LossSection(class_weights="effective", effective_beta=beta))
    assert weights is not None
    raw = [0.0 if n == 0 else (1 - beta) / (1 - beta**n) for n in counts.tolist()]
    scale = 521 / sum(weight * n for weight, n in zip(raw, counts.tolist(), strict=True))
    assert weights.tolist() == pytest.approx([scale * weight for weight in raw])


@pytest.mark.parametrize("name", LOSSES)
def test_soft_labels_give_the_expected_loss(name: Any) -> None:
    logits, labels, features = batch()
    loss = TrainingLoss(LossSection(name=name, compact_weight=0.3), counts=torch.tensor([5, 3, 9, 1]), dim=8)
    first, second = F.one_hot(labels, 4).float(), F.one_hot((labels + 1) % 4, 4).float()
    mixed = torch.stack(loss(logits, 0.7 * first + 0.3 * second, features))
    expected = 0.7 * torch.stack(loss(logits, first, features)) + 0.3 * torch.stack(loss(logits, second, features))
    assert torch.allclose(mixed, expected, rtol=1e-5)


def test_class_weights_wait_for_their_epoch() -> None:
    logits, labels, features = batch()
    targets, counts = F.one_hot(labels, 4).float(), torch.tensor([30, 8, 2, 1])

    def at(epoch: float, **settings: Any) -> float:
        loss = TrainingLoss(LossSection(name="ldam", compact_weight=0, **settings), counts=counts, dim=8)
        return float(loss(logits, targets, features, epoch=epoch)[0])

    deferred = {"class_weights": "effective", "reweight_epoch": 3}
    assert at(2.9, **deferred) == at(0)
    assert at(3.0, **deferred) == at(0, class_weights="effective") != at(0)


def test_balanced_weights_give_every_class_the_same_say() -> None:
    counts = torch.tensor([30, 10, 0, 5])
    weights = class_weights(counts, LossSection(class_weights="balanced"))
    assert weights is not None
    assert torch.allclose((weights * counts)[counts > 0], torch.full((3,), 15.0))
    assert weights[2] == 0
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0)
    assert class_weights(counts, LossSection(class_weights="none")) is None


def test_loss_is_cross_entropy_plus_the_compact_part() -> None:
    logits, labels = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 5
    targets, counts = torch.nn.functional.one_hot(labels, 5).float(), torch.ones(5, dtype=torch.int64)
    with_compact = TrainingLoss(LossSection(compact_weight=0.5), counts=counts, dim=4)
    without = TrainingLoss(LossSection(compact_weight=0.0), counts=counts, dim=4)
    entropy, compact = with_compact(logits, targets, torch.zeros(6, 4))
    assert entropy == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())
    assert compact > 0
    assert without(logits, targets, torch.zeros(6, 4))[1] == 0


SHARES = [0.5, 0.3, 0.2, 0.0]


def adjusted_by_a_loop(row: list[float], tau: float, shares: list[float]) -> list[float]:
    """Return the logits of a clip + τ · log share; a class without clips is left as it is."""
    return [z + (tau * math.log(share) if share else 0.0) for z, share in zip(row, shares, strict=True)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_the_adjustment_equals_a_plain_loop(name: Any, tau: float) -> None:
    logits, labels, features = batch()
    settings = LossSection(name=name, logit_adjustment=tau, ldam_margin=0, ldam_scale=3, focal_gamma=2)
    loss = TrainingLoss(settings, counts=torch.tensor(SHARES) * 70, dim=8)
    losses = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        scaled = [3 * z for z in row] if name == "ldam" else row
        powers = [math.exp(z) for z in adjusted_by_a_loop(scaled, tau, SHARES)]
        q = powers[label] / sum(powers)
        losses.append(-math.log(q) * ((1 - q) ** 2 if name == "focal" else 1))
    found = loss(logits, F.one_hot(labels, 4).float(), features)
    assert found[0].item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    plain = TrainingLoss(settings.model_copy(update={"logit_adjustment": 0.0}), counts=torch.ones(4), dim=8)
    assert found[1] == plain(logits, F.one_hot(labels, 4).float(), features)[1]  # the compact part is not adjusted


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("counts", [[40, 5, 0], [0.2, 7.5, 0.1], [0, 0, 3]])
def test_no_adjustment_is_infinite(name: Any, counts: list[float]) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    settings = LossSection(name=name, logit_adjustment=2, class_weights="sqrt", label_smoothing=0.1)
    loss = TrainingLoss(settings, counts=torch.tensor(counts), dim=8)
    entropy, _ = loss(logits, torch.eye(3)[[2] * 6] + 1e-6, torch.zeros(6, 8))
    entropy.backward()
    assert torch.isfinite(entropy)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_the_prior_is_the_shares_as_the_loss_weighs_them() -> None:
    counts = torch.tensor([60, 30, 10, 0])
    plain = TrainingLoss(LossSection(), counts=counts, dim=8)
    assert plain.prior().tolist() == pytest.approx([0.6, 0.3, 0.1, 0.0])
    settings = LossSection(class_weights="balanced", reweight_epoch=2)
    deferred = TrainingLoss(settings, counts=counts, dim=8)
    assert deferred.prior(1.5).tolist() == pytest.approx([0.6, 0.3, 0.1, 0.0])
    assert deferred.prior(2).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])


def recalls_of_a_linear_model(tau: float) -> list[float]:
    """Return the recalls on balanced clips of a head trained on 300, 60 and 12 overlapping ones of three classes."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])

    def clips(counts: list[int]) -> tuple[Tensor, Tensor]:
        labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
        return centres[labels] + torch.randn(len(labels), 2, generator=generator), labels

    features, labels = clips([300, 60, 12])
    settings = LossSection(logit_adjustment=tau, compact_weight=0)
    loss = TrainingLoss(settings, counts=torch.bincount(labels), dim=2)
    head = torch.nn.Linear(2, 3)
    torch.nn.init.zeros_(head.weight)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total, _ = loss(head(features), F.one_hot(labels, 3).float(), features)
        total.backward()
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    features, labels = clips([1000, 1000, 1000])
    predicted = head(features).argmax(1)
    return [float((predicted[labels == label] == label).float().mean()) for label in range(3)]


def test_the_adjustment_raises_the_recall_of_rare_classes() -> None:
    plain, half, balanced = (recalls_of_a_linear_model(tau) for tau in (0.0, 0.5, 1.0))
    assert plain[2] + 0.1 < half[2] < balanced[2] - 0.05
    assert plain[2] < 0.5 < 0.7 < balanced[2]
    assert sum(plain) < sum(half) < sum(balanced)
