"""Running a model over a plan of clips: what validation and evaluation share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.loaders import Feed, build_feed, choose_feed, crop_bytes
from dfer.batches.prefetch import on_device
from dfer.batches.sampling import evaluation_plan, in_batches
from dfer.model.pixels import prepare_clips
from dfer.model.video_model import VideoModel
from dfer.runtime.machine import free_memory_bytes, usable_cores
from dfer.store import Store
from dfer.store.manifest import ManifestRow


@dataclass(frozen=True)
class ClipOutputs:
    """What a model says of clips.

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


@torch.inference_mode()
def run_clips(
    model: VideoModel,
    feed: Feed,
    rows: Sequence[ManifestRow],
    *,
    segments: int,
    batch_size: int,
    device: torch.device,
    on_batch: Callable[[int], None] = lambda _count: None,
    change: Callable[[Tensor], Tensor] | None = None,
) -> ClipOutputs:
    """The outputs for every clip, in order, from its centred frames, in float32.

    Args:
        model: put into evaluation mode for the time being.
        feed: of the clips in `rows`.
        rows: the clips.
        segments: see `dfer.batches.sample_frames`.
        batch_size: clips at a time; the outputs do not depend on it.
        device: where the model is.
        on_batch: called with the number of clips done in each batch.
        change: made to each batch of frames, uint8 [B, T, H, W, 3], before the model sees it.
    """
    was_training = model.training
    model.eval()
    config = model.config
    plan = evaluation_plan([row.num_frames for row in rows], config.num_frames, segments)
    repeats = 1
    if all(row.num_frames == 1 for row in rows):  # stills
        plan, repeats = [(clip, frames[:1]) for clip, frames in plan], config.num_frames
    logits = np.zeros((len(rows), config.num_classes), np.float32)
    features = np.zeros((len(rows), config.dim), np.float32)
    done = 0
    for frames in on_device(feed.batches(in_batches(plan, batch_size)), device):
        if change is not None:
            frames = change(frames)
        pooled = model.forward_features(prepare_clips(frames, config.image_size), repeats)
        features[done : done + len(frames)] = pooled.float().cpu().numpy()
        logits[done : done + len(frames)] = model.head(pooled).float().cpu().numpy()
        done += len(frames)
        on_batch(len(frames))
    model.train(was_training)
    return ClipOutputs(logits, features)


def stored_feed(store: Store, rows: Sequence[ManifestRow]) -> Feed:
    """Clips of a store, all of status "ok", for `run_clips`: in memory where they fit in a third of what is free."""
    kind = choose_feed(crop_bytes(store, rows), memory_bytes=free_memory_bytes() / 3)
    return build_feed(store, rows, kind=kind, workers=usable_cores())
