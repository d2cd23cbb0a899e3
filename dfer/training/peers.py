"""Notice that another process has ended where no message says so: NCCL waits for it without end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

from dfer.errors import DferError

logger = logging.getLogger(__name__)

_ALIVE = "dfer/alive/{rank}"
_LEFT = 1 << 40
# torchrun kills the others 30 s after a process has failed; the error has to come before.
PATIENCE_S = 20.0
_INTERVAL_S = 1.0


class CountStore(Protocol):
    """The store that the processes share, such as `torch.distributed.TCPStore`."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to a counter, 0 if there is none, and return it."""


class PeerWatch:
    """A thread that shows the other processes a counter that grows, and reports one whose counter stands still.

    Args:
        store: the store that the processes share.
        rank: this process.
        world_size: number of processes.
        on_lost: called once, in the thread, with the rank that is silent, or this one's if the store is.
        patience_s: how long a process may be silent.
        interval_s: time between two looks.
    """

    def __init__(
        self,
        store: CountStore,
        rank: int,
        world_size: int,
        on_lost: Callable[[int], None],
        *,
        patience_s: float = PATIENCE_S,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._store, self._rank, self._on_lost = store, rank, on_lost
        self._patience_s, self._interval_s = patience_s, interval_s
        self._others = [peer for peer in range(world_size) if peer != rank]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self._thread.start()

    def stop(self, *, leaves: bool) -> None:
        """End the watch.

        Args:
            leaves: the process ends as the others do, at its own pace; otherwise its silence is to be noticed.
        """
        self._ended.set()
        if leaves:
            try:
                self._store.add(_ALIVE.format(rank=self._rank), _LEFT)
            except (RuntimeError, OSError):
                logger.debug("the process group's store has ended")

    def _watch(self) -> None:
        heard = dict.fromkeys(self._others, (0, time.monotonic()))
        while not self._ended.wait(self._interval_s):
            try:
                self._store.add(_ALIVE.format(rank=self._rank), 1)
                counts = {peer: self._store.add(_ALIVE.format(rank=peer), 0) for peer in self._others}
            except (RuntimeError, OSError):  # torchrun has ended
                counts = None
            if self._ended.is_set():
                return
            if counts is None:
                self._on_lost(self._rank)
                return
            now = time.monotonic()
            for peer, count in counts.items():
                if count != heard[peer][0]:
                    heard[peer] = count, now
                elif count < _LEFT and now - heard[peer][1] > self._patience_s:
                    self._on_lost(peer)
                    return


def lost_process(rank: int, world_size: int) -> DferError:
    """Return the error of a process that notices that another one has ended."""
    return DferError(
        "another process of this training job has ended",
        where=f"seen by rank {rank} of {world_size}",
        hint="run the same command again: it continues from the last saved state",
    )


def end_process(error: DferError | None) -> None:
    """End this process from a thread: the main one may wait for a GPU, and takes no exception.

    Args:
        error: what to report; None if another process has reported it.
    """
    if error is not None:
        logger.error("%s", error)
        logger.info("hint: %s", error.hint)
    os._exit(1)
