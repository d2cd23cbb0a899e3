"""Small changes of crops and videos that should not alter a prediction, and measures of how much they do.

Shape letters: B clips, T frames, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from dfer.model.pixels import LUMA
from dfer.records import FacePrediction
from dfer.records.timeline import emotion_runs
from dfer.video import FrameSource
from dfer.video.decoders import Frame

SHIFT = 0.03  # of the crop's side: 4 of 128 pixels
TINT = (1.15, 1.0, 0.85)  # gains of red, green and blue, as of a warm lamp


# ---- crops


def mirror_crops(frames: Tensor) -> Tensor:
    """Mirror crops, uint8 [B, T, H, W, 3]."""
    return frames.flip(3)


def grey_crops(frames: Tensor) -> Tensor:
    """Remove the colour of crops, uint8 [B, T, H, W, 3]."""
    weights = torch.tensor(LUMA, device=frames.device)
    return _as_bytes((frames.float() * weights).sum(-1, keepdim=True)).expand_as(frames)


def tint_crops(frames: Tensor) -> Tensor:
    """Tint crops, uint8 [B, T, H, W, 3], as warmer light does."""
    return _as_bytes(frames.float() * torch.tensor(TINT, device=frames.device))


def shift_crops(frames: Tensor, *, right: float = 0.0, down: float = 0.0) -> Tensor:
    """Shift crops, uint8 [B, T, H, W, 3], by shares of their side, repeating the border."""
    for axis, share in ((2, down), (3, right)):
        size = frames.shape[axis]
        places = (torch.arange(size) - round(share * size)).clamp(0, size - 1)
        frames = frames.index_select(axis, places.to(frames.device))
    return frames


def coarsen_crops(frames: Tensor, factor: int) -> Tensor:
    """Shrink crops, uint8 [B, T, H, W, 3], by a factor and enlarge them to their size again."""
    images = rearrange(frames, "b t h w c -> (b t) c h w").float()
    small = [size // factor for size in images.shape[2:]]
    images = F.interpolate(images, small, mode="bilinear", align_corners=False, antialias=True)
    images = F.interpolate(images, frames.shape[2:4], mode="bilinear", align_corners=False)
    return _as_bytes(rearrange(images, "(b t) c h w -> b t h w c", b=len(frames)))


CROP_CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "shifted to the right by 3 %": lambda frames: shift_crops(frames, right=SHIFT),
    "shifted down by 3 %": lambda frames: shift_crops(frames, down=SHIFT),
    "mirrored": mirror_crops,
    "grey": grey_crops,
    "in warmer light": tint_crops,
    "half the resolution": lambda frames: coarsen_crops(frames, 2),
    "a quarter of the resolution": lambda frames: coarsen_crops(frames, 4),
}


def changed_share(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return the share of clips whose predicted class differs.

    Args:
        before, after: logits float [N, C] of the same clips.
    """
    return float((before.argmax(1) != after.argmax(1)).mean())


# ---- videos


def drop_first_frame(source: FrameSource) -> FrameSource:
    """Return the video from its second frame on."""

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        return ((index - 1, frame) for index, frame in source.decode(wanted + 1))

    start = float(source.times_s[1])
    return replace(source, times_s=source.times_s[1:] - start, duration=source.duration - start, decode=decode)


def mirror_video(source: FrameSource) -> FrameSource:
    """Return the video, mirrored."""
    return _each_frame(source, lambda frame: np.ascontiguousarray(frame[:, ::-1]))


def grey_video(source: FrameSource) -> FrameSource:
    """Return the video without colour."""
    return _each_frame(source, lambda frame: np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2))


def shrink_video(source: FrameSource) -> FrameSource:
    """Return the video at half the width and height."""
    height, width = (max(1, size // 2) for size in source.size_hw)

    def shrink(frame: Frame) -> Frame:
        return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    return replace(_each_frame(source, shrink), size_hw=(height, width))


VIDEO_CHANGES: dict[str, Callable[[FrameSource], FrameSource]] = {
    "without the first frame": drop_first_frame,
    "mirrored": mirror_video,
    "grey": grey_video,
    "half the resolution": shrink_video,
}


def emotion_shares(face: FacePrediction) -> dict[str, float]:
    """Return the share of the visible time in which each emotion wins, the largest first."""
    lengths: dict[str, float] = {}
    for run in emotion_runs(face):
        lengths[run.label] = lengths.get(run.label, 0.0) + run.end - run.start
    total = sum(lengths.values())
    return {label: length / total for label, length in sorted(lengths.items(), key=lambda item: -item[1])}


def agreement(one: FacePrediction, other: FacePrediction, *, offset_s: float = 0.0) -> float:
    """Return the share of the time in which the same emotion wins, out of the time in which both faces are visible.

    Args:
        one, other: timelines of the same person.
        offset_s: seconds by which the other one's clock is behind.
    """
    both = same = 0.0
    for run in emotion_runs(one):
        for found in emotion_runs(other):
            overlap = min(run.end, found.end + offset_s) - max(run.start, found.start + offset_s)
            if overlap > 0:
                both += overlap
                same += overlap * (run.label == found.label)
    return same / both if both else 0.0


def _each_frame(source: FrameSource, change: Callable[[Frame], Frame]) -> FrameSource:
    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        return ((index, change(frame)) for index, frame in source.decode(wanted))

    return replace(source, decode=decode)


def _as_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
