"""The training loss: torch's own where torch has one, soft labels, class weights, the compact part."""

from __future__ import annotations

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
