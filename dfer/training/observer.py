"""What a training run tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StepProgress:
    """What a live display shows after each step.

    Attributes:
        loss: mean over the epoch so far.
        data_wait: share of the time waited for data.
        step_ms: the rest of the time, per step.
        memory_bytes: taken now, of the device where it has its own, else of main memory.
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
    """Told how training goes; the default does nothing."""

    def on_start(self, fold: int, facts: dict[str, Any]) -> None:
        """Training of a fold begins, or goes on."""

    def on_load(self, done: int, total: int) -> None:
        """So many crops of all have been decoded."""

    def on_feed(self, description: str) -> None:
        """The clips are ready; a line on where they lie."""

    def on_step(self, progress: StepProgress) -> None:
        """A step is done."""

    def on_epoch(self, record: dict[str, float]) -> None:
        """An epoch is done; the record is the line of metrics.jsonl."""

    def on_end(self, fold: int, record: dict[str, Any]) -> None:
        """A fold is done; the record is run.json."""
