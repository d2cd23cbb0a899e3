"""A segment of a video as a source of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.records import Span
from dfer.video.decoders import Frame
from dfer.video.source import FrameSource

_SLACK_S = 1e-3  # tables round their times


def cut_segment(source: FrameSource, span: Span) -> FrameSource:
    """Return the frames of a source whose times lie in a span, counted and timed from the first of them.

    Args:
        source: the whole video, frame folder or image.
        span: the segment, in seconds of the whole.

    Raises:
        VideoError: no frame lies in the span.
    """
    times_s = source.times_s
    end_s = source.duration if span.end_s is None else min(span.end_s, source.duration)
    first, last = np.searchsorted(times_s, [span.start_s - _SLACK_S, end_s - _SLACK_S]).tolist()
    if last <= first:
        what = f"no frame lies in the segment {span} s: the video has {source.duration:.6g} s"
        raise VideoError(what, where=source.path, hint="check the columns start and end, which are seconds")

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        for index, frame in source.decode(wanted + first):
            yield index - first, frame

    return replace(
        source,
        times_s=times_s[first:last] - times_s[first],
        duration=float(end_s - times_s[first]),
        decode=decode,
    )
