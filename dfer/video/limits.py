"""Limits on what is decoded: the largest frame, by headers before any memory is taken for it, and the memory in all."""

from __future__ import annotations

import os
from pathlib import Path

from dfer.errors import UsageError, VideoError
from dfer.records import MAX_FPS

MAX_PIXELS_VARIABLE = "DFER_MAX_PIXELS"
# 12,000 x 9,000, what phones reach, and more than three times 8K video. A frame takes 360 MB as RGB.
DEFAULT_MAX_PIXELS = 120_000_000
MAX_MEMORY_VARIABLE = "DFER_MAX_MEMORY"
DEFAULT_MAX_MEMORY_MB = 2000  # beyond the libraries; a frame of that size takes half of it while it is decoded

MAX_SPOOL_VARIABLE = "DFER_MAX_SPOOL"
DEFAULT_MAX_SPOOL_MB = 20_000  # hours of video, a few minutes of raw frames


def max_pixels() -> int:
    """Return how many pixels a frame may have: `$DFER_MAX_PIXELS`, or 120 million.

    Raises:
        UsageError: the variable is no positive whole number.
    """
    return _read(MAX_PIXELS_VARIABLE, DEFAULT_MAX_PIXELS, "pixels", below=2**31)


def max_memory() -> int:
    """Return how many bytes a process may take to decode: `$DFER_MAX_MEMORY` megabytes, or 2000.

    Raises:
        UsageError: the variable is no positive whole number.
    """
    return _read(MAX_MEMORY_VARIABLE, DEFAULT_MAX_MEMORY_MB, "megabytes", below=10**9) * 10**6


def max_spool() -> int:
    """Return how many bytes of a download, a stream or standard input are kept: `$DFER_MAX_SPOOL` megabytes, or 20,000.

    Raises:
        UsageError: the variable is no positive whole number.
    """
    return _read(MAX_SPOOL_VARIABLE, DEFAULT_MAX_SPOOL_MB, "megabytes", below=10**9) * 10**6


def _read(variable: str, default: int, unit: str, *, below: int) -> int:
    text = os.environ.get(variable, "").replace("_", "")
    if not text:
        return default
    if not text.isdecimal() or not 0 < int(text) < below:
        raise UsageError(
            f"{variable} is {text!r}, expected a number of {unit} below {below}", hint=f"unset {variable} for {default}"
        )
    return int(text)


def check_rate(fps: float | None) -> None:
    """Check the rate that a user gives to sources without times.

    Raises:
        UsageError: it is not one.
    """
    if fps is not None and not 0 < fps <= MAX_FPS:
        raise UsageError(
            f"the rate must be above 0 and at most {MAX_FPS:.0f} frames a second, not {fps}", where="--fps"
        )


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
