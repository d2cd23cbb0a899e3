"""Raw frames without a container: their form, as a user gives it, and a container around them.

Each frame becomes a packet of uncompressed video in NUT, a container of FFmpeg, so that it is read as any video.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from dfer.errors import UsageError, VideoError
from dfer.video.containers import describe_error
from dfer.video.limits import check_rate, require_size
from dfer.video.spool import STDIN, Meter

_FORM = re.compile(r"(\d{1,6})x(\d{1,6})@(\d+(?:\.\d+)?(?:/\d+)?)(?::(\w+))?")
HINT = "WIDTHxHEIGHT@FPS[:FORMAT], such as 640x360@25 or 1280x720@30000/1001:bgr24"
OPTION = "--raw"


def _halves(width: int, height: int) -> int:
    return width * height + 2 * (-(-width // 2) * -(-height // 2))


# FFmpeg's names of pixel formats, and the bytes of a frame.
PIXEL_FORMATS: dict[str, Callable[[int, int], int]] = {
    **dict.fromkeys(("rgb24", "bgr24", "yuv444p"), lambda width, height: 3 * width * height),
    **dict.fromkeys(("rgba", "bgra", "argb", "abgr", "rgb0", "bgr0"), lambda width, height: 4 * width * height),
    **dict.fromkeys(("yuv420p", "nv12", "nv21"), _halves),
    **dict.fromkeys(("yuyv422", "uyvy422"), lambda width, height: 4 * -(-width // 2) * height),
    "gray": lambda width, height: width * height,
}


@dataclass(frozen=True)
class RawForm:
    """The form of raw frames.

    Attributes:
        width: pixels.
        height: pixels.
        fps: frames per second.
        pixels: a key of `PIXEL_FORMATS`.
    """

    width: int
    height: int
    fps: Fraction
    pixels: str = "rgb24"

    @property
    def num_bytes(self) -> int:
        """The size of a frame."""
        return PIXEL_FORMATS[self.pixels](self.width, self.height)


def parse_raw(text: str) -> RawForm:
    """Return the form that a text gives, such as 640x360@25:bgr24; rgb24 by default.

    Raises:
        UsageError: it does not have this form, or the format, rate or size is none.
        VideoError: the frames are too large.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"cannot read {text!r:.60}", where=OPTION, hint=HINT)
    width, height, pixels = int(found[1]), int(found[2]), (found[4] or "rgb24").lower()
    if pixels not in PIXEL_FORMATS:
        raise UsageError(f"unknown pixel format {pixels!r}", where=OPTION, hint=f"known: {', '.join(PIXEL_FORMATS)}")
    try:
        fps = Fraction(found[3])
    except ZeroDivisionError:
        fps = Fraction(0)
    check_rate(float(fps))
    if not width or not height:
        raise UsageError("the frames have no pixels", where=OPTION, hint=HINT)
    require_size(width, height, Path(OPTION))
    return RawForm(width, height, fps.limit_denominator(100_000), pixels)


def wrap_frames(blocks: Iterable[bytes], form: RawForm, path: Path) -> int:
    """Write raw frames into a container, and return their number; an incomplete one at the end is left out.

    Args:
        blocks: the bytes of the frames, one after another, in pieces of any length.
        form: the frames' form.
        path: the file to write.

    Raises:
        VideoError: there is not one frame, or there is more than the limit.
        DferError: the file cannot be written.
    """
    meter, count = Meter(STDIN), 0
    try:
        with av.open(str(path), "w", format="nut") as target:
            stream = target.add_stream("rawvideo", rate=form.fps)
            stream.width, stream.height, stream.pix_fmt = form.width, form.height, form.pixels
            stream.codec_context.time_base = stream.time_base = 1 / form.fps
            for frame in _frames(blocks, form.num_bytes):
                meter.add(len(frame))
                packet = av.Packet(frame)
                packet.pts = packet.dts = count
                packet.time_base, packet.is_keyframe, packet.stream = 1 / form.fps, True, stream
                target.mux(packet)
                count += 1
    except av.FFmpegError as error:
        raise VideoError(f"cannot keep the frames: {describe_error(error)}", where=STDIN) from error
    if not count:
        what = f"less than one frame came: {form.num_bytes:,} bytes of {form.pixels} are one"
        raise VideoError(what, where=STDIN, hint=f"check {OPTION}: {HINT}")
    return count


def _frames(blocks: Iterable[bytes], num_bytes: int) -> Iterator[bytes]:
    held = bytearray()
    for block in blocks:
        held += block
        whole = len(held) - len(held) % num_bytes
        for start in range(0, whole, num_bytes):
            yield bytes(held[start : start + num_bytes])
        del held[:whole]
