"""A model with all that `dfer predict` does around it, as one module: aligned crops in, probabilities out.

    crops uint8 -> the frames that the model sees -> resized, normalised -> model -> logits -> prior, temperature

Legend of the shapes: as in `dfer.model.pixels`; T is the number of crops, K the model's own number of frames.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dfer.model.pixels import prepare_clips
from dfer.model.priors import Answering
from dfer.model.video_model import VideoModel


class CropClassifier(nn.Module):
    """Crops uint8 [B, T, H, W, 3] RGB, for any B and T, to probabilities [B, C] and logits [B, C], float32.

    Args:
        model: in evaluation mode.
        segments: equal parts of a clip, each giving the same number of frames.
        answering: the temperature and the prior.
        mirror: average the logits of a clip and its mirror image.
    """

    shift: Tensor

    def __init__(self, model: VideoModel, *, segments: int, answering: Answering, mirror: bool) -> None:
        super().__init__()
        self.model = model
        self.segments, self.temperature, self.mirror = segments, answering.temperature, mirror
        shift = np.zeros(model.config.num_classes) if answering.shift is None else answering.shift
        self.register_buffer("shift", torch.from_numpy(np.asarray(shift - shift.max(), np.float32)))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        config = self.model.config
        length = torch.scalar_tensor(crops.shape[1], dtype=torch.int64)
        frames = crops.index_select(1, sampled_indices(length, config.num_frames, self.segments))  # B K H W 3
        clips = prepare_clips(frames, config.image_size)  # B K 3 S S
        # One batch of both, where `clip_features` would put the model into the graph twice.
        both = torch.cat([clips, clips.flip(-1)]) if self.mirror else clips
        logits = self.model(both).reshape(-1, crops.shape[0], config.num_classes).mean(0)  # B C
        return torch.softmax(logits / self.temperature + self.shift, dim=-1), logits


def sampled_indices(length: Tensor, num_frames: int, segments: int) -> Tensor:
    """Return what `dfer.batches.sample_frames` chooses without a generator, as a graph in which the length is free.

    Args:
        length: crops in the clip, int64 scalar, at least 1.
        num_frames: K, frames to choose.
        segments: must divide K.

    Returns:
        int64 [K], ascending indices below `length`.
    """
    repeated = torch.arange(num_frames) * length // num_frames  # of a clip with fewer frames
    part, run = torch.arange(segments), num_frames // segments
    low = part * length // segments
    high = (part + 1) * length // segments - run
    centred = ((low + high) // 2)[:, None] + torch.arange(run)  # segments K/segments
    return torch.where(length < num_frames, repeated, centred.flatten())
