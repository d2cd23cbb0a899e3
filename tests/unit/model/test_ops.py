"""The forms of attention, dropout and window sums for a CPU: they compute what torch's own operators do."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.model.ops import FEW_KEYS, FEW_KEYS_WITHOUT_GRADIENTS, Dropout, Grid, WindowSum, attend, by_window


@pytest.mark.parametrize("window", [(2, 4, 3), (1, 1, 1), (5, 7, 6), (4, 9, 9)], ids=str)
def test_each_window_of_a_grid_is_given_once_in_its_place(window: Grid) -> None:
    grid, sizes = torch.randn(2, 5, 7, 6, 8), []

    def count(windows: Tensor) -> Tensor:
        sizes.extend([tuple(windows.shape[1:4])] * windows.shape[0])
        return 2 * windows

    assert torch.equal(by_window(grid, window, count), 2 * grid)
    assert sum(math.prod(size) for size in sizes) == 2 * 5 * 7 * 6
    windows = [-(-size // length) for size, length in zip((5, 7, 6), window, strict=True)]
    assert len(sizes) == 2 * math.prod(windows)
    sums = by_window(grid, window, lambda found: found.sum(dim=(1, 2, 3), keepdim=True))
    assert sums.shape == (2, *windows, 8)
    torch.testing.assert_close(sums.sum(dim=(1, 2, 3)), grid.sum(dim=(1, 2, 3)))


def test_a_summary_is_a_depth_wise_convolution_whose_stride_is_its_kernel() -> None:
    grid, window = torch.randn(2, 5, 7, 6, 32), (2, 4, 3)
    layer = WindowSum(dim=32, window=window)
    nn.init.normal_(layer.weight)
    padded = F.pad(grid, (0, 0, 0, 0, 0, 1, 0, 1)).movedim(-1, 1)  # B D T H W
    expected = nn.functional.conv3d(padded, layer.weight, stride=window, groups=32).flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(grid), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("keys", [FEW_KEYS, FEW_KEYS + 1])
def test_attention_in_training_is_torchs_with_its_gradients(
    dtype: torch.dtype, keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 5, 8, generator=generator).to(dtype)
    k, v = (torch.randn(2, 3, keys, 8, generator=generator).to(dtype) for _ in range(2))

    def answer_and_gradients(exact: bool) -> list[Tensor]:
        inputs = [(x.double() if exact else x.clone()).requires_grad_() for x in (q, k, v)]
        answer = attend(*inputs)
        return [x.double() for x in (answer, *torch.autograd.grad(answer.square().sum(), inputs))]

    expected = answer_and_gradients(exact=True)
    fused = []
    original = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **b: fused.append(1) or original(*a, **b))
    found = answer_and_gradients(exact=False)
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() < tolerance * other.abs().max()
    assert bool(fused) == (dtype == torch.float32 or keys > FEW_KEYS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("keys", [FEW_KEYS_WITHOUT_GRADIENTS, FEW_KEYS_WITHOUT_GRADIENTS + 1])
def test_attention_without_gradients_is_torchs(dtype: torch.dtype, keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 8, generator=generator).to(dtype) for n in (5, keys, keys))
    expected = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    fused = []
    original = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **b: fused.append(1) or original(*a, **b))
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    assert (attend(q, k, v) - expected).abs().max() < tolerance * expected.abs().max()
    assert bool(fused) == (dtype == torch.float32 or keys > FEW_KEYS_WITHOUT_GRADIENTS)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_of_what_it_lets_through(rate: float) -> None:
    layer, x = Dropout(rate), torch.ones(501, 401, requires_grad=True)  # no multiple of 4
    torch.manual_seed(0)
    first = layer(x)
    kept = first != 0
    assert kept.double().mean() == pytest.approx(1 - rate, abs=0.005)
    assert torch.allclose(first[kept], torch.tensor(1 / (1 - rate)))
    # Neither neighbours nor the four values of one number hang together.
    signs = kept.flatten().double() - kept.double().mean()
    for distance in (1, 2, 3, 4):
        assert abs(float((signs[distance:] * signs[:-distance]).mean() / signs.square().mean())) < 0.01
    (gradient,) = torch.autograd.grad(first.sum(), x)
    assert torch.equal(gradient, first)
    assert not torch.equal(layer(x), first)
    torch.manual_seed(0)
    assert torch.equal(layer(x), first)
    assert layer.eval()(x) is x
