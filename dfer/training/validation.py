"""Validate a model on the clips it is selected by, each run once by one of the processes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dfer.batches.loaders import ClipLoader
from dfer.evaluation.inference import FeaturesOf, run_clips
from dfer.evaluation.metrics import confusion_matrix, uar, war
from dfer.model.video_model import VideoModel
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.training import distributed


def own_share(rows: Sequence[ManifestRow]) -> Sequence[ManifestRow]:
    """Return the validation clips that this process runs."""
    return rows[distributed.rank() :: distributed.world_size()]


def validate(
    model: VideoModel,
    loader: ClipLoader,
    rows: Sequence[ManifestRow],
    store: Store,
    *,
    features_of: FeaturesOf | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Return loss, WAR and UAR over all validation clips, the same in all processes.

    Of several stores, they are the means over the stores, so that a large one does not outweigh a small one.

    Args:
        model: the model to validate.
        loader: gives this process's share of the clips.
        rows: all validation clips.
        store: the data.
        features_of: see `run_clips`.
        dtype: number format of autocast.

    Returns:
        "val_loss", "val_war" and "val_uar"; for several stores also "val", with "loss", "war" and "uar" by the store's
        name. Nothing if there are no clips.
    """
    if not rows:
        return {}
    outputs = run_clips(model, loader, features_of=features_of, dtype=dtype)
    logits = np.zeros((len(rows), model.head.out_features), np.float32)
    for rank, share in enumerate(distributed.all_gather(outputs.logits)):
        logits[rank :: distributed.world_size()] = share
    labels = np.array([row.label for row in rows])
    figures = {name: _figures(logits[clips], labels[clips]) for name, clips in store.members(rows).items()}
    means = {f"val_{key}": fmean(of[key] for of in figures.values()) for key in ("loss", "war", "uar")}
    return means if len(store.weights) == 1 else means | {"val": figures}


def _figures(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    confusion = confusion_matrix(labels, logits.argmax(1), logits.shape[1])
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    return {"loss": float(loss), "war": war(confusion), "uar": uar(confusion)}
