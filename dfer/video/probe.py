"""Probe a video container by its packets, for the timestamps, hidden frames and rotation that decord lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError

NOMINAL_FPS = 25.0
MIN_SIDE = 16
_MAX_FPS = 1000.0  # containers without a constant rate may report the rate of their clock instead

# FFmpeg "decodes" any text file into pictures of text by these demuxers.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
_HINT = "check that the file plays in a video player, or convert it: ffmpeg -i INPUT output.mp4"
_ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC: an album cover, not a video

av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True)
class Probe:
    """The content of a video container, by its packets.

    Attributes:
        path: the video file.
        times_s: float64 [N], presentation times of the displayed frames; the first is 0; strictly increasing.
        pts: int64 [N], the same in ticks of the stream; None if the container has no usable timestamps.
        hidden: number of frames that an edit list hides; the decoders drop them.
        fps: frames per second of the timestamps.
        duration: seconds from the first frame's start to the last one's end.
        size_hw: height and width of the displayed (rotated) frame.
        rotation: clockwise degrees to rotate a decoded frame by: 0, 90, 180 or 270.
        warnings: damage found in the file.
    """

    path: Path
    times_s: NDArray[np.float64]
    pts: NDArray[np.int64] | None
    hidden: int
    fps: float
    duration: float
    size_hw: tuple[int, int]
    rotation: int
    warnings: list[str] = field(default_factory=list)

    @property
    def decoded_bytes(self) -> int:
        """Size of all frames as RGB."""
        return len(self.times_s) * self.size_hw[0] * self.size_hw[1] * 3


def probe_video(path: Path) -> Probe:
    """Read the timestamps of all packets, and decode the first frame.

    Raises:
        VideoError: there is no video stream, none of its frames can be decoded, or they are too small.
    """
    try:
        with open_container(path) as container:
            stream = find_video_stream(container, path)
            packets, hidden, broken = _demux(container, stream)
            time_base = float(stream.time_base) if stream.time_base else 0.0
            promised, rate = int(stream.frames), stream.guessed_rate or stream.average_rate
            # AVI has no presentation times: FFmpeg numbers its packets in decoding order instead.
            stores_pts = container.format.name != "avi"
        with open_container(path) as container:
            first = next(iter_decoded(container, find_video_stream(container, path), 1), None)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"cannot read the video: {describe_error(error)}", where=path, hint=_HINT) from error
    if first is None or not packets:
        raise VideoError("no frame of the video can be decoded", where=path, hint=_HINT)
    rotation = -round(first.rotation / 90) * 90 % 360
    size_hw = (first.height, first.width) if rotation % 180 == 0 else (first.width, first.height)
    if min(size_hw) < MIN_SIDE:
        raise VideoError(f"frames of {size_hw[1]}x{size_hw[0]} pixels are too small to hold a face", where=path)

    warnings = []
    found = len(packets) + hidden
    if found < promised:
        warnings.append(f"truncated: contains {found} of {promised} frames")
    elif broken:
        warnings.append(f"truncated or damaged after {found} frames")
    nominal = float(rate) if rate and rate < _MAX_FPS else NOMINAL_FPS
    pts, times_s = _timeline([pts for pts, _ in packets], time_base, nominal)
    fps = _frame_rate(times_s, nominal)
    stamped = [(pts, duration) for pts, duration in packets if pts is not None]
    last_s = max(stamped, key=lambda packet: packet[0], default=(0, 0))[1] * time_base
    return Probe(
        path=path,
        times_s=times_s,
        pts=pts if stores_pts else None,
        hidden=hidden,
        fps=fps,
        duration=float(times_s[-1] + (last_s if 0 < last_s < 10 / fps else 1 / fps)),
        size_hw=size_hw,
        rotation=rotation,
        warnings=warnings,
    )


def open_container(path: Path) -> Any:
    """Open a media file with PyAV, from the local disk only."""
    # The absolute path: FFmpeg would take the "a:" of "a:b.mp4" for a protocol. The whitelist keeps playlists from
    # opening anything on the network.
    options = {"protocol_whitelist": "file"}
    return av.open(str(path.absolute()), metadata_errors="replace", options=options)


def find_video_stream(container: Any, path: Path) -> Any:
    """Return the video stream of a container.

    Raises:
        VideoError: there is none, or no decoder for it.
    """
    stream = container.streams.best("video")
    if stream is None or container.format.name in _TEXT_FORMATS or stream.disposition.value & _ATTACHED_PICTURE:
        kind = "audio only" if container.streams.audio else "not a video"
        raise VideoError(f"no video stream: {kind}", where=path, hint="give a video, a frame folder or an image")
    if stream.codec_context is None:
        raise VideoError("no decoder for this video codec", where=path, hint=_HINT)
    return stream


def iter_decoded(container: Any, stream: Any, num_threads: int) -> Iterator[Any]:
    """Yield all decodable frames in display order; damaged packets are skipped, a broken container ends the video."""
    stream.codec_context.thread_count = num_threads
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def _demux(container: Any, stream: Any) -> tuple[list[tuple[int | None, int]], int, bool]:
    """Return (pts, duration) of the shown packets in decoding order, the number hidden, and whether reading failed."""
    shown: list[tuple[int | None, int]] = []
    hidden = 0
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.is_discard:
                hidden += 1
            else:
                shown.append((packet.pts, packet.duration or 0))
    except av.FFmpegError:
        return shown, hidden, True
    return shown, hidden, False


def _timeline(
    shown: list[int | None], time_base: float, nominal_fps: float
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64]]:
    """Return the timestamps in display order, if they are distinct, and the times, strictly increasing from 0."""
    count = len(shown)
    stamps = np.sort(np.asarray([pts for pts in shown if pts is not None], np.int64))
    if len(stamps) < count or time_base <= 0:
        return None, np.arange(count) / nominal_fps
    distinct, first = np.unique(stamps, return_index=True)
    if len(distinct) == count:
        return stamps, (stamps - stamps[0]) * time_base
    # Frames that share a timestamp are spread over the time up to the next one.
    times_s = np.append((distinct - distinct[0]) * time_base, 0.0)
    times_s[-1] = times_s[-2] + (count - first[-1]) / nominal_fps
    return None, np.interp(np.arange(count), np.append(first, count), times_s)


def _frame_rate(times_s: NDArray[np.float64], nominal: float) -> float:
    """Return the frames per second of the timestamps, or the container's exact fraction if both agree."""
    if len(times_s) < 2:
        return nominal
    measured = (len(times_s) - 1) / float(times_s[-1])
    return nominal if abs(measured / nominal - 1) < 0.01 else measured


def describe_error(error: BaseException) -> str:
    """Return the useful part of an FFmpeg or decord error; decord prefixes it with source lines and a failed check."""
    text = str(getattr(error, "strerror", None) or error or type(error).__name__).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    line = re.sub(r"^((\[[\d:]+\] )?\S+:\d+: )+(\[.*?\])?(Check failed: .* vs\. \S+\) )?", "", line)
    return line.split(". ")[0].rstrip(".")[:120]
