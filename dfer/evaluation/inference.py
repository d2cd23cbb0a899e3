"""Run a model over stored clips, in validation and in evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.crops import choose_location, crop_bytes
from dfer.batches.loaders import ClipLoader
from dfer.model.pixels import prepare_clips
from dfer.model.video_model import VideoModel
from dfer.runtime.machine import free_memory_bytes, usable_cores
from dfer.store import Store
from dfer.store.manifest import ManifestRow

Change = Callable[[Tensor], Tensor]  # of frames, uint8 [B, T, H, W, 3]

FeaturesOf = Callable[..., Tensor]  # as `VideoModel.forward_features`


@dataclass(frozen=True)
class ClipOutputs:
    """The outputs of a model for a list of clips.

    Attributes:
        logits: float32 [N, C].
        features: float32 [N, D], pooled.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The label of the largest logit, int64 [N]."""
        return np.asarray(np.argmax(self.logits, axis=1), np.int64)


def evaluation_loader(
    store: Store, rows: Sequence[ManifestRow], model: VideoModel, *, segments: int, batch_size: int
) -> ClipLoader:
    """Return a loader of clips for a model, with all crops in memory if they fit in a third of what is free.

    Args:
        store: the store that holds the clips.
        rows: the clips, all of status "ok".
        model: the model that will run on them, on its own device.
        segments: see `dfer.batches.sample_frames`.
        batch_size: clips at a time; the outputs do not depend on it.
    """
    return ClipLoader(
        store,
        rows,
        num_frames=model.config.num_frames,
        segments=segments,
        batch_size=batch_size,
        device=next(model.parameters()).device,
        location=choose_location(crop_bytes(store, rows), memory_bytes=free_memory_bytes() / 3),
        workers=usable_cores(),
    )


@torch.inference_mode()
def run_clips(
    model: VideoModel,
    loader: ClipLoader,
    *,
    on_batch: Callable[[int], None] = lambda _count: None,
    change: Change | None = None,
    mirror: bool = False,
    features_of: FeaturesOf | None = None,
    dtype: torch.dtype = torch.float32,
) -> ClipOutputs:
    """Return the model's outputs for every clip of a loader, in order.

    They stay on the device until all are computed, so that it need not wait for Python.

    Args:
        model: put into evaluation mode meanwhile.
        loader: gives the clips, with centred frames.
        on_batch: called with the number of clips of each finished batch.
        change: applied to each batch of frames, uint8 [B, T, H, W, 3], before the model sees it.
        mirror: see `VideoModel.clip_features`.
        features_of: computes features in place of the model's `forward_features`, such as its compiled form.
        dtype: number format of autocast.
    """
    was_training = model.training
    model.eval()
    config = model.config
    features_of = features_of or model.forward_features
    features: list[Tensor] = [torch.zeros(0, model.head.in_features)]
    logits: list[Tensor] = [torch.zeros(0, config.num_classes)]
    for _, frames in loader.in_order():
        if change is not None:
            frames = change(frames)
        repeats = config.num_frames // frames.shape[1]  # a still's only frame stands for all
        clips = prepare_clips(frames, config.image_size)
        with torch.autocast(clips.device.type, dtype, enabled=dtype != torch.float32):
            shown = (repeats,) if repeats > 1 else ()
            pooled = features_of(clips, *shown)
            if mirror:
                pooled = (pooled + features_of(clips.flip(-1), *shown)) / 2
            logits.append(model.head(pooled).float())
        features.append(pooled.float())
        on_batch(len(frames))
    model.train(was_training)
    return ClipOutputs(*(torch.cat([part.to("cpu") for part in parts]).numpy() for parts in (logits, features)))
