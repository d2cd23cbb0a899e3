"""The events that a training run reports while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StepProgress:
    """The figures of a live display after each step.

    Attributes:
        loss: mean over the epoch so far.
        clips_per_s: since this process began the epoch, or resumed it.
        data_wait: share of that time spent waiting for data.
        step_ms: the rest of that time, per step.
        memory_bytes: memory in use now, of the device if it has its own, else of this process.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    clips_per_s: float
    data_wait: float
    step_ms: float
    memory_bytes: int


class TrainingObserver:
    """Receives the events of a training run; the default does nothing."""

    def on_start(self, fold: int, facts: dict[str, Any]) -> None:
        """Training of a fold begins, or is resumed."""

    def on_load(self, done: int, total: int) -> None:
        """`done` of `total` crops have been decoded."""

    def on_feed(self, description: str) -> None:
        """The clips are ready; a line that says where they lie."""

    def on_step(self, progress: StepProgress) -> None:
        """A step is done."""

    def on_epoch(self, record: dict[str, Any]) -> None:
        """An epoch is done; the record is its line of metrics.jsonl."""

    def on_end(self, fold: int, record: dict[str, Any]) -> None:
        """A fold is done; the record is run.json."""


class EpochClock:
    """Measures the speed of an epoch from now on, without what an earlier process did of it."""

    def __init__(self) -> None:
        self._begun, self._clips, self._steps = time.monotonic(), 0, 0

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return time.monotonic() - self._begun

    def count(self, clips: int) -> None:
        """Count a step."""
        self._clips += clips
        self._steps += 1

    def speed(self, waited_s: float) -> dict[str, float]:
        """Return clips per second, the share of time spent waiting, and the rest of a step's time in ms.

        Args:
            waited_s: time spent waiting for data, seconds.

        Returns:
            "clips_per_s", "data_wait" and "step_ms"; nothing before the first step.
        """
        if not self._steps:
            return {}
        spent = self.seconds
        return {
            "clips_per_s": self._clips / spent,
            "data_wait": waited_s / spent,
            "step_ms": 1000 * (spent - waited_s) / self._steps,
        }
