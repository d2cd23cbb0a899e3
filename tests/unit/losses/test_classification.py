"""The classification losses against their formulas, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.losses.classification import cross_entropy_per_class, focal_per_class, ldam_margins, ldam_per_class

C = 5


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(8, C, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def test_cross_entropy_is_torchs_for_each_class(logits: Tensor) -> None:
    for label in range(C):
        expected = F.cross_entropy(logits, torch.full((len(logits),), label), reduction="none")
        assert torch.allclose(cross_entropy_per_class(logits)[:, label], expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_equals_the_formula(logits: Tensor, gamma: float) -> None:
    losses = focal_per_class(logits, gamma)
    for row, row_losses in zip(logits.tolist(), losses.tolist(), strict=True):
        for q, value in zip(softmax(row), row_losses, strict=True):
            assert value == pytest.approx(-((1 - q) ** gamma) * math.log(q))


def test_focal_has_a_gradient_where_the_answer_is_certain() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    focal_per_class(logits, 0.5).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_ldam_equals_the_formula(logits: Tensor) -> None:
    margins = [0.5, 0.1, 0.0, 0.3, 0.2]
    losses = ldam_per_class(logits, torch.tensor(margins), scale=3.0)
    for row, row_losses in zip(logits.tolist(), losses.tolist(), strict=True):
        for label, value in enumerate(row_losses):
            lowered = [3 * (z - (margins[label] if index == label else 0)) for index, z in enumerate(row)]
            assert value == pytest.approx(-math.log(softmax(lowered)[label]), rel=1e-6)


def test_margins_follow_the_fourth_root_and_an_absent_class_has_none() -> None:
    margins = ldam_margins(torch.tensor([16, 256, 0, 1]), 0.5)
    assert margins.tolist() == pytest.approx([0.25, 0.125, 0.0, 0.5])
    assert ldam_margins(torch.zeros(3, dtype=torch.int64), 0.5).tolist() == [0, 0, 0]
