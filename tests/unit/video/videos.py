"""Builds small videos, and reads them, for the tests of decoding."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from dfer.video import FrameSource

FPS = 30
COUNT = 40


def make_frames(count: int = COUNT, height: int = 96, width: int = 128) -> list[NDArray[np.uint8]]:
    """Make frames that differ from each other and from their own rotations; the top left corner encodes the number."""
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 60)], axis=2)
    frames = []
    for n in range(count):
        frame = base.copy()
        frame[: height // 4, : width // 4] = n * 6
        frames.append(frame.astype(np.uint8))
    return frames


def noisy_frames(count: int = COUNT) -> list[NDArray[np.uint8]]:
    """Make frames that all take about the same share of a file."""
    noise = np.random.default_rng(0).integers(0, 60, (count, 96, 128, 3), np.uint8)
    frames = [np.maximum(frame, more) for frame, more in zip(make_frames(count), noise, strict=True)]
    for n, frame in enumerate(frames):
        frame[:24, :32] = n * 6
    return frames


def write_times(path: Path, times_ms: list[int], codec: str = "libx264") -> Path:
    """Write a video without B-frames, whose frames have these times, in any order."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=FPS, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        packets = []
        for frame in make_frames(len(times_ms)):
            packets += stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24"))
        for number, (packet, time_ms) in enumerate(zip([*packets, *stream.encode(None)], times_ms, strict=True)):
            packet.time_base = Fraction(1, 1000)
            packet.pts, packet.dts = time_ms, 33 * number - 10_000  # muxers accept any pts after dts
            output.mux(packet)
    return path


def write_video(
    path: Path,
    frames: list[NDArray[np.uint8]],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.options = options or {}
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def write_with_sound(
    path: Path,
    frames: list[NDArray[np.uint8]],
    *,
    codec: str = "aac",
    late_s: float = 0.0,
    seconds: float | None = None,
) -> Path:
    """Write a video whose sound is silent but for a beep from 0.5 to 0.6 s after the first frame.

    Args:
        path: the file.
        frames: shown at 25 a second.
        codec: of the sound.
        late_s: when the first frame is shown, by the container's clock; the sound begins at 0.
        seconds: length of the sound; by default, that of the video.
    """
    rate = 48_000
    length = late_s + len(frames) / 25 if seconds is None else seconds
    wave = np.zeros(round(rate * length), np.float32)
    beep = slice(round(rate * (late_s + 0.5)), round(rate * (late_s + 0.6)))
    wave[beep] = 0.5 * np.sin(2 * np.pi * 880 * np.arange(len(wave)) / rate)[beep]
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264" if path.suffix != ".avi" else "mpeg4", rate=25, options={"bf": "0"})
        video.height, video.width, video.pix_fmt = *frames[0].shape[:2], "yuv420p"
        audio = output.add_stream(codec, rate=rate, layout="mono")
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = number + round(25 * late_s), Fraction(1, 25)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        for start in range(0, len(wave), 960):
            piece = np.ascontiguousarray(wave[None, start : start + 960])
            sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = rate, start, Fraction(1, rate)
            output.mux(audio.encode(sound))
        output.mux(audio.encode(None))
    return path


def beep_times(path: Path) -> tuple[float, float]:
    """Return when the beep of `write_with_sound` begins and ends, seconds after the first frame."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    heard: list[float] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            values = frame.to_ndarray().astype(np.float64)
            values = values.reshape(-1, len(frame.layout.channels)).mean(1) if values.shape[0] == 1 else values.mean(0)
            loud = np.flatnonzero(np.abs(values) > 0.25 * (32768 if frame.format.name.startswith("s16") else 1))
            heard += [frame.time + place / frame.sample_rate - first for place in loud]
    return min(heard), max(heard)


def rotate_mp4(path: Path, clockwise: int) -> Path:
    """Overwrite the display matrix in the track's header."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    matrix = header + 4 + (32 if data[header] == 1 else 20) + 16
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[clockwise]
    one = 1 << 16
    struct.pack_into(">9i", data, matrix, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def read_all(source: FrameSource) -> tuple[list[int], NDArray[np.int16]]:
    pairs = list(source.iter_frames())
    return [index for index, _ in pairs], np.stack([frame for _, frame in pairs]).astype(np.int16)


def frame_number(frame: NDArray[np.integer]) -> float:
    height, width = frame.shape[:2]
    return float(frame[2 : height // 4 - 2, 2 : width // 4 - 2].mean()) / 6


def plain_video(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", make_frames())
