"""Load the next batch onto the device while the current one is computed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import torch
from torch import Tensor

from dfer.runtime.device import use_device


def prefetch(batches: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield batches on the device. For a GPU, the next one is read, pinned and copied meanwhile."""
    if device.type != "cuda":
        yield from (frames.to(device) for frames in batches)
        return
    stream = _upload_stream(device)

    def upload(frames: Tensor) -> Tensor:
        if frames.is_cuda:
            return frames
        with torch.cuda.stream(stream):
            moved = frames.pin_memory().to(device, non_blocking=True)
        stream.synchronize()  # blocks this thread, not the one that computes
        return moved

    for frames in one_ahead(batches, upload, begin=partial(use_device, device)):
        frames.record_stream(torch.cuda.current_stream(device))
        yield frames


@cache
def _upload_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the one stream for copies to a GPU: torch keeps the memory of each stream apart from that of others."""
    return torch.cuda.Stream(device)


def one_ahead(
    batches: Iterator[Tensor], work: Callable[[Tensor], Tensor], *, begin: Callable[[], None] = lambda: None
) -> Iterator[Tensor]:
    """Yield each batch after `work` on it; a thread gets and prepares the next one while the caller has this one.

    Args:
        batches: the batches, which the thread iterates over.
        work: called in the thread with each batch.
        begin: called in the thread first.
    """

    def following() -> Tensor | None:
        frames = next(batches, None)
        return None if frames is None else work(frames)

    with ThreadPoolExecutor(1, initializer=begin) as pool:
        ahead = pool.submit(following)
        while (frames := ahead.result()) is not None:
            ahead = pool.submit(following)
            yield frames
