"""Several processes that train one model together, as `torchrun` starts them; alone, everything here does nothing.

Each process computes its share of every batch; gradients are summed in one message after the backward pass, so that
any split of a batch gives the gradient of the whole. All processes hold the same weights; the first writes files.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from dfer.errors import DferError

Value = TypeVar("Value")
_FAILED = "dfer/failed"


@dataclass(frozen=True)
class Peers:
    """The processes of a run.

    Attributes:
        rank: this one's number, from 0.
        count: of all.
        local_count: of those on this machine, which share its memory.
    """

    rank: int = 0
    count: int = 1
    local_count: int = 1

    @property
    def alone(self) -> bool:
        """Whether this is the only process."""
        return self.count == 1

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        if self.alone:
            return
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        distributed.all_reduce(flat)
        pieces = flat.split([tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def from_first(self, value: Value) -> Value:
        """The first process's value, in all."""
        if self.alone:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box)
        result: Value = box[0]
        return result

    def from_all(self, value: Value) -> list[Value]:
        """Every process's value, by rank, in all."""
        if self.alone:
            return [value]
        boxes: list[Any] = [None] * self.count
        distributed.all_gather_object(boxes, value)
        return boxes


@contextmanager
def join_processes(device: torch.device) -> Iterator[Peers]:
    """Join the processes that `torchrun` started with this one: over NCCL on GPUs, over gloo on CPUs.

    Raises:
        DferError: another process ended; of those that notice, one says so, and the others end without a word.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Peers()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store, rank, count = next(rendezvous("env://"))
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=count
    )
    try:
        yield Peers(rank, count, int(os.environ.get("LOCAL_WORLD_SIZE", count)))
        distributed.barrier()
    except BaseException as error:
        lost = _is_lost_peer(error)
        if lost and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's; the error line must come first
        first = _is_first_to_fail(store)
        if lost and not first:
            raise SystemExit(1) from error  # somebody has said what happened
        if lost:
            raise DferError(
                "another process of this training job has ended",
                where=f"seen by process {rank} of {count}",
                hint="run the same command again: it goes on from the last saved state",
            ) from error
        raise
    distributed.destroy_process_group()


def synchronise_batch_norm(model: nn.Module, device: torch.device, peers: Peers) -> nn.Module:
    """The model with batch-norm statistics over the clips of all processes; names and weights stay."""
    if peers.alone:
        return model
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return converted
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SharedBatchNorm  # it differs in what it computes, not in what it holds
    return model


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over all processes by plain sums: torch's own is for GPUs alone."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        axes = (0, 2, 3)
        count = input.new_full((1,), input.numel() / self.num_features)
        sums: Tensor = _SumOverPeers.apply(torch.cat([input.sum(axes), input.square().sum(axes), count]))
        total = sums[-1]
        mean, square = (sums[:-1] / total).chunk(2)
        variance = (square - mean.square()).clamp(min=0)
        with torch.no_grad():
            momentum = self.momentum or 0.1
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * total / (total - 1), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return input * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


class _SumOverPeers(torch.autograd.Function):
    """The sum over all processes. Each process's loss depends on every summand, so gradients are summed too."""

    @staticmethod
    def forward(_context: Any, summand: Tensor) -> Tensor:
        total = summand.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def _is_lost_peer(error: BaseException) -> bool:
    """Whether a message failed because its partner is gone; gloo has no exception class of its own."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _is_first_to_fail(store: Any) -> bool:
    try:
        return bool(store.add(_FAILED, 1) == 1)
    except (RuntimeError, OSError):  # torchrun has gone too
        return True
