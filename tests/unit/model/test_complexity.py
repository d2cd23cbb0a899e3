"""Parameters and multiply-adds: against sums by hand, and without side effects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dfer.model import LogoFormer
from dfer.model.complexity import count_gmacs, count_parameters

SMALL: dict[str, Any] = {
    "num_classes": 3,
    "num_frames": 4,
    "image_size": 64,
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "window": (2, 3, 3),
    "stem_width": 4,
}


class ConvolveAndMean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, clips: Tensor) -> Tensor:
        return self.head(self.convolution(clips.flatten(0, 1)).mean(dim=(0, 2, 3)))


def test_parameters_by_hand_without_the_frozen_ones() -> None:
    model = ConvolveAndMean()
    assert count_parameters(model) == (3 * 8 * 9 + 8) + (8 * 5 + 5)
    model.convolution.requires_grad_(False)
    assert count_parameters(model) == 8 * 5 + 5


def test_gmacs_by_hand() -> None:
    expected = 2 * 10 * 10 * 8 * 3 * 9 + 8 * 5
    assert count_gmacs(ConvolveAndMean(), num_frames=2, image_size=10) * 1e9 == pytest.approx(expected)


@pytest.mark.parametrize("pool", ["mean", "class_token"])
@pytest.mark.parametrize("attention", ["local_global", "local", "global", "joint"])
def test_counting_by_shapes_equals_counting_in_a_real_run(attention: Any, pool: Any) -> None:
    model = LogoFormer(**SMALL, attention=attention, pool=pool).eval().requires_grad_(False)
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        model(torch.zeros(1, 4, 3, 64, 64))
    assert count_gmacs(model, 4, 64) * 2e9 == pytest.approx(counter.get_total_flops())


def test_counting_does_not_change_the_model() -> None:
    model = LogoFormer(**SMALL, dropout=0.5).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_gmacs(model, 4, 64)
    assert model.training
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
