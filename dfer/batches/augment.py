"""Augment batches of crops on the device, and normalise them for the model.

Shape letters: B clips, T frames, H x W pixels of a crop, S side of the model's input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dfer.batches.effects import EffectsDraw, apply_effects, blend_onsets, draw_effects, draw_noise, move
from dfer.model.pixels import PixelStatistics
from dfer.recipe_sections import AugmentSection
from dfer.runtime.compiled import Compiled


@dataclass(frozen=True)
class AugmentDraw:
    """The random draws for a batch, a row per clip, so that any part of the batch can be computed in any process.

    Attributes:
        theta: affine map from the model's input to the crop, float [B, 2, 3].
        colour: factors of brightness, contrast and saturation, float [B, 3].
        grey: whether colour is removed, bool [B].
        erased: the blanked rectangle, as shares of the side: start and end of rows and of columns, float [B, 2, 2].
        own: share that a clip keeps of itself when it is mixed with its partner, float [B].
        swapped: the rectangle taken from the partner, as `erased` but in pixels, float [B, 2, 2].
        effects: draws of motion, light and recording quality; None if the recipe has none.
    """

    theta: Tensor
    colour: Tensor
    grey: Tensor
    erased: Tensor
    own: Tensor
    swapped: Tensor
    effects: EffectsDraw | None = None

    def part(self, clips: slice) -> AugmentDraw:
        """Return the draws of some of the clips; where clips are mixed in pairs, pairs must not be separated."""
        part = self.with_tensors([tensor[clips] for tensor in self.tensors()])
        effects = part.effects
        return part if effects is None else replace(part, effects=replace(effects, seeds=effects.seeds[clips]))

    def tensors(self) -> list[Tensor]:
        """Return all tensors, in the order in which `with_tensors` takes them."""
        return [getattr(draws, name) for draws, names in self._places() for name in names]

    def with_tensors(self, tensors: Iterable[Tensor]) -> AugmentDraw:
        """Return the same draws in other tensors, such as those on a device."""
        left = iter(tensors)
        own, *of_effects = ({name: next(left) for name in names} for _, names in self._places())
        effects = self.effects
        if effects is not None:
            effects = replace(effects, **of_effects[0])  # type: ignore[arg-type]  # its other field is no tensor
        return replace(self, **own, effects=effects)

    def _places(self) -> Iterator[tuple[AugmentDraw | EffectsDraw, list[str]]]:
        for draws in (self, self.effects):
            if draws is not None:
                yield draws, [field.name for field in fields(draws) if torch.is_tensor(getattr(draws, field.name))]


class Augmenter(nn.Module):
    """Random changes, drawn per clip; all but motion, light and covering hands are the same for all frames of a clip.

    Mixup and cutmix mix clips 2k and 2k + 1 of a batch, each keeping the same share of itself. An epoch is in random
    order, so such pairs are random too. An odd last clip is not mixed.

    Args:
        settings: strength of each augmentation.
        image_size: S.
        num_frames: T.
        dtype: number format of the clips; their values are computed in float32.
        compiled: compile what is done to them.
    """

    def __init__(
        self,
        settings: AugmentSection,
        image_size: int,
        num_frames: int = 1,
        *,
        dtype: torch.dtype = torch.float32,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.settings, self.image_size, self.num_frames, self.dtype = settings, image_size, num_frames, dtype
        self.pixels = PixelStatistics()
        self._change: Callable[[Tensor, AugmentDraw, Tensor | None], Tensor] = self._changed
        if compiled:
            self._change = Compiled(self._changed)

    @property
    def mixes(self) -> bool:
        """True if clips and their targets are mixed in pairs."""
        return self.settings.mixup > 0 or self.settings.cutmix > 0

    @property
    def unit(self) -> int:
        """The number of clips that must stay together: pairs where clips are mixed, or begin with another face."""
        return 2 if self.mixes or self.settings.onset > 0 else 1

    def forward(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Draw for a batch, and apply the draws; see `draw` and `augment`."""
        return self.augment(frames, self.draw(len(frames), generator))

    def draw(self, batch: int, generator: torch.Generator) -> AugmentDraw:
        """Draw for a batch of B clips.

        Args:
            batch: B.
            generator: on the CPU, so that the draws are the same for every device.
        """
        settings = self.settings

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
        colour = uniform(1 - settings.jitter, 1 + settings.jitter, 3)
        grey = uniform(0, 1) < settings.grayscale
        side = uniform(0.14, 0.45, 2) * (uniform(0, 1, 1) < settings.erase)  # 2 to 20 % of the area
        start = uniform(0, 1, 2) * (1 - side)
        own, swapped = self._draw_mix(batch, generator)
        erased = torch.stack([start, start + side], 2)
        effects = draw_effects(settings, batch, self.num_frames, generator) if settings.has_effects else None
        return AugmentDraw(theta, colour, grey, erased, own, swapped, effects)

    def _draw_mix(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the share each clip keeps, and the rectangle it takes from its partner, which is empty for mixup."""
        own, swapped = torch.ones(batch), torch.zeros(batch, 2, 2)
        kinds = [kind for kind in ("mixup", "cutmix") if getattr(self.settings, kind) > 0]
        if not kinds:
            return own, swapped
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
        for first in range(0, batch - 1, 2):
            kind = kinds[rng.integers(len(kinds))]
            alpha = getattr(self.settings, kind)
            share = rng.beta(alpha, alpha)
            pair = slice(first, first + 2)
            if kind == "mixup":
                own[pair] = share
                continue
            half = math.sqrt(1 - share) * self.image_size / 2
            centre = rng.uniform(0, self.image_size, 2)
            box = np.stack([centre - half, centre + half], 1).round().clip(0, self.image_size)
            swapped[pair] = torch.from_numpy(box).float()
            own[pair] = float(1 - (box[:, 1] - box[:, 0]).prod() / self.image_size**2)
        return own, swapped

    def augment(self, frames: Tensor, draw: AugmentDraw) -> Tensor:
        """Augment and normalise clips.

        Args:
            frames: uint8 [B, T, H, W, 3].
            draw: the draws of these clips, on the device of `frames`.

        Returns:
            [B, T, 3, S, S], normalised, in `dtype` and in the layout that convolutions are fastest in: of a pixel, the
            colours lie beside each other.
        """
        noise = None
        if draw.effects is not None and self.settings.noise:
            # Of brightness: sensors' colour noise is mostly filtered. A generator of its own cannot be compiled.
            shape = (frames.shape[1], 1, self.image_size, self.image_size)
            noise = draw_noise(draw.effects, shape, frames.device)
            draw = replace(draw, effects=replace(draw.effects, seeds=[]))
        return self._change(frames, draw, noise)

    def _changed(self, frames: Tensor, draw: AugmentDraw, noise: Tensor | None) -> Tensor:
        batch, settings = len(frames), self.settings
        theta = draw.theta[:, None] if draw.effects is None else move(draw.theta, draw.effects.path)
        # Frames sampled at the same places (all frames of a clip without motion) become channels of one image.
        moves = theta.shape[1]
        images = rearrange(frames, "b (moves t) h w c -> (b moves) (t c) h w", moves=moves).float()
        size = [len(images), images.shape[1], self.image_size, self.image_size]
        grid = F.affine_grid(theta.flatten(0, 1), size, align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        clips = rearrange(images.div_(255), "(b moves) (t c) h w -> b (moves t) c h w", b=batch, c=3)

        if draw.effects is not None:
            if settings.onset:
                clips = blend_onsets(clips, draw.effects, partners(batch, clips.device))
            clips = apply_effects(clips, draw.effects, settings, noise)
        if settings.jitter:
            clips = self._jitter_colours(clips, *draw.colour.view(batch, 3, 1, 1, 1, 1).unbind(1))
        if settings.grayscale:
            grey = draw.grey.view(batch, 1, 1, 1, 1)
            clips = torch.where(grey, self.pixels.luma(clips).expand_as(clips), clips)
        clips = self.pixels.normalise(clips)
        if settings.erase:
            clips = clips * ~_inside(draw.erased * (self.image_size - 1), self.image_size)
        clips = (self._mix(clips, draw) if self.mixes else clips).to(self.dtype)
        images = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return images.view(clips.shape)

    def _jitter_colours(self, clips: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
        clips = clips * brightness
        mean = self.pixels.luma(clips).mean((1, 3, 4), keepdim=True)
        clips = torch.lerp(mean, clips, contrast)
        return torch.lerp(self.pixels.luma(clips), clips, saturation).clamp_(0, 1)

    def _mix(self, clips: Tensor, draw: AugmentDraw) -> Tensor:
        inside = _inside(draw.swapped, self.image_size)
        blended = (draw.swapped == 0).all(2).all(1)  # with cutmix the rest of the frame stays
        share = torch.where(blended, draw.own, 1.0).view(-1, 1, 1, 1, 1)
        return torch.lerp(clips[partners(len(clips), clips.device)], clips, torch.where(inside, 0.0, share))


def partners(count: int, device: torch.device) -> Tensor:
    """Return the partner of each clip in mixing, int64 [B]: 2k and 2k + 1 are partners, an odd last clip its own."""
    index = torch.arange(count, device=device) ^ 1
    return torch.where(index < count, index, count - 1)


def mix_targets(targets: Tensor, draw: AugmentDraw) -> Tensor:
    """Return the targets of mixed clips, probabilities float [B, C], weighted by the visible share of each clip."""
    own = draw.own.to(targets)[:, None]
    return torch.lerp(targets[partners(len(targets), targets.device)], targets, own)


def _inside(edges: Tensor, size: int) -> Tensor:
    """Return a mask of the pixels in a rectangle, bool [B, 1, 1, S, S]; `edges` as `AugmentDraw.swapped`."""
    line = torch.arange(size, device=edges.device)
    inside = (line >= edges[:, :, :1]) & (line < edges[:, :, 1:])
    return (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None, None]
