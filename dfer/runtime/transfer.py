"""Copies between main memory and a GPU that nobody waits for: packed, pinned, and read when they have arrived."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

_ALIGNMENT = 16  # bytes; that of any number format


def host_empty(shape: Sequence[int], dtype: torch.dtype, *, device: torch.device) -> Tensor:
    """Return an uninitialised tensor in main memory, pinned if it is to be copied to or from a GPU."""
    return torch.empty(*shape, dtype=dtype, pin_memory=device.type == "cuda")


def upload(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Return tensors of the main memory on a device; on a GPU, they are views of one buffer, which one copy brings.

    Args:
        tensors: of any shapes and number formats.
        device: where they are needed; the copy is in order with the work of its current stream.
    """
    if device.type != "cuda":
        return [tensor.to(device) for tensor in tensors]
    sizes = [-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors]
    starts = [0, *accumulate(sizes)]
    packed = host_empty([starts[-1]], torch.uint8, device=device)
    for start, tensor in zip(starts, tensors, strict=False):
        _view(packed, start, tensor).copy_(tensor)
    moved = packed.to(device, non_blocking=True)
    return [_view(moved, start, tensor) for start, tensor in zip(starts, tensors, strict=False)]


def _view(packed: Tensor, start: int, like: Tensor) -> Tensor:
    """Return the bytes from `start` as a tensor of the shape and number format of another one."""
    nbytes = math.prod(like.shape) * like.itemsize
    return packed[start : start + nbytes].view(like.dtype).view(like.shape)


class Readback:
    """Values on their way from the device to the main memory.

    Args:
        values: must not be changed until they have been read.
    """

    def __init__(self, values: Tensor) -> None:
        self._values, self._arrived = values, None
        if values.device.type == "cuda":
            self._values = host_empty(values.shape, values.dtype, device=values.device)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(values.device))

    def read(self) -> list[float]:
        """Return the values, when they have arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        values: list[float] = self._values.tolist()
        return values
