"""Pictures on a terminal: two pixels in each character, the upper half of a block above the lower one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style

_HALF = "▀"


def half_blocks(frame_rgb: NDArray[np.uint8], columns: int, rows: int) -> Segments:
    """Return a picture that fits into a part of a terminal, in its own proportions.

    Args:
        frame_rgb: uint8 [H, W, 3].
        columns: width of the part, characters.
        rows: height of the part, lines.
    """
    height, width = frame_rgb.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size_wh = max(1, round(width * scale)), max(2, round(height * scale) // 2 * 2)
    small = cv2.resize(frame_rgb, size_wh, interpolation=cv2.INTER_AREA)
    parts = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        parts += [Segment(_HALF, _style(tuple(above), tuple(below))) for above, below in zip(upper, lower, strict=True)]
        parts.append(Segment.line())
    return Segments(parts)


def _style(above: tuple[int, int, int], below: tuple[int, int, int]) -> Style:
    return Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below))
