"""Effects that turn a still into a clip, and degrade a recording: motion, light, tint, blur, noise, a covering hand.

Each effect is drawn for a clip and changes along it slowly and with a little jitter, as cameras, heads and hands do.

Shape letters: B clips, T frames, S side of the model's input. Positions in a frame are in half sides, from -1 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from dfer.recipe_sections import AugmentSection

_WAVES = 3  # sine waves summed in a path
_JITTER = 0.15  # relative to a path's extent
_LONGEST_ONSET = 0.35  # share of a clip
# The colour of a hand in front of a face lies between these: red, green and blue.
_DARK_SKIN, _LIGHT_SKIN = (0.25, 0.15, 0.10), (0.95, 0.78, 0.68)


@dataclass(frozen=True)
class EffectsDraw:
    """The random draws of effects, a row per clip.

    Attributes:
        path: shift x and y, logarithm of the scale, and angle (radians) of each frame, float [B, T, 4].
        slope: gradient of brightness across the frame, along x and y, float [B, T, 2].
        tint: gain of each colour, float [B, 3].
        sharpness: weight of the added difference from a blurred copy, negative to blur, float [B].
        noise: standard deviation of the noise, float [B].
        seeds: seeds of the noise, B of them, which stay in main memory; none once it has been drawn.
        cover: the covering ellipse's centre x and y and its radii, 0 without one, float [B, T, 4].
        skin: colour of that ellipse, float [B, 3].
        other: share of the partner's face, float [B, T].
    """

    path: Tensor
    slope: Tensor
    tint: Tensor
    sharpness: Tensor
    noise: Tensor
    seeds: list[int]
    cover: Tensor
    skin: Tensor
    other: Tensor


def draw_effects(settings: AugmentSection, batch: int, num_frames: int, generator: torch.Generator) -> EffectsDraw:
    """Draw for a batch of B clips of T frames.

    Args:
        settings: strength of each effect.
        batch: B.
        num_frames: T.
        generator: on the CPU.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(batch, *shape, generator=generator)

    def chosen(probability: float) -> Tensor:
        return (uniform(0, 1) < probability).float()

    extent = torch.tensor([1.0, 1.0, 0.8, 0.8]) * settings.motion * uniform(0, 1, 1)  # most clips move little
    path = _paths(batch, num_frames, 4, generator) * extent[:, None]
    slope = settings.light * (uniform(-1, 1, 1, 2) + 0.5 * _paths(batch, num_frames, 2, generator))
    radii = uniform(0.25, 0.7, 1, 2) * chosen(settings.cover)[:, None, None]
    # Hands come from below or from a side, and cover the rim of a face rather than its middle.
    angle = uniform(-0.2, math.pi + 0.2)
    centre = torch.stack([angle.cos(), angle.sin()], 1)[:, None] * uniform(0.5, 1.0, 1, 1)
    centre = centre + 0.3 * _paths(batch, num_frames, 2, generator)
    skin = torch.lerp(torch.tensor(_DARK_SKIN), torch.tensor(_LIGHT_SKIN), uniform(0, 1, 1))
    return EffectsDraw(
        path=path,
        slope=slope,
        tint=torch.exp(uniform(-settings.tint, settings.tint, 3)),
        sharpness=uniform(-settings.sharpness, settings.sharpness).clamp(min=-1.0),
        noise=settings.noise * uniform(0, 1) ** 2,
        seeds=torch.randint(2**62, (batch,), generator=generator).tolist(),
        cover=torch.cat([centre, radii.expand(-1, num_frames, -1)], 2),
        skin=skin * uniform(0.8, 1.2, 3).clamp(max=1.0),
        other=_onsets(batch, num_frames, generator) * chosen(settings.onset)[:, None],
    )


def move(theta: Tensor, path: Tensor) -> Tensor:
    """Return affine maps from the model's input to the crop, [B, 2, 3], moved along paths: float [B, T, 2, 3]."""
    shift, scale, angle = path[..., :2], path[..., 2].exp(), path[..., 3]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)  # B T 2 2
    linear, offset = theta[:, None, :, :2], theta[:, None, :, 2:]
    return torch.cat([linear @ turn, linear @ shift[..., None] + offset], -1)


