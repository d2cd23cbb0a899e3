"""Event files of a training run for TensorBoard, where it is installed."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_EVENTS = {
    "train_loss": "loss/train", "train_entropy": "loss/train_classification", "train_compact": "loss/train_compact",
    "val_loss": "loss/val", "val_war": "accuracy/WAR", "val_uar": "accuracy/UAR", "lr": "learning_rate",
    "clips_per_s": "speed/clips_per_s", "data_wait": "speed/data_wait", "step_ms": "speed/step_ms",
}  # fmt: skip


def write_events(folder: Path, record: Mapping[str, Any]) -> None:
    """Write an epoch's figures for TensorBoard, if the `tensorboard` package is installed.

    Each epoch has a file of its own, so that a kill loses none and a resumed run repeats none.

    Args:
        folder: the folder of event files.
        record: the epoch's line of metrics.jsonl.
    """
    if not has_tensorboard():
        return
    from torch.utils.tensorboard import SummaryWriter

    epoch = int(record["epoch"])
    for earlier in folder.glob(f"*.epoch{epoch}"):  # of a run killed before it could save its state
        earlier.unlink()
    with SummaryWriter(str(folder), filename_suffix=f".epoch{epoch}") as writer:
        for key, name in _EVENTS.items():
            if key in record:
                writer.add_scalar(name, record[key], epoch)


@cache
def has_tensorboard() -> bool:
    """Return whether event files can be written; if not, log once how to install the package."""
    found = importlib.util.find_spec("tensorboard") is not None
    if not found:
        logger.info("no TensorBoard events: pip install 'dfer[tensorboard]' for them; metrics.jsonl has the figures")
    return found
