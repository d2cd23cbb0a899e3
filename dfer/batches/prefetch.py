"""Load the next batch onto the device while the current one is computed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor


def prefetch(batches: Iterator[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Yield batches on the device. For a GPU, the next one is read, pinned and copied meanwhile."""
    if device.type != "cuda":
        yield from (frames.to(device) for frames in batches)
        return
    stream = torch.cuda.Stream(device)

    def upload(frames: Tensor) -> Tensor:
        if frames.is_cuda:
            return frames
        with torch.cuda.stream(stream):
            moved = frames.pin_memory().to(device, non_blocking=True)
        stream.synchronize()  # blocks this thread, not the one that computes
        return moved

    for frames in one_ahead(batches, upload):
        frames.record_stream(torch.cuda.current_stream(device))
        yield frames


def one_ahead(batches: Iterator[Tensor], work: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Yield each batch after `work` on it; a thread gets and prepares the next one while the caller has this one."""

    def following() -> Tensor | None:
        frames = next(batches, None)
        return None if frames is None else work(frames)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(following)
        while (frames := ahead.result()) is not None:
            ahead = pool.submit(following)
            yield frames