def blend_onsets(clips: Tensor, draw: EffectsDraw, partners: Tensor) -> Tensor:
    """Return clips, float [B, T, 3, S, S], that begin or end with their partner's face."""
    return torch.lerp(clips, clips[partners], draw.other[:, :, None, None, None])


def apply_effects(clips: Tensor, draw: EffectsDraw, settings: AugmentSection, noise: Tensor | None) -> Tensor:
    """Return clips, float [B, T, 3, S, S] from 0 to 1, with all effects but motion and onsets.

    The settings say which effects there are: looking into the draws would be waiting for the device.

    Args:
        clips: float [B, T, 3, S, S] from 0 to 1.
        draw: the draws of these clips, on their device.
        settings: strength of each effect.
        noise: of `draw_noise`; None without.
    """
    line = torch.linspace(-1, 1, clips.shape[-1], device=clips.device)
    if settings.sharpness:
        clips = _sharpen(clips, draw.sharpness)
    if settings.cover:
        x, y, rx, ry = (value[..., None, None] for value in draw.cover.unbind(-1))
        distance = ((line - x) / rx.clamp(min=1e-6)) ** 2 + ((line[:, None] - y) / ry.clamp(min=1e-6)) ** 2
        inside = torch.sigmoid((1 - distance) * 12) * (rx > 0)  # B T S S
        clips = torch.lerp(clips, draw.skin[:, None, :, None, None], inside[:, :, None])
    if settings.light:
        along_x, along_y = draw.slope[..., None, None].unbind(2)
        clips = clips * (1 + along_x * line + along_y * line[:, None]).clamp(min=0.1)[:, :, None]
    clips = clips * draw.tint[:, None, :, None, None]
    if noise is not None:
        clips = clips + noise * draw.noise[:, None, None, None, None]
    return clips.clamp(0, 1)


def _paths(batch: int, num_frames: int, count: int, generator: torch.Generator) -> Tensor:
    """Return random smooth curves around 0, mostly between -1 and 1, with a little jitter; float [B, T, count]."""
    time = torch.linspace(0, 1, num_frames)[None, :, None, None]
    frequency = 0.1 + 1.4 * torch.rand(batch, 1, count, _WAVES, generator=generator)  # periods in a clip
    phase = 2 * math.pi * torch.rand(batch, 1, count, _WAVES, generator=generator)
    weight = torch.rand(batch, 1, count, _WAVES, generator=generator)
    waves = (weight * (2 * math.pi * frequency * time + phase).sin()).sum(-1) / weight.sum(-1)
    return waves + _JITTER * torch.randn(batch, num_frames, count, generator=generator)


def _onsets(batch: int, num_frames: int, generator: torch.Generator) -> Tensor:
    """Return shares of another face that fall from 1 to 0 at a clip's beginning, or rise at its end; float [B, T]."""
    time = torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.ones(1)
    length = _LONGEST_ONSET * torch.rand(batch, 1, generator=generator).clamp(min=0.05)
    share = (1 - time / length).clamp(0, 1)
    at_end = torch.rand(batch, 1, generator=generator) < 0.5
    return torch.where(at_end, share.flip(1), share)


def _sharpen(clips: Tensor, amount: Tensor) -> Tensor:
    images = rearrange(clips, "b t c h w -> (b t) c h w")
    blurred = images
    for _ in range(2):
        blurred = F.avg_pool2d(F.pad(blurred, (1, 1, 1, 1), mode="replicate"), 3, 1)
    added = repeat(amount, "b -> (b t) 1 1 1", t=clips.shape[1]) * (images - blurred)
    return (images + added).clamp(0, 1).view(clips.shape)


def draw_noise(draw: EffectsDraw, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return noise [B, *shape] that is the same for a clip in whichever process it is computed."""
    generators = (torch.Generator(device).manual_seed(seed) for seed in draw.seeds)
    return torch.stack([torch.randn(shape, generator=generator, device=device) for generator in generators])
