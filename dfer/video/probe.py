"""Probe a video container by its packets, for the timestamps, hidden frames and rotation that decord lacks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.video.clock import Stamps, display_order, repair_times
from dfer.video.containers import (
    HINT,
    decode_first,
    describe_error,
    find_video_stream,
    iter_decoded,
    no_frame,
    open_container,
)
from dfer.video.damage import Reading, find_damage
from dfer.video.media import Media, describe_media

NOMINAL_FPS = 25.0
MIN_SIDE = 16
_MAX_FPS = 1000.0  # containers without a constant rate may report the rate of their clock instead
_DECORD_FORMATS = ("mov", "matroska", "avi")  # of the others it miscounts the frames
_DECORD_MAX_S = 1e6  # it aborts the process over timestamps of some thousand years
_LONGEST_TAIL = 600  # packets that are decoded to see whether the last one is whole


@dataclass(frozen=True)
class Probe:
    """The content of a video container, by its packets.

    Attributes:
        path: the video file.
        times_s: float64 [N], presentation times of the displayed frames; the first is 0; strictly increasing.
        order: int64 [N], the number of each displayed frame's packet, see `iter_decoded`; None if the container does
            not say, and frames are counted.
        hidden: number of frames that an edit list hides; the decoders drop them.
        fps: frames per second of the timestamps.
        duration: seconds from the first frame's start to the last one's end.
        size_hw: height and width of the displayed (rotated) frame.
        rotation: clockwise degrees to rotate a decoded frame by: 0, 90, 180 or 270.
        orderly: whether the timestamps are plain enough for decord.
        fps_assumed: whether the container has no timestamps.
        warnings: damage found in the file.
        media: what the file is made of.
    """

    path: Path
    times_s: NDArray[np.float64]
    order: NDArray[np.int64] | None
    hidden: int
    fps: float
    duration: float
    size_hw: tuple[int, int]
    rotation: int
    orderly: bool = True
    fps_assumed: bool = False
    warnings: list[str] = field(default_factory=list)
    media: Media | None = None

    @property
    def decoded_bytes(self) -> int:
        """Size of all frames as RGB."""
        return len(self.times_s) * self.size_hw[0] * self.size_hw[1] * 3


def probe_video(path: Path, fps: float | None = None, num_threads: int = 1) -> Probe:
    """Read the timestamps of all packets, and decode the first frame.

    A stream whose timestamps leave the order of its frames in doubt is decoded once to see it.

    Args:
        path: the video.
        fps: frames per second of a video without timestamps; the container's by default.
        num_threads: number of decoding threads.

    Raises:
        VideoError: there is no video stream, none of its frames can be decoded, or they are too small or too large.
    """
    try:
        with open_container(path) as container:
            stream = find_video_stream(container, path)
            reading = _demux(container, stream)
            name = str(container.format.name)
            rate = stream.guessed_rate or stream.average_rate
            media = describe_media(container, stream)
        first = decode_first(path)
        nominal = fps or (float(rate) if rate and rate < _MAX_FPS else NOMINAL_FPS)
        clock = _read_clock(path, reading, nominal, name, num_threads)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"cannot read the video: {describe_error(error)}", where=path, hint=HINT) from error
    rotation = -round(first.rotation / 90) * 90 % 360
    size_hw = (first.height, first.width) if rotation % 180 == 0 else (first.width, first.height)
    if min(size_hw) < MIN_SIDE:
        raise VideoError(f"frames of {size_hw[1]}x{size_hw[0]} pixels are too small to hold a face", where=path)
    measured = _frame_rate(clock.times_s, nominal)
    last_s = clock.last_s if 0 < clock.last_s < 10 / measured else 1 / measured
    return Probe(
        path=path,
        times_s=clock.times_s,
        order=clock.order,
        hidden=reading.hidden,
        fps=measured,
        duration=float(clock.times_s[-1] + last_s),
        size_hw=size_hw,
        rotation=rotation,
        orderly=clock.orderly and name.split(",")[0] in _DECORD_FORMATS,
        fps_assumed=clock.assumed,
        warnings=[*find_damage(path, name, reading), *clock.notes],
        media=media if clock.first_s is None else replace(media, start_s=clock.first_s),
    )


@dataclass(frozen=True)
class _Clock:
    """The order and times of the displayed frames.

    Attributes:
        first_s: when the first one is shown, by the container's clock, if it says so.
        last_s: how long the last one lasts by its packet, or 0.
    """

    times_s: NDArray[np.float64]
    order: NDArray[np.int64] | None
    first_s: float | None
    last_s: float
    orderly: bool
    assumed: bool
    notes: list[str]


def _read_clock(path: Path, reading: Reading, nominal: float, name: str, num_threads: int) -> _Clock:
    """Bring the frames in order and their timestamps into a clock.

    Raises:
        VideoError: no frame can be decoded.
    """
    shown = np.flatnonzero(reading.shown)
    if len(shown) == 0:
        raise no_frame(path)
    times = reading.times_s
    by_stamps = display_order(Stamps(times[shown], reading.key[shown]))
    order = shown[by_stamps] if by_stamps is not None else None
    counted = name == "avi"  # no presentation times: FFmpeg numbers its packets in decoding order instead
    if order is None and not counted:
        order = _decoded_order(path, len(times), num_threads)
        if len(order) == 0:
            raise no_frame(path)
    in_order = times[shown if order is None else order]
    repaired, notes = repair_times(in_order, 1 / nominal)
    if by_stamps is None and len(repaired) < len(shown) and not counted:
        notes.append(f"only {len(repaired)} of {len(shown)} frames could be decoded")
    return _Clock(
        times_s=repaired,
        order=None if counted else order,
        first_s=reading.origin_s + float(in_order[0]) if np.isfinite(in_order[0]) else None,
        last_s=float(reading.lasts_s[shown[-1] if order is None else order[-1]]),
        orderly=by_stamps is not None and reading.end_s < _DECORD_MAX_S,
        assumed=not np.isfinite(in_order).any() and len(in_order) > 1,
        notes=notes,
    )


def _decoded_order(path: Path, num_packets: int, num_threads: int) -> NDArray[np.int64]:
    """Decode a video to see in which order its packets are displayed."""
    order: list[int] = []
    seen = np.zeros(num_packets, np.bool_)
    with open_container(path) as container:
        for frame in iter_decoded(container, find_video_stream(container, path), num_threads):
            number = frame.pts
            if number is not None and 0 <= number < num_packets and not seen[number]:
                seen[number] = True
                order.append(number)
    return np.array(order, np.int64)


def _demux(container: Any, stream: Any) -> Reading:
    """Read all packets of a container, the other streams' for their end only."""
    base = stream.time_base or Fraction(0)
    stamps: list[int | None] = []
    lasts: list[int] = []
    flags: list[tuple[bool, bool]] = []
    tail: list[Any] = []
    end_byte, broken = 0, False
    ends: dict[int, int] = {}  # of each stream, in its ticks
    checks_end = container.format.name in ("mpegts", "mpeg")
    try:
        for packet in container.demux():
            if packet.size == 0:
                continue
            if packet.pts is not None:
                end = packet.pts + (packet.duration or 0)
                ends[packet.stream_index] = max(ends.get(packet.stream_index, end), end)
            if packet.pos is not None and packet.pos >= 0:
                end_byte = max(end_byte, packet.pos + packet.size)
            if packet.stream_index != stream.index:
                continue
            if checks_end:
                if packet.is_keyframe or len(tail) > _LONGEST_TAIL:
                    tail.clear()
                tail.append(packet)
            stamps.append(packet.pts)
            lasts.append(packet.duration or 0)
            flags.append((not packet.is_discard, packet.is_keyframe))
    except av.FFmpegError:
        broken = True
    ends_s = [float(end * (container.streams[number].time_base or 0)) for number, end in ends.items()]
    shown, key = np.array(flags, np.bool_).reshape(-1, 2).T
    return Reading(
        times_s=_seconds(stamps, base),
        lasts_s=np.array([last * base.numerator / base.denominator for last in lasts]),
        shown=shown,
        key=key,
        promised=int(stream.frames),
        duration_s=None if container.duration is None else container.duration / av.time_base,
        end_s=max([0.0, *ends_s]),
        end_byte=end_byte,
        broken=broken,
        last_corrupt=checks_end and _ends_broken(stream, tail),
        origin_s=float(next((stamp for stamp in stamps if stamp is not None), 0) * base),
    )


