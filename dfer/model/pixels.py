"""From pixels to the model's input: the statistics that a checkpoint names, and the only place that uses them.

Shape letters: B clips, T frames, H x W pixels of a crop, S side of the model's input.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

# ImageNet's statistics, which the ResNet-18 weights in circulation expect.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601


def prepare_clips(frames: Tensor, image_size: int) -> Tensor:
    """Return the model's input for evaluation and prediction, without random changes.

    Args:
        frames: uint8 [B, T, H, W, 3].
        image_size: S, pixels.

    Returns:
        float32 [B, T, 3, S, S], normalised.
    """
    batch = frames.shape[0]  # `len` would be a constant in an exported graph
    images = rearrange(frames, "b t h w c -> (b t) c h w").float()
    if images.shape[-1] != image_size:
        images = F.interpolate(images, (image_size, image_size), mode="bilinear", align_corners=False, antialias=True)
    clips = rearrange(images, "(b t) c h w -> b t c h w", b=batch) / 255
    return _statistics_on(clips.device).normalise(clips)


class PixelStatistics(nn.Module):
    """The statistics as buffers, which lie where the clips do: a constant made for each batch would be a copy each."""

    mean: Tensor
    std: Tensor
    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in {"mean": PIXEL_MEAN, "std": PIXEL_STD, "weights": LUMA}.items():
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def normalise(self, clips: Tensor) -> Tensor:
        """Return clips float [..., 3, H, W] in [0, 1], normalised by `PIXEL_MEAN` and `PIXEL_STD`."""
        return (clips - self.mean) / self.std

    def luma(self, clips: Tensor) -> Tensor:
        """Return the brightness, [B, T, 1, H, W], of clips [B, T, 3, H, W]."""
        return (clips * self.weights).sum(2, keepdim=True)


@cache
def _statistics_on(device: torch.device) -> PixelStatistics:
    return PixelStatistics().to(device)
