"""TensorBoard event files beside the metrics, where the `tensorboard` package is installed."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = "tensorboard"
_NAMES = {
    "train_loss": "loss/train", "train_entropy": "loss/train_classification", "train_compact": "loss/train_compact",
    "val_loss": "loss/val", "val_war": "accuracy/WAR", "val_uar": "accuracy/UAR", "lr": "learning_rate",
    "clips_per_s": "speed/clips_per_s", "data_wait": "speed/data_wait", "step_ms": "speed/step_ms",
}  # fmt: skip


@cache
def has_tensorboard() -> bool:
    """Whether event files can be written; says once how they could be."""
    found = importlib.util.find_spec("tensorboard") is not None
    if not found:
        logger.info("no TensorBoard events: pip install 'dfer[tensorboard]' for them; metrics.jsonl has the figures")
    return found


class EventLog:
    """The event files of a fold; a file per epoch, so that a kill loses none and a resumed run repeats none.

    Args:
        folder: the fold's; the files go into `tensorboard` there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def write(self, record: Mapping[str, float]) -> None:
        """Write an epoch's figures, a line of metrics.jsonl; nothing without the package."""
        if not has_tensorboard():
            return
        from torch.utils.tensorboard import SummaryWriter

        epoch = int(record["epoch"])
        for earlier in self._folder.glob(f"*.epoch{epoch}"):  # of a run killed before it could save its state
            earlier.unlink()
        with SummaryWriter(str(self._folder), filename_suffix=f".epoch{epoch}") as writer:
            for key, name in _NAMES.items():
                if key in record:
                    writer.add_scalar(name, record[key], epoch)