def _ends_broken(stream: Any, tail: list[Any]) -> bool:
    """Return whether the last packet of a stream cannot be decoded whole; `tail` holds all since a key frame."""
    if not tail or not tail[0].is_keyframe:
        return False
    stream.codec_context.flush_buffers()
    frame = None
    for packet in [*tail, None]:
        try:
            frame = (stream.codec_context.decode(packet) or [frame])[-1]
        except av.FFmpegError:
            if packet is tail[-1]:
                return True
    return bool(tail[-1].is_corrupt or (frame is not None and frame.is_corrupt))


def _seconds(stamps: list[int | None], base: Fraction) -> NDArray[np.float64]:
    """Return timestamps in seconds since the first one, exact also far from zero; NaN where there is none."""
    start = next((stamp for stamp in stamps if stamp is not None), 0)
    if not base:
        return np.full(len(stamps), np.nan)
    # A division of integers rounds as that of a Fraction does, and is ten times as fast.
    num, den = base.numerator, base.denominator
    return np.array([np.nan if stamp is None else (stamp - start) * num / den for stamp in stamps], np.float64)


def _frame_rate(times_s: NDArray[np.float64], nominal: float) -> float:
    """Return the frames per second of the timestamps, or the container's exact fraction if both agree."""
    if len(times_s) < 2:
        return nominal
    measured = (len(times_s) - 1) / float(times_s[-1])
    return nominal if abs(measured / nominal - 1) < 0.01 else measured
