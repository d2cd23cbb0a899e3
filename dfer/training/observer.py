"""What a training run tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StepProgress:
    """What a live display shows after each step."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    clips_per_s: float
    data_wait: float


class TrainingObserver:
    """Told how training goes; the default does nothing."""

    def on_start(self, fold: int, facts: dict[str, Any]) -> None:
        """Training of a fold begins, or goes on."""

    def on_step(self, progress: StepProgress) -> None:
        """A step is done."""

    def on_epoch(self, record: dict[str, float]) -> None:
        """An epoch is done; the record is the line of metrics.jsonl."""

    def on_end(self, fold: int, record: dict[str, Any]) -> None:
        """A fold is done; the record is run.json."""
