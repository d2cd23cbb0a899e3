"""Validate a model on the clips it is selected by, each run once by one of the processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dfer.batches.loaders import ClipLoader
from dfer.evaluation.inference import run_clips
from dfer.evaluation.metrics import confusion_matrix, uar, war
from dfer.model.video_model import VideoModel
from dfer.store.manifest import ManifestRow
from dfer.training import distributed


def own_share(rows: Sequence[ManifestRow]) -> Sequence[ManifestRow]:
    """Return the validation clips that this process runs."""
    return rows[distributed.rank() :: distributed.world_size()]


def validate(model: VideoModel, loader: ClipLoader, rows: Sequence[ManifestRow]) -> dict[str, float]:
    """Return loss, WAR and UAR over all validation clips, the same in all processes.

    Args:
        model: the model to validate.
        loader: gives this process's share of the clips.
        rows: all validation clips.

    Returns:
        "val_loss", "val_war" and "val_uar"; nothing if there are no clips.
    """
    if not rows:
        return {}
    num_classes = model.head.out_features
    logits = np.zeros((len(rows), num_classes), np.float32)
    for rank, share in enumerate(distributed.all_gather(run_clips(model, loader).logits)):
        logits[rank :: distributed.world_size()] = share
    labels = np.array([row.label for row in rows])
    confusion = confusion_matrix(labels, logits.argmax(1), num_classes)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    return {"val_loss": float(loss), "val_war": war(confusion), "val_uar": uar(confusion)}
