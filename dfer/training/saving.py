"""Save a run's progress by time and in the background, so that no step waits for a disk."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch.utils._pytree import tree_map

from dfer.training.artifacts import FinishedEpoch, FoldFolder, TrainingState
from dfer.training.setup import Learner


class Saver:
    """Keeps what is to be saved, and writes it when it is time: checkpoints, metrics and, last, the state.

    What is on the disk is thus that of one moment; a run that is killed repeats what came after it.

    Args:
        folder: the fold's folder.
        learner: what is trained.
        minutes: longest time between two saves.
    """

    def __init__(self, folder: FoldFolder, learner: Learner, minutes: float) -> None:
        self._folder, self._learner, self._seconds = folder, learner, 60 * minutes
        self._last: FinishedEpoch | None = None
        self._best: FinishedEpoch | None = None
        self._history: list[dict[str, Any]] = []
        self._saved_at = time.monotonic()
        self._writing: Future[None] | None = None

    @property
    def due(self) -> bool:
        """True if the last save is long enough ago."""
        return time.monotonic() - self._saved_at > self._seconds

    def finish_epoch(self, state: TrainingState) -> None:
        """Keep the weights of an epoch that has been validated."""
        self._last = FinishedEpoch(_copied(self._learner.evaluated.state_dict()), state.history[-1])
        self._history = list(state.history)
        if self._last.record is state.best:
            self._best = self._last

    def save(self, state: TrainingState) -> None:
        """Begin to write what there is now; what an earlier save could not write is reported here.

        Raises:
            DferError: the disk is full, or the folder cannot be written.
        """
        self.wait()
        now = TrainingState(**copy.deepcopy(vars(state)))
        tensors = _copied(self._learner.state_dicts())
        pool = ThreadPoolExecutor(1, "saving")
        self._writing = pool.submit(self._write, self._last, self._best, now, tensors)
        pool.shutdown(wait=False)
        self._last = self._best = None

    def restart_clock(self) -> None:
        """Count from now on until the next save is due: this process, or another one, has saved."""
        self._saved_at = time.monotonic()

    def wait(self) -> None:
        """Wait until everything is on the disk.

        Raises:
            DferError: the disk is full, or the folder cannot be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Let a save that has begun come to its end, and write the checkpoints of epochs that were finished after it.

        Raises:
            DferError: the disk is full, or the folder cannot be written.
        """
        if self._writing is not None:
            futures.wait([self._writing])
        self._write_epochs(self._last, self._best, self._history)
        self._last = self._best = None

    def _write(
        self, last: FinishedEpoch | None, best: FinishedEpoch | None, state: TrainingState, tensors: dict[str, Any]
    ) -> None:
        self._write_epochs(last, best, state.history)
        self._folder.save_state(tensors, state)

    def _write_epochs(
        self, last: FinishedEpoch | None, best: FinishedEpoch | None, history: Sequence[dict[str, Any]]
    ) -> None:
        if last is not None:
            self._folder.write_checkpoints(self._learner, last=last, best=best)
            self._folder.write_metrics(history)


def _copied(tree: Any) -> Any:
    """Return nested dictionaries with their tensors copied to main memory."""
    return tree_map(lambda value: value.to("cpu", copy=True) if torch.is_tensor(value) else value, tree)
