"""The largest frame that is decoded, checked by headers before any memory is taken for it."""

from __future__ import annotations

import os
from pathlib import Path

from dfer.errors import UsageError, VideoError

MAX_PIXELS_VARIABLE = "DFER_MAX_PIXELS"
# 12,000 x 9,000, what phones reach, and more than three times 8K video. A frame takes 360 MB as RGB.
DEFAULT_MAX_PIXELS = 120_000_000


def max_pixels() -> int:
    """Return how many pixels a frame may have: `$DFER_MAX_PIXELS`, or 120 million.

    Raises:
        UsageError: the variable is no positive whole number.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "").replace("_", "")
    if not text:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise UsageError(
            f"{MAX_PIXELS_VARIABLE} is {text!r}, expected a number of pixels below 2147483648",
            hint=f"unset {MAX_PIXELS_VARIABLE} for {DEFAULT_MAX_PIXELS}",
        )
    return int(text)


def require_size(width: int, height: int, where: Path) -> None:
    """Check that a frame is not larger than the limit.

    Raises:
        VideoError: it is.
    """
    if width * height > max_pixels():
        raise too_large(f"{width}x{height} pixels", where)


def too_large(size: str, where: Path) -> VideoError:
    """Return the error for a frame above the limit."""
    return VideoError(
        f"too large: a frame of {size}, the limit is {max_pixels():,} pixels",
        where=where,
        hint=f"scale it down, or set {MAX_PIXELS_VARIABLE} if there is memory for it",
    )
