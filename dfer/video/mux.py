"""Pictures and sound put into one file: an encoded video gets the sound of the recording that it was made from.

Sound is copied where the new container can hold it, else encoded again. The work is done in a process of its own, where
a damaged recording can crash nothing but itself.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from dfer.errors import VideoError
from dfer.runtime.machine import limit_memory
from dfer.runtime.patience import TIMEOUT_S, time_allowed_s
from dfer.runtime.streams import discard
from dfer.runtime.workers import failure_reason, run_tasks
from dfer.video.containers import describe_error, find_video_stream, open_container
from dfer.video.limits import max_memory

# Container -> the codecs of sound that its players play, and the encoder of all others.
_SOUNDS = {
    "mp4": (frozenset({"aac", "mp3"}), "aac"),
    "mov": (frozenset({"aac", "mp3"}), "aac"),
    "matroska": (frozenset({"aac", "mp3", "opus", "vorbis", "flac", "ac3"}), "aac"),
    "avi": (frozenset({"mp3"}), "libmp3lame"),
}
_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
_LONGEST_SLIP_S = 0.1  # that the times of sound may be off by
_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000)  # that both encoders know


@dataclass(frozen=True)
class Sound:
    """The sound of a recording.

    Attributes:
        path: the recording.
        start_s: its first frame's time, by its clock: what was heard then is heard at the new video's beginning.
    """

    path: Path
    start_s: float


@dataclass(frozen=True)
class _Job:
    """The files of a job: pictures from one, sound from another, both to a third."""

    pictures: Path
    pictures_start_s: float
    sound: Sound
    out: Path
    format: str


def add_sound(video: Path, sound: Sound, out: Path) -> None:
    """Write a video again with the sound of a recording, as far as the pictures go.

    Args:
        video: whose pictures are copied; it begins at 0 s.
        sound: the recording.
        out: the file; its suffix (.mp4, .mkv, .mov, .avi) is that of the container.

    Raises:
        VideoError: the sound cannot be read or encoded.
    """
    _run(_Job(video, 0.0, sound, out, _FORMATS[out.suffix.lower()]))


def repack(recording: Path, start_s: float, out: Path) -> None:
    """Copy a recording's pictures, as they are, and its sound into an MP4 file that begins with its first frame.

    Args:
        recording: a video file.
        start_s: its first frame's time, by its clock.
        out: the file.

    Raises:
        VideoError: it cannot be read, or an MP4 file cannot hold its pictures.
    """
    _run(_Job(recording, start_s, Sound(recording, start_s), out, "mp4"))


def _run(job: _Job) -> None:
    timeout_s = time_allowed_s(job.sound.path, TIMEOUT_S)
    done = run_tasks(
        _mux, [job], workers=1, timeout_s=lambda _: timeout_s, initializer=_start, initargs=(max_memory(),)
    )
    for _, future in done:
        try:
            future.result()
        except VideoError:
            raise
        except Exception as error:
            what = f"cannot copy the sound: {failure_reason(error, timeout_s)[0]}"
            raise VideoError(what, where=job.sound.path) from error


def _start(memory_bytes: int) -> None:
    for number in (1, 2):
        discard(number)
    logging.getLogger("dfer").setLevel(logging.CRITICAL)
    limit_memory(memory_bytes)


def _mux(job: _Job) -> None:
    try:
        with ExitStack() as stack:
            pictures = stack.enter_context(open_container(job.pictures))
            recording = stack.enter_context(open_container(job.sound.path))
            sound = recording.streams.best("audio")
            options = {"movflags": "faststart"} if job.format in ("mp4", "mov") else {}
            out = stack.enter_context(av.open(str(job.out), "w", format=job.format, options=options))
            stream = find_video_stream(pictures, job.pictures)
            parts = [_copied(pictures, stream, out.add_stream_from_template(stream), job.pictures_start_s)]
            if sound is not None:
                parts.append(_sound(recording, sound, out, job))
            end_s = pictures.duration / av.time_base if pictures.duration else float("inf")
            for time_s, _, packet in heapq.merge(*parts, key=lambda part: part[:2]):
                if time_s < end_s or packet.stream.type == "video":
                    out.mux(packet)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(f"cannot copy the sound: {describe_error(error)}", where=job.sound.path) from error


# A packet with its time, and a number that tells apart those of one time.
_Part = Iterator[tuple[float, int, Any]]


def _sound(recording: Any, sound: Any, out: Any, job: _Job) -> _Part:
    kept, encoder = _SOUNDS[job.format]
    if sound.codec_context is None:
        return iter(())
    if sound.codec_context.codec.canonical_name in kept:
        return _copied(recording, sound, out.add_stream_from_template(sound), job.sound.start_s)
    rate = min(_RATES, key=lambda known: abs(known - sound.codec_context.sample_rate))
    layout = "mono" if sound.codec_context.layout.nb_channels == 1 else "stereo"
    encoded = out.add_stream(encoder, rate=rate, layout=layout)
    return _encoded(recording, sound, encoded, job.sound.start_s)


def _copied(container: Any, stream: Any, target: Any, start_s: float) -> _Part:
    """Yield the packets of a stream, counted from `start_s`; sound from before it is left out."""
    base = stream.time_base
    shift = round(start_s / base)
    is_sound = stream.type == "audio"
    for number, packet in enumerate(_dated(_packets(container, stream))):
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if is_sound and packet.pts < 0:
            continue
        packet.stream = target
        yield float(packet.dts * base), number, packet


def _dated(packets: Iterator[Any]) -> Iterator[Any]:
    """Give the first packets their time of decoding, which Matroska leaves out before frames that are shown later."""
    waiting: list[Any] = []
    for packet in (packet for packet in packets if packet.pts is not None):
        waiting.append(packet)
        if packet.dts is None:
            continue
        for ahead, early in enumerate(reversed(waiting[:-1]), start=1):
            early.dts = packet.dts - ahead * max(1, packet.duration or 1)
        yield from waiting
        waiting.clear()
    for packet in sorted(waiting, key=lambda one: one.pts):  # a stream that has none at all
        packet.dts = packet.pts
        yield packet


def _encoded(container: Any, stream: Any, target: Any, start_s: float) -> _Part:
    """Yield packets of a stream that is decoded and encoded again, as `_copied` does."""
    context = target.codec_context
    context.open()  # only then is its frame size known
    resampler = av.AudioResampler(context.format, context.layout, context.rate, context.frame_size)
    base = Fraction(1, context.rate)
    position = 0  # of the next sample
    number = 0
    for frame in _decoded_sound(container, stream, start_s):
        if frame is not None:
            heard = round((frame.time - start_s) * context.rate)
            if heard > position + _LONGEST_SLIP_S * context.rate:
                position = heard  # a hole in the recording, or a late beginning
            frame.pts = None
        for piece in resampler.resample(frame):
            piece.pts, piece.time_base = position, base
            position += piece.samples
            for packet in context.encode(piece):
                number += 1
                yield _stamped(packet, target, number)
    for packet in context.encode(None):
        number += 1
        yield _stamped(packet, target, number)


def _decoded_sound(container: Any, stream: Any, start_s: float) -> Iterator[Any]:
    """Yield the frames of sound from `start_s` on, then None; a damaged packet is a moment of silence."""
    for packet in _packets(container, stream):
        with suppress(av.FFmpegError):
            yield from (frame for frame in packet.decode() if frame.time is not None and frame.time >= start_s)
    yield None


def _stamped(packet: Any, target: Any, number: int) -> tuple[float, int, Any]:
    packet.stream = target
    return float(packet.dts * packet.time_base), number, packet


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets of a stream until it ends or breaks."""
    with suppress(av.FFmpegError):
        yield from (packet for packet in container.demux(stream) if packet.size)
