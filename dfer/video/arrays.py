"""Frames that are in memory already, as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfer.errors import VideoError
from dfer.video.decoders import Frame
from dfer.video.images import resize_frame
from dfer.video.limits import check_rate, require_size
from dfer.video.probe import MIN_SIDE, NOMINAL_FPS
from dfer.video.source import FrameSource

NAME = "frames"  # as predictions name their source
_HINT = "give RGB frames: an array [N, H, W, 3] of uint8, or a list of arrays [H, W, 3]; OpenCV's are frame[..., ::-1]"


def frames_source(frames: ArrayLike | Sequence[ArrayLike], *, fps: float | None = None) -> FrameSource:
    """Return frames in memory as a source; they are not copied.

    Args:
        frames: RGB, uint8 [N, H, W, 3], one frame [H, W, 3], or a sequence of frames [H, W, 3], anything that NumPy
            reads as such an array. Frames of other sizes than the first one's are resized to it.
        fps: frames per second; 25 is assumed by default.

    Raises:
        VideoError: they are no RGB frames, there are none, or they are too small or too large.
        UsageError: the rate is not one.
    """
    check_rate(fps)
    listed = _listed(frames)
    height, width = size_hw = _checked(listed[0], 0).shape[:2]
    for number, frame in enumerate(listed):
        _checked(frame, number)
    require_size(width, height, Path(NAME))
    if min(size_hw) < MIN_SIDE:
        raise VideoError(f"frames of {width}x{height} pixels are too small to hold a face", where=NAME)
    rate, count = fps or NOMINAL_FPS, len(listed)

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        for index in wanted.tolist():
            yield index, resize_frame(np.ascontiguousarray(listed[index]), size_hw)

    return FrameSource(
        path=Path(NAME),
        fps=rate,
        duration=count / rate,
        times_s=np.arange(count) / rate,
        size_hw=size_hw,
        warnings=[],
        decode=decode,
        fps_assumed=fps is None and count > 1,
    )


def _listed(frames: Any) -> Any:
    """Return frames that can be counted and indexed, one at least.

    Raises:
        VideoError: there are none, or nothing is known of them.
    """
    listed: Any
    if isinstance(frames, list | tuple):
        listed = [np.asarray(frame) for frame in frames]
    else:
        array = np.asarray(frames)
        listed = array[None] if array.ndim == 3 else array
        if array.ndim not in (3, 4):
            raise VideoError(f"expected frames [N, H, W, 3], got {_describe(array)}", where=NAME, hint=_HINT)
    if len(listed) == 0:
        raise VideoError("there are no frames", where=NAME, hint=_HINT)
    return listed


def _checked(frame: NDArray[Any], number: int) -> NDArray[Any]:
    """Return a frame.

    Raises:
        VideoError: it is not RGB of uint8.
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise VideoError(f"frame {number}: expected uint8 [H, W, 3], got {_describe(frame)}", where=NAME, hint=_HINT)
    return frame


def _describe(array: NDArray[Any]) -> str:
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"
