"""From pixels to the model's input: normalisation, and augmentation in batches on the device.

The one place that normalises pixels; training, evaluation and prediction all come through here.

Shape letters: B clips, T frames, H x W pixels of a crop, S side of the model's input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from dfer.recipe import AugmentSection

# ImageNet's statistics: what the ResNet-18 weights in circulation expect.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Augmenter:
    """Random changes, one draw per clip, the same for all its frames.

    Args:
        settings: how much of each.
        image_size: S.
    """

    settings: AugmentSection
    image_size: int

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Augment and normalise a batch.

        Args:
            frames: uint8 [B, T, H, W, 3].
            generator: on the CPU; the draws are tiny and so the same on every device.

        Returns:
            float32 [B, T, 3, S, S], normalised, on the device of `frames`.
        """
        batch, time = frames.shape[:2]
        settings, device = self.settings, frames.device

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(batch, *shape, generator=generator)

        # One affine sampling does crop, resize, mirror and rotation.
        area = uniform(*settings.crop_scale)
        ratio = torch.exp(uniform(math.log(settings.crop_ratio[0]), math.log(settings.crop_ratio[1])))
        width = (area * ratio).sqrt().clamp(max=1.0)
        height = (area / ratio).sqrt().clamp(max=1.0)
        centre_x, centre_y = uniform(-1, 1) * (1 - width), uniform(-1, 1) * (1 - height)
        mirror = 1.0 - 2.0 * (uniform(0, 1) < settings.flip).float()
        angle = uniform(-settings.rotation, settings.rotation) * math.pi / 180
        theta = torch.stack(
            [
                torch.stack([width * mirror * angle.cos(), -height * angle.sin(), centre_x], -1),
                torch.stack([width * mirror * angle.sin(), height * angle.cos(), centre_y], -1),
            ],
            1,
        )
        images = rearrange(frames, "b t h w c -> (b t) c h w").float()
        size = [len(images), 3, self.image_size, self.image_size]
        grid = F.affine_grid(repeat(theta, "b i j -> (b t) i j", t=time).to(device), size, align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        clips = rearrange(images, "(b t) c h w -> b t c h w", b=batch) / 255

        if settings.jitter:
            low, high = 1 - settings.jitter, 1 + settings.jitter
            brightness, contrast, saturation = (uniform(low, high, 1, 1, 1, 1).to(device) for _ in range(3))
            clips = _jitter_colours(clips, brightness, contrast, saturation)
        if settings.grayscale:
            grey = (uniform(0, 1, 1, 1, 1, 1) < settings.grayscale).to(device)
            clips = torch.where(grey, _luma(clips).expand_as(clips), clips)
        clips = _normalise(clips)
        if settings.erase:
            clips = clips * ~self._blanked(uniform).to(device)
        return clips

    def _blanked(self, uniform: Callable[..., Tensor]) -> Tensor:
        """bool [B, 1, 1, S, S]: a rectangle of 2 to 20 % of the area in some clips, none in the others."""
        side = uniform(0.14, 0.45, 2) * (uniform(0, 1, 1) < self.settings.erase)
        start = uniform(0, 1, 2) * (1 - side)
        line = torch.linspace(0, 1, self.image_size)
        inside = (line >= start[..., None]) & (line < (start + side)[..., None])
        return (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None, None]


def prepare_clips(frames: Tensor, image_size: int) -> Tensor:
    """Crops as the model eats them, without randomness: evaluation and prediction.

    Args:
        frames: uint8 [B, T, H, W, 3].
        image_size: S.

    Returns:
        float32 [B, T, 3, S, S], normalised.
    """
    batch = len(frames)
    images = rearrange(frames, "b t h w c -> (b t) c h w").float()
    if images.shape[-1] != image_size:
        images = F.interpolate(images, (image_size, image_size), mode="bilinear", align_corners=False, antialias=True)
    return _normalise(rearrange(images, "(b t) c h w -> b t c h w", b=batch) / 255)


def _normalise(clips: Tensor) -> Tensor:
    mean = torch.tensor(PIXEL_MEAN, device=clips.device).view(3, 1, 1)
    std = torch.tensor(PIXEL_STD, device=clips.device).view(3, 1, 1)
    return (clips - mean) / std


def _luma(clips: Tensor) -> Tensor:
    weights = torch.tensor((0.299, 0.587, 0.114), device=clips.device).view(3, 1, 1)  # ITU-R BT.601
    return (clips * weights).sum(2, keepdim=True)


def _jitter_colours(clips: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    clips = clips * brightness
    mean = _luma(clips).mean((1, 3, 4), keepdim=True)
    clips = mean + (clips - mean) * contrast
    grey = _luma(clips)
    return (grey + (clips - grey) * saturation).clamp(0, 1)
