"""Load the next batch onto the device while the current one is computed on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import torch
from torch import Tensor

from dfer.runtime.ahead import read_ahead
from dfer.runtime.device import use_device


def prefetch(batches: Iterator[Tensor], device: torch.device, *, resident: bool = False) -> Iterator[Tensor]:
    """Yield batches on the device. For a GPU, the next one is read and copied meanwhile, and nobody waits for the copy.

    Args:
        batches: in main memory, pinned for a GPU.
        device: the device.
        resident: the batches are on the device already.
    """
    if resident or device.type != "cuda":
        yield from (frames.to(device) for frames in batches)
        return
    stream = _upload_stream(device)

    def copy(frames: Tensor) -> tuple[Tensor, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            moved = frames.to(device, non_blocking=True)
        return moved, stream.record_event()

    for frames, arrived in read_ahead(map(copy, batches), begin=partial(use_device, device)):
        current = torch.cuda.current_stream(device)
        current.wait_event(arrived)
        frames.record_stream(current)
        yield frames


@cache
def _upload_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream for copies to a GPU: torch keeps the memory of each stream apart from that of others."""
    return torch.cuda.Stream(device)
