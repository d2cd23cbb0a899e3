"""Position embeddings for another grid: interpolated, so that they span the same face and the same clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def resize_spatial(positions: Tensor, size_hw: Sequence[int]) -> Tensor:
    """Return spatial position embeddings [H, W, D] for a map of `size_hw` (H, W), interpolated bicubically."""
    if positions.shape[:2] == tuple(size_hw):
        return positions
    channels_first = rearrange(positions, "h w d -> 1 d h w")
    return rearrange(F.interpolate(channels_first, tuple(size_hw), mode="bicubic"), "1 d h w -> h w d")


def resize_temporal(positions: Tensor, num_frames: Sequence[int]) -> Tensor:
    """Return temporal position embeddings [T, D] for a clip of `num_frames` (T,), interpolated linearly."""
    if positions.shape[:1] == tuple(num_frames):
        return positions
    channels_first = rearrange(positions, "t d -> 1 d t")
    return rearrange(F.interpolate(channels_first, tuple(num_frames), mode="linear"), "1 d t -> t d")
