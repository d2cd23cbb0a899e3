"""Damaged, odd and false videos, made from a good one with a fixed seed."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frames = list[NDArray[np.uint8]]
FPS = 25
_SAME_BYTES = {"fflags": "+bitexact"}  # no random ids: the seed alone decides
_QUIET = {"libx265": {"x265-params": "log-level=none"}}


@dataclass(frozen=True)
class Mutation:
    """A file that was made.

    Attributes:
        kind: what was done to it, a row of the table.
        path: the file.
        sound: a face must be found in it.
    """

    kind: str
    path: Path
    sound: bool


def mutate(folder: Path, frames: Frames, seed: int) -> list[Mutation]:
    """Make the files.

    Args:
        folder: to fill.
        frames: RGB uint8 [H, W, 3], ten or so, with a face that the detector finds.
        seed: of where bits are flipped and files are cut.
    """
    rng = np.random.default_rng(seed)
    good = {name: encode(folder / f"good-{name}", frames, **how) for name, how in _CONTAINERS.items()}
    made = [Mutation("undamaged", path, True) for path in good.values()]
    for name, path in good.items():
        made += _damage(name, path.read_bytes(), folder, rng)
    for maker in (_formats, _sizes, _times_and_turns):
        made += [Mutation(kind, path, sound) for kind, path, sound in maker(folder, frames)]
    made += [
        Mutation(kind, path, False) for kind, path in _false(folder, good["h264-mp4.mp4"].read_bytes(), frames, rng)
    ]
    return made


def encode(
    path: Path,
    frames: Frames,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: list[int] | None = None,
) -> Path:
    """Write a video; `times` are the frames' times in milliseconds, else there are 25 a second."""
    with av.open(str(path), "w", options=_SAME_BYTES) as output:
        stream = output.add_stream(codec, rate=FPS, options=_QUIET.get(codec, {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if times is not None:
                picture.pts, picture.time_base = times[number], Fraction(1, 1000)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


_CONTAINERS: dict[str, dict[str, str]] = {
    "h264-mp4.mp4": {},
    "h264-mkv.mkv": {},
    "h264-mts.mts": {},
    "mpeg4-avi.avi": {"codec": "mpeg4"},
    "mjpeg-avi.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "vp9-webm.webm": {"codec": "libvpx-vp9"},
    "ffv1-mkv.mkv": {"codec": "ffv1"},
    "mpeg2-mpg.mpg": {"codec": "mpeg2video"},
}


def _damage(name: str, data: bytes, folder: Path, rng: np.random.Generator) -> Iterator[Mutation]:
    """One container's file: cut, with bits flipped, with pieces blanked, left out and put twice."""
    count = 0

    def made(kind: str, damaged: bytes) -> Mutation:
        nonlocal count
        count += 1
        path = folder / f"{kind.replace(' ', '-')}-{count:02}-{name}"  # no two may differ by their suffixes alone
        path.write_bytes(damaged)
        return Mutation(kind, path, False)

    for share in (0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        yield made("cut off", data[: max(1, int(share * len(data)))])
    places = {"bits flipped in the header": (0, 64), "bits flipped in the data": (64, len(data))}
    if b"moov" in data:
        at = data.index(b"moov")
        places["bits flipped in the index"] = (at, len(data))
    for kind, (start, end) in places.items():
        for number in range(6):
            damaged = bytearray(data)
            for place in rng.integers(start, min(end, len(data)), 2 ** (number + 1)):
                damaged[place] ^= 1 << int(rng.integers(8))
            yield made(kind, bytes(damaged))
    for _ in range(3):
        start, length = int(rng.integers(len(data))), len(data) // 8
        piece = data[start : start + length]
        yield made("a piece blanked", data[:start] + bytes(len(piece)) + data[start + length :])
        yield made("a piece left out", data[:start] + data[start + length :])
        yield made("a piece twice", data[:start] + piece + data[start:])


def _formats(folder: Path, frames: Frames) -> Iterator[tuple[str, Path, bool]]:
    for codec, suffix, formats in (
        ("libx264", "mp4", ("yuv422p", "yuv444p", "yuvj420p", "gray", "yuv420p10le", "yuv444p10le", "gray10le")),
        ("libx265", "mp4", ("yuv420p", "yuv420p10le", "gbrp")),
        ("libvpx-vp9", "webm", ("yuv444p", "yuva420p", "gbrp")),
        ("ffv1", "mkv", ("gray", "bgr0", "yuv410p", "yuv411p", "yuv444p16le", "gbrp10le")),
        ("mjpeg", "mkv", ("yuvj422p", "yuvj444p")),
        ("prores_ks", "mov", ("yuv422p10le", "yuva444p10le")),
        ("huffyuv", "avi", ("rgb24", "yuv422p")),
        ("wmv2", "wmv", ("yuv420p",)),
        ("flv", "flv", ("yuv420p",)),
        ("rawvideo", "avi", ("yuv420p",)),
    ):
        for pix_fmt in formats:
            path = folder / f"format-{codec}-{pix_fmt}.{suffix}"
            yield "pixel formats and codecs", encode(path, frames, codec=codec, pix_fmt=pix_fmt), True


def _sizes(folder: Path, frames: Frames) -> Iterator[tuple[str, Path, bool]]:
    for width, height in ((1, 1), (2, 2), (15, 200), (200, 15), (16, 16), (1, 200), (4000, 16)):
        small = [cv2.resize(frame, (width, height)) for frame in frames]
        path = folder / f"size-{width}x{height}.mov"
        yield "tiny and thin", encode(path, small, codec="png", pix_fmt="rgb24"), False
    for cut in ((1, 1), (3, 2), (5, 7)):
        odd = [frame[: -cut[0], : -cut[1]] for frame in frames]
        yield "odd size", encode(folder / f"odd-{cut[0]}-{cut[1]}.mp4", odd, pix_fmt="yuv444p"), True
    for codec, suffix in (("mpeg4", "avi"), ("mjpeg", "mkv")):
        large = [np.zeros((4320, 7680, 3), np.uint8) for _ in range(2)]
        pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        yield "8K", encode(folder / f"8k-{codec}.{suffix}", large, codec=codec, pix_fmt=pix_fmt), False


def _times_and_turns(folder: Path, frames: Frames) -> Iterator[tuple[str, Path, bool]]:
    for number, gaps in enumerate(((40, 80), (1, 400), (5, 5, 700), (33, 34))):
        times = np.cumsum([0, *(gaps * len(frames))])[: len(frames)].tolist()
        for suffix in ("mp4", "mkv"):
            yield "variable frame rate", encode(folder / f"vfr-{number}-{suffix}.{suffix}", frames, times=times), True
    for clockwise, turns in ((90, 1), (180, 2), (270, 3)):
        turned = [np.rot90(frame, turns) for frame in frames]  # the flag turns them back
        path = encode(folder / f"turned-{clockwise}.mp4", turned)
        data = bytearray(path.read_bytes())
        header = data.index(b"tkhd") + 4
        a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[clockwise]
        matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
        struct.pack_into(">9i", data, header + 40, *matrix)
        path.write_bytes(data)
        yield "rotation flags", path, True
    yield "one or two frames", encode(folder / "one-frame.mp4", frames[:1]), True
    yield "one or two frames", encode(folder / "two-frames.mp4", frames[:2]), True


def _false(folder: Path, mp4: bytes, frames: Frames, rng: np.random.Generator) -> Iterator[tuple[str, Path]]:
    def file(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    yield "zero bytes", file("zero-1.mp4", b"")
    yield "zero bytes", file("zero-2.avi", b"")
    texts = {
        "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 20,
        "csv": b"video_name,label\n1,2\n" * 50,
        "playlist": b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "ansi": b"\x1b[31mred\x1b[0m\r\n" * 100,
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    }
    for name, text in texts.items():
        for suffix in ("mp4", "avi"):
            yield "text that poses as video", file(f"text-{name}-{suffix}.{suffix}", text)
    for suffix in ("mp4", "avi", "mkv", "mpg", "wmv"):
        yield "noise", file(f"noise-{suffix}.{suffix}", rng.bytes(20_000))
    for suffix in ("avi", "mkv", "wmv", "mpg"):
        yield "another container's name", file(f"really-mp4-{suffix}.{suffix}", mp4)
    for before in (1, 100, 5000):
        yield "garbage before", file(f"garbage-{before}.mp4", bytes(before) + mp4)
    yield "garbage after", file("after.mp4", mp4 + rng.bytes(5000))
    yield "garbage after", file("double.mp4", mp4 + mp4)
    yield from _no_video(folder, frames)
    yield from _lying_numbers(folder, mp4, frames)


def _no_video(folder: Path, frames: Frames) -> Iterator[tuple[str, Path]]:
    for codec, suffix in (("aac", "mp4"), ("aac", "mkv"), ("mp2", "mpg"), ("pcm_s16le", "avi"), ("libopus", "webm")):
        path = folder / f"audio-{codec}-{suffix}.{suffix}"
        with av.open(str(path), "w", options=_SAME_BYTES) as output:
            stream = output.add_stream(codec, rate=48000, layout="mono")
            for n in range(20):
                samples = np.zeros((1, 960), np.int16)
                sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                sound.sample_rate, sound.pts = 48000, n * 960
                output.mux(stream.encode(sound))
            output.mux(stream.encode(None))
        yield "audio only", path
    for suffix in ("mp4", "mkv", "avi"):
        path = folder / f"no-frames-{suffix}.{suffix}"
        with av.open(str(path), "w", options=_SAME_BYTES) as output:
            stream = output.add_stream("mpeg4", rate=FPS)
            stream.width, stream.height = 64, 64
            output.start_encoding()
        yield "zero frames", path
    for kind in ("jpg", "png"):
        picture = cv2.imencode(f".{kind}", frames[0])[1].tobytes()
        (folder / f"picture-{kind}.mp4").write_bytes(picture)
        yield "another kind of file", folder / f"picture-{kind}.mp4"
    with zipfile.ZipFile(folder / "archive.mp4", "w") as archive:
        archive.writestr(zipfile.ZipInfo("clip.mp4"), b"0" * 1000)
    yield "another kind of file", folder / "archive.mp4"


def _lying_numbers(folder: Path, mp4: bytes, frames: Frames) -> Iterator[tuple[str, Path]]:
    """Boxes and headers whose numbers ask for memory or time without end."""

    def patched(name: str, box: bytes, offset: int, form: str, value: int, *, within: bytes = mp4) -> Path:
        data = bytearray(within)
        struct.pack_into(form, data, data.index(box) + offset, value)
        (folder / name).write_bytes(data)
        return folder / name

    patches: dict[str, Callable[[str], Path]] = {
        "sample-count": lambda name: patched(name, b"stsz", 12, ">I", 0xFFFFFFFF),
        "sample-size": lambda name: patched(name, b"stsz", 8, ">I", 0x7FFFFFFF),
        "chunk-count": lambda name: patched(name, b"stco", 8, ">I", 0x7FFFFFFF),
        "chunk-place": lambda name: patched(name, b"stco", 12, ">I", 0x7FFFFFF0),
        "time-count": lambda name: patched(name, b"stts", 8, ">I", 0x0FFFFFFF),
        "time-repeat": lambda name: patched(name, b"stts", 12, ">I", 0x7FFFFFFF),
        "time-scale": lambda name: patched(name, b"mdhd", 16, ">I", 0),
        "width": lambda name: patched(name, b"avc1", 28, ">H", 65535),
        "box-size": lambda name: patched(name, b"moov", -4, ">I", 0xFFFFFFFF),
        "box-zero": lambda name: patched(name, b"trak", -4, ">I", 0),
    }
    for what, patch in patches.items():
        yield "numbers that lie", patch(f"lie-{what}.mp4")
    jpegs = encode(folder / "bomb.avi", frames, codec="mjpeg", pix_fmt="yuvj420p").read_bytes()
    for side in (20_000, 65_500):
        data = jpegs.replace(
            b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", *frames[0].shape[:2]),
            b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", side, side),
        )
        (folder / f"bomb-{side}.avi").write_bytes(data)
        yield "numbers that lie", folder / f"bomb-{side}.avi"
    (folder / "bomb.avi").unlink()
