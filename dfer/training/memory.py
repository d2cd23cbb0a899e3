"""How many clips would have fitted, after the device's memory was full."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from dfer.errors import DferError


def largest_fitting(trial: Callable[[int], None], failing: int) -> int:
    """The largest number of clips that can be computed at a time, to an eighth; 0 if not even one can.

    Args:
        trial: computes so many clips, and raises torch.OutOfMemoryError where they are too many.
        failing: a number that is too many.
    """
    fitting = 0
    while failing - fitting > max(1, failing // 8):
        count = (fitting + failing) // 2
        try:
            trial(count)
        except torch.OutOfMemoryError:
            failing = count
        else:
            fitting = count
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return fitting


def out_of_memory(
    trial: Callable[[int], None] | None, *, batch: int, accumulate: int, peers: int, where: str
) -> DferError:
    """The error to report, with the batch that would fit.

    Args:
        trial: see `largest_fitting`; None where it cannot be tried.
        batch: clips in a batch, over all processes.
        accumulate: parts that each process computes it in.
        peers: processes.
        where: the device.
    """
    at_once = -(-batch // (accumulate * peers))
    what = f"the device's memory is full at batch {batch}, {at_once} clips at a time"
    fitting = at_once // 2 if trial is None else largest_fitting(trial, at_once)
    if fitting == 0:
        return DferError(
            f"{what}: not even one clip fits", where=where, hint="try a smaller model.image_size or model.num_frames"
        )
    parts = -(-batch // (fitting * peers))
    verb = "may fit" if trial is None else "fit"
    hint = f"train.batch_size={fitting * accumulate * peers}, or the same batch in parts: optim.accumulate={parts}"
    return DferError(f"{what}; {fitting} at a time {verb}", where=where, hint=hint)
