"""Figures on the validation clips, each run once by one of the processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dfer.batches.loaders import Feed
from dfer.evaluation.inference import run_clips
from dfer.evaluation.metrics import confusion_matrix, uar, war
from dfer.model.video_model import VideoModel
from dfer.recipe import Recipe
from dfer.store.manifest import ManifestRow
from dfer.training.distributed import Peers


def own_share(rows: Sequence[ManifestRow], peers: Peers) -> Sequence[ManifestRow]:
    """The validation clips that this process runs."""
    return rows[peers.rank :: peers.count]


def validate(
    model: VideoModel, feed: Feed, rows: Sequence[ManifestRow], recipe: Recipe, *, device: torch.device, peers: Peers
) -> dict[str, float]:
    """Loss, WAR and UAR over all validation clips, the same in all processes.

    Args:
        model: to look at.
        feed: of this process's own share.
        rows: all validation clips.
        recipe: how frames are chosen.
        device: where the model is.
        peers: that share the work.

    Returns:
        "val_loss", "val_war" and "val_uar"; nothing without clips.
    """
    if not rows:
        return {}
    outputs = run_clips(
        model,
        feed,
        own_share(rows, peers),
        segments=recipe.data.segments,
        batch_size=max(1, recipe.train.batch_size // peers.count),
        device=device,
    )
    logits = np.zeros((len(rows), model.config.num_classes), np.float32)
    for rank, share in enumerate(peers.from_all(outputs.logits)):
        logits[rank :: peers.count] = share
    labels = np.array([row.label for row in rows])
    confusion = confusion_matrix(labels, logits.argmax(1), model.config.num_classes)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    return {"val_loss": float(loss), "val_war": war(confusion), "val_uar": uar(confusion)}
