"""The forms of attention, dropout and window sums for a CPU: they compute what torch's own operators do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.model.ops import FEW_KEYS, Dropout, WindowSum, attend, pad_to_windows


def test_a_summary_is_a_depth_wise_convolution_whose_stride_is_its_kernel() -> None:
    grid, window = torch.randn(2, 5, 7, 6, 32), (2, 4, 3)
    layer = WindowSum(dim=32, window=window)
    nn.init.normal_(layer.weight)
    padded = pad_to_windows(grid, window).movedim(-1, 1)  # B D T H W
    expected = nn.functional.conv3d(padded, layer.weight, stride=window, groups=32).flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(grid), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("keys", [FEW_KEYS, FEW_KEYS + 1])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_in_training_is_torchs_with_its_gradients(
    dtype: torch.dtype, keys: int, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 5, 8, generator=generator).to(dtype)
    k, v = (torch.randn(2, 3, keys, 8, generator=generator).to(dtype) for _ in range(2))
    mask = torch.rand(2, 1, 1, keys, generator=generator) < 0.7 if masked else None

    def answer_and_gradients(exact: bool) -> list[Tensor]:
        inputs = [(x.double() if exact else x.clone()).requires_grad_() for x in (q, k, v)]
        answer = attend(*inputs, mask)
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
