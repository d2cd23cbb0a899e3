"""The time of frames: how long each is shown, where a recording pauses, and how far apart two frames are.

All lengths are seconds of the frames' own timestamps. A number of frames means nothing where the rate varies, where a
recording pauses, or where one timestamp is wrong.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# At 24 to 30 frames a second, landmarks interpolated over four frames lie within 2% of the inter-ocular distance of
# those detected there. Where frames lie further apart than this, every one of them is searched for faces.
KEYFRAME_S = 0.13
MAX_GAP_S = 0.5  # longer gaps in the detections of a face are not filled
# A frame is shown until the next one comes. Where that takes several times longer than between the frames around it,
# nothing was recorded.
_PAUSE_RATIO = 3.0
_REACH = 4  # frames on either side that say what is usual

# The frames of a folder have no timestamps. Those of a short one are usually sampled from a clip of some seconds; in a
# longer one, the change of the picture says how far apart they are: video at 25 frames a second rarely changes by this
# much (0..255, on average over the picture) in `KEYFRAME_S`.
FEW_FRAMES = 16
_FEW_FRAMES_STEP_S = 1.0
_CHANGE_PER_KEYFRAME = 8.0


class Timed(Protocol):
    """A source of frames that have times, such as `dfer.video.FrameSource`."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Return when each frame is shown, float64 [N], seconds."""

    @property
    def duration(self) -> float:
        """Return the seconds from the first frame's start to the last one's end."""

    @property
    def fps_assumed(self) -> bool:
        """Return whether nothing tells how far apart the frames are."""


class Clock:
    """The time at which each frame of a source is shown.

    Args:
        times_s: float64 [N], when each of N >= 1 frames appears; should increase.
        duration: seconds from the first frame's start to the last one's end; None if it is not known.
        timed: whether the times are the recording's own; otherwise they only give the order.

    Attributes:
        starts_s: float64 [N], when each frame appears; strictly increasing.
        ends_s: float64 [N], when each frame disappears: when the next one appears, unless the recording pauses.
        pauses: bool [N], whether the recording pauses after the frame.
        usual_s: the usual time from one frame to the next.
        timed: as given.
    """

    def __init__(self, times_s: NDArray[np.float64], duration: float | None = None, *, timed: bool = True) -> None:
        starts = _increasing(np.asarray(times_s, np.float64))
        steps = np.diff(starts)
        usual = _usual_steps(steps) if len(steps) else np.array([duration or 1.0])
        usual = np.append(usual, usual[-1])[: len(starts)]
        # The last frame is shown as long as the source says, if it says something sensible.
        rest = 0.0 if duration is None else starts[0] + duration - starts[-1]
        steps = np.append(steps, rest if rest > 0 else usual[-1])
        self.starts_s: NDArray[np.float64] = starts
        self.pauses: NDArray[np.bool_] = (steps > np.maximum(MAX_GAP_S, _PAUSE_RATIO * usual)) & timed
        next_s = np.append(starts[1:], starts[-1] + steps[-1])
        self.ends_s: NDArray[np.float64] = np.where(self.pauses, starts + usual, next_s)
        self.usual_s = float(np.median(usual))
        self.timed = timed

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.starts_s)

    def step_s(self, before: int, after: int, change: float) -> float:
        """Return how far apart two successive frames are, seconds.

        Args:
            before, after: the frames' indices.
            change: mean absolute difference of the two pictures, 0..255.

        Returns:
            The difference of their times; without timestamps, an estimate.
        """
        step = float(self.starts_s[after] - self.starts_s[before])
        if self.timed:
            return step
        if len(self) <= FEW_FRAMES:
            return _FEW_FRAMES_STEP_S
        return max(step, KEYFRAME_S * change / _CHANGE_PER_KEYFRAME)


def _increasing(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the times with those that do not increase moved to just after the one before."""
    if np.all(np.diff(times_s) > 0):
        return times_s
    least = 1e-6 * np.arange(len(times_s))
    return np.asarray(np.maximum.accumulate(times_s - least) + least)


def _usual_steps(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower median of each step and its neighbours, float64 [N]; no single pause moves it."""
    padded = np.pad(steps, _REACH, constant_values=np.nan)
    around = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1), axis=1)  # NaN comes last
    known = np.count_nonzero(~np.isnan(around), axis=1)
    return np.asarray(around[np.arange(len(steps)), (known - 1) // 2])


def clock_of(source: Timed) -> Clock:
    """Return the times of a source for tracking and windows: the frames of a folder without times count as sampled."""
    return Clock(source.times_s, source.duration, timed=not source.fps_assumed)
