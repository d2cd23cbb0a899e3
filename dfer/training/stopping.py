"""Reasons to end a run before its last epoch: Ctrl-C, a loss that diverges, full memory."""

from __future__ import annotations

import gc
import logging
import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import TracebackType

import torch

from dfer.errors import DferError
from dfer.runtime.signals import stop_handler

logger = logging.getLogger(__name__)

WINDOW = 200  # steps that the usual loss is taken from
PATIENCE = 20  # consecutive steps that must be far off
FACTOR = 5.0


class Interrupt:
    """A context in which the first Ctrl-C, SIGTERM or SIGHUP only sets `requested`; a second one acts at once.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Interrupt:
        self._handler = stop_handler(self._request)
        self._handler.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handler.__exit__(kind, error, trace)

    def _request(self, _number: int, again: bool) -> None:
        if again:
            raise KeyboardInterrupt
        self.requested = True
        logger.warning("stopping after this step; the state is being saved")


class DivergenceWatch:
    """Detects losses that stay far above both their running median and chance level, step after step.

    It is cautious: a hard batch, a restart of the learning rate or a slow rise do not count. A resumed run starts
    watching from scratch; no result depends on it.

    Args:
        num_classes: C; guessing has a loss of log C.
    """

    def __init__(self, num_classes: int) -> None:
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._chance = math.log(num_classes)
        self._far = 0

    def diverged(self, loss: float) -> bool:
        """Take a step's loss, and return whether training counts as diverged with it."""
        if not math.isfinite(loss):
            return True
        usual = max(median(self._usual), self._chance) if self._usual else math.inf
        if loss > FACTOR * usual:
            self._far += 1
        else:
            self._far = 0
            self._usual.append(loss)
        return self._far >= PATIENCE


def diverged(what: str, *, where: str, folder: Path) -> DferError:
    """Return the error that reports a diverged training.

    Args:
        what: what is wrong, and when.
        where: the clips, or the folder.
        folder: the folder of the fold.
    """
    hint = f"lower optim.lr or set optim.clip_grad_norm; the last good state is kept in {folder}"
    return DferError(f"training diverged: {what}", where=where, hint=hint)


def largest_fitting(trial: Callable[[int], None], failing: int) -> int:
    """Return the largest number of clips that can be computed at a time, to an eighth; 0 if not even one can.

    Args:
        trial: computes a number of clips, and raises torch.OutOfMemoryError where they are too many.
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
    trial: Callable[[int], None] | None, *, batch: int, accumulate: int, world_size: int, where: str
) -> DferError:
    """Return the error to report, with a batch that would fit.

    Args:
        trial: see `largest_fitting`; None where nothing can be tried.
        batch: clips in a batch, over all processes.
        accumulate: number of parts that each process computes it in.
        world_size: number of processes.
        where: the device.
    """
    at_once = -(-batch // (accumulate * world_size))
    what = f"out of memory at batch size {batch}, {at_once} clips at a time"
    fitting = at_once // 2 if trial is None else largest_fitting(trial, at_once)
    if fitting == 0:
        return DferError(
            f"{what}: not even one clip fits", where=where, hint="try a smaller model.image_size or model.num_frames"
        )
    parts = -(-batch // (fitting * world_size))
    verb = "may fit" if trial is None else "fit"
    hint = f"train.batch_size={fitting * accumulate * world_size}, or the same batch in parts: optim.accumulate={parts}"
    return DferError(f"{what}; {fitting} at a time {verb}", where=where, hint=hint)
