"""Batch norm over several processes is torch's own on the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dfer.model.r2plus1d_18 import R2Plus1d18
from dfer.training.batch_norm import SharedBatchNorm, freeze_batch_norm, share_batch_norm, uncounted
from tests.unit.training.group import in_group

SPREADS = [pytest.param(0.0, 1.0, id="usual"), pytest.param(10.0, 0.01, id="mean far above the spread")]


def norm() -> nn.BatchNorm2d:
    module = nn.BatchNorm2d(3)
    module.weight.data, module.bias.data = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([0.0, -1.0, 1.0])
    return module


def batch(mean: float, std: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (7, 3, 4, 5)
    return mean + std * torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def run(module: nn.BatchNorm2d, values: Tensor, gradient: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    values = values.to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = module(values)
    assert output.dtype == dtype
    output.backward(gradient.to(dtype))
    assert values.grad is not None
    assert values.grad.dtype == dtype
    return {
        "output": output.detach(), "input": values.grad,
        "weight": module.weight.grad, "bias": module.bias.grad,
        "running_mean": module.running_mean, "running_var": module.running_var,
    }  # type: ignore[dict-item]  # fmt: skip


@pytest.mark.parametrize("share", [2, 3, 6, 7], ids=lambda share: f"{share} of 7 clips")
@pytest.mark.parametrize(("mean", "std"), SPREADS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
def test_shares_of_a_batch_give_what_the_whole_gives(
    share: int, mean: float, std: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 7 of 7 the second process has no clip of its own, and computes others that do not count."""
    values, gradient = batch(mean, std)
    values = values.to(dtype).float()
    precise = norm().double()
    whole = run(precise, values.double(), gradient.to(dtype).double(), torch.float64)
    parts = [slice(0, share), slice(share, 7)]

    def one_process(rank: int) -> dict[str, Tensor]:
        module = norm()
        share_batch_norm(module)
        assert type(module) is SharedBatchNorm
        if values[parts[rank]].numel():
            return run(module, values[parts[rank]], gradient[parts[rank]], dtype)
        with uncounted(module):
            found = run(module, 5 + values[:2], torch.zeros(2, 3, 4, 5), dtype)
        assert not found["input"].any()
        return found | {"output": found["output"][:0], "input": found["input"][:0]}

    one, two = in_group(monkeypatch, 2, one_process)
    assert isinstance(one, dict), one
    assert isinstance(two, dict), two
    close = {"rtol": 1e-3, "atol": 1e-3} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
    for name in ("output", "input"):
        found = torch.cat([one[name], two[name]]).double()
        scale = whole[name].abs().max()
        torch.testing.assert_close(found / scale, whole[name] / scale, **close)
    for name in ("weight", "bias"):
        torch.testing.assert_close((one[name] + two[name]).double(), whole[name], **close)
    for found in (one, two):
        torch.testing.assert_close(found["running_mean"].double(), whole["running_mean"], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found["running_var"].double(), whole["running_var"], rtol=1e-3, atol=1e-7)


def test_the_variance_is_right_where_the_mean_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    values, _ = batch(10.0, 0.01)

    def variance(rank: int) -> Tensor:
        module = nn.BatchNorm2d(3, momentum=1.0)
        share_batch_norm(module)
        module(values[:4] if rank == 0 else values[4:])
        assert module.running_var is not None
        return module.running_var

    for found in in_group(monkeypatch, 2, variance):
        assert isinstance(found, Tensor), found
        torch.testing.assert_close(found.double(), values.double().transpose(0, 1).flatten(1).var(1), rtol=1e-3, atol=0)


def test_maps_with_a_time_axis_share_their_statistics_too(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 3 + torch.randn(6, 3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    whole = nn.BatchNorm3d(3).double()
    expected = whole(values.double())

    def one_process(rank: int) -> tuple[Tensor, Tensor]:
        module = nn.BatchNorm3d(3)
        share_batch_norm(module)
        output = module(values[:2] if rank == 0 else values[2:])
        assert isinstance(module.running_var, Tensor)
        return output.detach(), module.running_var

    one, two = in_group(monkeypatch, 2, one_process)
    assert isinstance(one, tuple), one
    assert isinstance(two, tuple), two
    torch.testing.assert_close(torch.cat([one[0], two[0]]).double(), expected.detach(), rtol=1e-4, atol=1e-4)
    for _, variance in (one, two):
        torch.testing.assert_close(variance.double(), whole.running_var, rtol=1e-4, atol=1e-6)


def test_frozen_batch_norm_keeps_its_statistics_whatever_the_maps() -> None:
    model = R2Plus1d18(num_classes=3, num_frames=4, image_size=32, stem_width=4)
    freeze_batch_norm(model)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.rand(2, 4, 3, 32, 32))
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
