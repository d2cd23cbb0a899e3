"""Batch norm over the clips of all processes, the same code on CPUs and GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dfer.training import distributed

_AXES = (0, 2, 3)


def share_batch_norm(model: nn.Module) -> None:
    """Take batch-norm statistics over all processes from now on; names and weights stay."""
    if distributed.world_size() == 1:
        return
    for module in model.modules():
        if type(module) in (nn.BatchNorm2d, nn.BatchNorm3d):
            module.__class__ = SharedBatchNorm  # differs in what it computes, not in what it holds


def has_shared_batch_norm(model: nn.Module) -> bool:
    """Return whether batch-norm statistics are taken over all processes."""
    return any(isinstance(module, SharedBatchNorm) for module in model.modules())


def freeze_batch_norm(model: nn.Module) -> None:
    """Let batch norm normalise by the statistics that it has, and keep them; its weights learn as before."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


class SharedBatchNorm(_BatchNorm):
    """Batch norm of maps, [N, C, H, W] or [N, C, T, H, W], whose statistics are those of the clips of all processes.

    Attributes:
        counts: whether this process's clips count; if not, they are normalised by the statistics of the others.
    """

    counts = True

    def _check_input_dim(self, input: Tensor) -> None:
        """Maps of both kinds are right."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        output: Tensor = _shared_forward(self, input.flatten(2, -2))  # time and height as one axis
        return output.reshape(input.shape)


@contextmanager
def uncounted(model: nn.Module) -> Iterator[None]:
    """Leave this process's clips out of batch-norm statistics in the context."""
    shared = [module for module in model.modules() if isinstance(module, SharedBatchNorm)]
    for module in shared:
        module.counts = False
    try:
        yield
    finally:
        for module in shared:
            module.counts = True


@torch.compiler.disable  # type: ignore[untyped-decorator]  # messages cannot be part of a graph
def _shared_forward(module: SharedBatchNorm, input: Tensor) -> Tensor:
    assert module.running_mean is not None
    assert module.running_var is not None
    assert module.num_batches_tracked is not None
    assert module.momentum is not None
    mean, variance, total = _statistics(input.detach(), counts=module.counts)
    with torch.no_grad():
        module.running_mean.lerp_(mean, module.momentum)
        module.running_var.lerp_(variance * (total / (total - 1)), module.momentum)
        module.num_batches_tracked += 1
    scale = torch.rsqrt(variance + module.eps)
    output: Tensor = _Normalise.apply(input, module.weight, module.bias, mean, scale, total, module.counts)
    return output


def _statistics(input: Tensor, *, counts: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance [C] and the number of values per channel over all processes, float32.

    Each process sums its values in float32 around its own mean. Only these few sums are combined in float64: a mean
    far above the standard deviation would cancel the digits of the variance.
    """
    values = input.float()
    shift = values.mean(_AXES)
    deviations = values - shift[:, None, None]
    first, second = deviations.sum(_AXES).double(), deviations.square().sum(_AXES).double()
    shift, count = shift.double(), first.new_full((1,), values.numel() / values.shape[1])
    sums = torch.cat([first + count * shift, second + 2 * shift * first + count * shift.square(), count])
    sums = distributed.total(sums if counts else torch.zeros_like(sums))
    total = sums[-1]
    mean, square = (sums[:-1] / total).chunk(2)
    return mean.float(), (square - mean.square()).clamp(min=0).float(), total.float()


class _Normalise(torch.autograd.Function):
    """(input - mean) * scale * weight + bias. The statistics depend on the inputs of all processes that count."""

    @staticmethod
    def forward(
        context: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        scale: Tensor,
        total: Tensor,
        counts: bool,
    ) -> Tensor:
        context.save_for_backward(input, weight, mean, scale, total)
        context.counts = counts
        normal = (input.float() - mean[:, None, None]) * (scale * weight)[:, None, None]
        return (normal + bias[:, None, None]).to(input.dtype)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        input, weight, mean, scale, total = context.saved_tensors
        gradient = gradients[0].float()
        normal = (input.float() - mean[:, None, None]) * scale[:, None, None]
        of_bias, of_weight = gradient.sum(_AXES), (gradient * normal).sum(_AXES)
        # The statistics carry the gradients of every process back to each input.
        of_mean, of_scale = (distributed.total(torch.cat([of_bias, of_weight])) / total).chunk(2)
        if context.counts:
            gradient = gradient - of_mean[:, None, None] - normal * of_scale[:, None, None]
        of_input = (gradient * (scale * weight)[:, None, None]).to(input.dtype)
        return of_input, of_weight, of_bias, None, None, None, None
