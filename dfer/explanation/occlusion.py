"""The importance of each piece of a clip's time: the answer without it.

Shape letters: B clips, T frames, P pieces, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dfer.model.video_model import DividedModel, VideoModel

MAX_PIECES = 8  # of a clip; as many as windows of two frames in 16
_BATCH = 8  # clips at a time


def cut_pieces(num_frames: int, pieces: int = MAX_PIECES) -> list[range]:
    """Return at most `pieces` ranges, as even as possible, that cover `num_frames` frames."""
    count = min(pieces, num_frames)
    edges = [round(piece * num_frames / count) for piece in range(count + 1)]
    return [range(first, after) for first, after in pairwise(edges)]


@torch.no_grad()
def occluded_logits(model: VideoModel, clips: Tensor, pieces: Sequence[range], *, mirror: bool = False) -> Tensor:
    """Return the logits of clips in which one piece of time after another is grey, float32 [B, P, C].

    Grey is the mean of the pixels that the model was trained with: zero after normalisation.

    Args:
        model: in evaluation mode.
        clips: float [B, T, 3, S, S], normalised.
        pieces: frames of each piece.
        mirror: average with the mirror image, as `VideoModel.clip_features` does.

    Source: occlusion by a grey patch, M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks",
    ECCV 2014, arXiv 1311.2901; here in time.
    """
    features = _features(model, clips, pieces)
    if mirror:
        features = (features + _features(model, clips.flip(-1), pieces)) / 2
    logits: Tensor = model.head(features)
    return logits.float()


def _features(model: VideoModel, clips: Tensor, pieces: Sequence[range]) -> Tensor:
    grey = torch.zeros_like(clips[:1, :1])
    if isinstance(model, DividedModel):  # its backbone sees each frame by itself, so once is enough
        variants = _variants(model.frame_maps(clips), model.frame_maps(grey), pieces)
        features = [model.encode(part) for part in variants.split(_BATCH)]
    else:
        features = [model.forward_features(part) for part in _variants(clips, grey, pieces).split(_BATCH)]
    by_piece: Tensor = torch.cat(features).unflatten(0, (len(clips), len(pieces)))
    return by_piece


def _variants(clips: Tensor, grey: Tensor, pieces: Sequence[range]) -> Tensor:
    """Return each clip, [B, T, ...], without one piece after another, [(B P), T, ...]."""
    variants = clips.repeat_interleave(len(pieces), dim=0)
    for number in range(len(variants)):
        piece = pieces[number % len(pieces)]
        variants[number, piece.start : piece.stop] = grey[0]
    return variants
