"""A grey image whose values stand as text in a row of a table, as FER2013 is distributed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError, os_reason
from dfer.records import PixelText
from dfer.runtime.reading import open_regular
from dfer.video.decoders import Frame
from dfer.video.probe import NOMINAL_FPS
from dfer.video.source import FrameSource

_VALUE_BYTES = 8  # of a value with what stands around it, at most
_VALUES = re.compile(rb"\s*\d{1,3}(?:\s+\d{1,3})*\s*")


def open_pixels(path: Path, text: PixelText) -> FrameSource:
    """Open an image in a table as a source of one frame.

    Args:
        path: the table.
        text: the place of the grey values.

    Raises:
        VideoError: the table cannot be read, or holds something else than the values of one image there.
    """
    frame = _read(path, text)

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        yield from ((index, frame) for index in wanted.tolist())

    return FrameSource(
        path=path,
        fps=NOMINAL_FPS,
        duration=1 / NOMINAL_FPS,
        times_s=np.zeros(1),
        size_hw=(text.side, text.side),
        warnings=[],
        decode=decode,
    )


def _read(path: Path, text: PixelText) -> Frame:
    expected = text.side**2
    if text.length > _VALUE_BYTES * expected:
        raise VideoError(f"expected {expected:,} grey values, got {text.length:,} bytes of text", where=path)
    try:
        with open_regular(path) as file:
            file.seek(text.offset)
            content = file.read(text.length).strip(b' "')
    except OSError as error:
        raise VideoError(f"cannot read: {os_reason(error)}", where=path) from error
    if not _VALUES.fullmatch(content):
        found = content[:40].decode(errors="backslashreplace")
        raise VideoError(f"expected grey values separated by spaces, got {found!r}", where=path)
    values = np.array(content.split(), np.int64)
    if len(values) != expected or values.max() > 255:
        found = f"{len(values):,}, up to {values.max()}"
        raise VideoError(f"expected {expected:,} grey values from 0 to 255, got {found}", where=path)
    grey = values.astype(np.uint8).reshape(text.side, text.side)
    return np.repeat(grey[..., None], 3, axis=2)
