"""Detect cuts between shots from thumbnails."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

_THUMBNAIL_WH = (32, 18)
# At a cut, the thumbnail's pixels change by at least this much on average (0..255), and by several times the usual
# change between the frames before it, so that a shaking camera or a flickering light does not count.
_MIN_CHANGE = 18.0
_MIN_RATIO = 4.0
_MEMORY = 8


class CutDetector:
    """Decides for each frame whether it begins a new shot.

    Attributes:
        change: mean absolute difference of the last frame to the one before, 0..255.
    """

    def __init__(self) -> None:
        self.change = 0.0
        self._last: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=_MEMORY)

    def is_cut(self, frame_rgb: NDArray[np.uint8]) -> bool:
        """Return whether this frame, RGB uint8 [H, W, 3], belongs to another shot than the previous one."""
        # Every few pixels are enough, and faster than reading the whole frame.
        step = max(1, min(frame_rgb.shape[:2]) // (4 * _THUMBNAIL_WH[1]))
        small = cv2.resize(frame_rgb[::step, ::step], _THUMBNAIL_WH, interpolation=cv2.INTER_AREA)
        thumbnail = small.astype(np.float32)
        if self._last is None:
            self._last = thumbnail
            return False
        self.change = float(np.abs(thumbnail - self._last).mean())
        self._last = thumbnail
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes.append(self.change)
        return self.change > _MIN_CHANGE and self.change > _MIN_RATIO * usual
