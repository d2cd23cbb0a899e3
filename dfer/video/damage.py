"""Signs that a file is cut off, or holds more than can be read: by its headers, its end, and what was read of it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.runtime.formatting import percent

_DURATION_FORMATS = ("matroska", "flv", "mov")  # whose headers hold the duration; of others FFmpeg estimates it
_SLACK_S, _SLACK = 0.25, 0.02  # by which whole files are shorter than they say: seconds, and share of the duration
_LEAST_S = 0.01  # by which a file that is shorter than it says lacks some of its time
_UNREAD = 0.1  # share of a file behind the last packet; indexes and free space take less
_UNREAD_BYTES = 4096
_CUT = "the file ends within a packet: cut off, or still being recorded; the share that is missing is not known"
_LAST_FRAMES = 8  # among which B-frames are missing from a stream that was cut off
LOSSES = ("truncated", "only ")  # beginnings of the warnings that frames are lost, here and of the decoders
_END_BYTES = 256 * 1024
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


@dataclass(frozen=True)
class Reading:
    """The facts that the packets of a video stream give.

    Attributes:
        times_s: float64 [N], presentation times in stream order, seconds since the first; NaN where there is none.
        lasts_s: float64 [N], how long each frame lasts, seconds; 0 if the container does not say.
        shown: bool [N], False for the frames that an edit list hides.
        key: bool [N], whether the frame is a key frame.
        promised: number of frames by the header; 0 if it does not say.
        duration_s: the container's duration, seconds, or FFmpeg's estimate; None if unknown.
        end_s: the latest end of any stream's packet on the container's clock, seconds.
        end_byte: where the last packet ends in the file.
        broken: whether reading ended with an error.
        last_corrupt: whether the last packet of a program or transport stream is incomplete.
        origin_s: what `times_s` is counted from, on the container's clock, seconds.
    """

    times_s: NDArray[np.float64]
    lasts_s: NDArray[np.float64]
    shown: NDArray[np.bool_]
    key: NDArray[np.bool_]
    promised: int
    duration_s: float | None
    end_s: float
    end_byte: int
    broken: bool
    last_corrupt: bool
    origin_s: float = 0.0

    @property
    def hidden(self) -> int:
        """Number of frames that an edit list hides."""
        return int((~self.shown).sum())


def find_damage(path: Path, container: str, reading: Reading) -> list[str]:
    """Return warnings about what is missing from a file, or was not read of it.

    Args:
        path: the file.
        container: FFmpeg's name of the format.
        reading: what was read.

    Raises:
        OSError: the file cannot be read.
    """
    cut = _cut_off(path, container, reading)
    unread = _unread(path.stat().st_size, container, reading)
    return [warning for warning in (cut, None if cut else unread) if warning]


def _cut_off(path: Path, container: str, reading: Reading) -> str | None:
    found = len(reading.shown)
    if found < reading.promised:
        return f"truncated: contains {found} of {reading.promised} frames ({percent(found / reading.promised, 0)} %)"
    format_name = container.split(",")[0]
    promised_s = _asf_duration(path) if format_name == "asf" else None
    if format_name in _DURATION_FORMATS and not reading.promised:
        promised_s = reading.duration_s
    is_short = format_name in _LENGTHS and _LENGTHS[format_name](path)
    slack_s = _LEAST_S if is_short else max(_SLACK_S, _SLACK * (promised_s or 0.0))
    if promised_s and promised_s - reading.end_s > slack_s:
        share = percent(min(0.99, max(0.0, reading.end_s / promised_s)), 0)
        return f"truncated: {share} % could be read, {reading.end_s:.1f} of {promised_s:.1f} s"
    if reading.broken:
        return f"truncated or damaged after {found} frames"
    ends = {"mpegts": _ends_in_ts_packet, "mpeg": _ends_in_ps_packet, "ogg": _ends_in_ogg_stream}
    if is_short or (
        format_name in ends and (reading.last_corrupt or ends[format_name](path) or _lacks_frames_at_end(reading))
    ):
        return f"truncated: {_CUT}"
    return None


def _lacks_frames_at_end(reading: Reading) -> bool:
    """Return whether frames are missing between the last ones only: B-frames come after what they precede."""
    steps = np.diff(np.sort(reading.times_s[np.isfinite(reading.times_s)]))
    if len(steps) < 2 * _LAST_FRAMES:
        return False
    usual = 1.5 * float(np.median(steps))
    return bool((steps[-_LAST_FRAMES:] > usual).any() and (steps[:-_LAST_FRAMES] <= usual).all())


def _unread(size: int, container: str, reading: Reading) -> str | None:
    """Return a warning if much of a file lies behind the last packet, as when two recordings are joined bytewise."""
    left = size - reading.end_byte
    if not reading.end_byte or left < max(_UNREAD_BYTES, _UNREAD * size) or container == "mpegts":
        return None
    return (
        f"the last {percent(left / size, 0)} % of the file are not part of the video that it begins with: "
        "if recordings were joined, join them with ffmpeg -f concat instead"
    )


def _asf_duration(path: Path) -> float | None:
    """Return the duration by an ASF (WMV) header, seconds; FFmpeg ignores it once the file is shorter than it says."""
    properties = _asf_properties(path)
    if properties is None:
        return None
    duration_100ns, _, preroll_ms = struct.unpack_from("<QQQ", properties, 64)
    return float(duration_100ns / 1e7 - preroll_ms / 1e3)


def _asf_properties(path: Path) -> bytes | None:
    """Return the object in an ASF header that describes the file; None if there is none, or the file is live."""
    header, _ = _ends(path)
    at = header.find(_ASF_PROPERTIES)
    if at < 0 or at + 92 > len(header):
        return None
    is_live = header[at + 88] & 1
    return None if is_live else header[at : at + 92]


def _ends_before_its_segment(path: Path) -> bool:
    """Return whether a Matroska file is shorter than the element that holds all of it."""
    start, _ = _ends(path)
    found = re.search(rb"\x18\x53\x80\x67", start)  # after a header of a few bytes
    if not start.startswith(b"\x1a\x45\xdf\xa3") or not found or found.end() + 8 > len(start):
        return False
    length = 9 - start[found.end()].bit_length()
    size = int.from_bytes(start[found.end() : found.end() + length], "big") & ((1 << 7 * length) - 1)
    is_unknown = size == (1 << 7 * length) - 1  # written to a pipe, or still being recorded
    return not is_unknown and found.end() + length + size > path.stat().st_size


def _ends_in_flv_tag(path: Path) -> bool:
    """Return whether the last tag of an FLV file is incomplete: each ends in its own length."""
    _, end = _ends(path)
    length = int.from_bytes(end[-4:], "big")
    if length == 0 or _END_BYTES <= 4 + length < 2**24:  # some programs write 0; a longer tag is not looked at
        return False
    tag = end[-4 - length : -4]
    return len(tag) < length or tag[0] & 0x1F not in (8, 9, 18) or int.from_bytes(tag[1:4], "big") + 11 != length


def _is_shorter_than_asf_header(path: Path) -> bool:
    """Return whether an ASF (WMV) file is shorter than its header says."""
    properties = _asf_properties(path)
    return properties is not None and int.from_bytes(properties[40:48], "little") > path.stat().st_size


# Formats whose files say how long they are, or where they end.
_LENGTHS = {
    "matroska": _ends_before_its_segment,
    "flv": _ends_in_flv_tag,
    "asf": _is_shorter_than_asf_header,
}


def _ends_in_ts_packet(path: Path) -> bool:
    size, (start, _) = path.stat().st_size, _ends(path)
    for packet, first in ((188, 0), (192, 4), (204, 0)):
        if all(start[place : place + 1] == b"\x47" for place in range(first, min(5 * packet, len(start)), packet)):
            return size % packet != 0
    return False


def _ends_in_ps_packet(path: Path) -> bool:
    """Return whether the last packet of a program stream is longer than the file."""
    _, end = _ends(path)
    found = list(re.finditer(rb"\0\0\x01[\xbd-\xef]", end))
    if not found or found[-1].end() + 2 > len(end):
        return bool(found)
    length = int.from_bytes(end[found[-1].end() : found[-1].end() + 2], "big")
    return found[-1].end() + 2 + length > len(end)


def _ends_in_ogg_stream(path: Path) -> bool:
    """Return whether the last page of an Ogg file is incomplete or does not end its stream."""
    _, end = _ends(path)
    at = end.rfind(b"OggS")
    if at < 0 or at + 27 > len(end):
        return True
    sizes = end[at + 27 : at + 27 + end[at + 26]]
    return not end[at + 5] & 4 or at + 27 + end[at + 26] + sum(sizes) > len(end)


def _ends(path: Path) -> tuple[bytes, bytes]:
    """Return the first and the last 256 KiB of a file."""
    with path.open("rb") as file:
        start = file.read(_END_BYTES)
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        return start, file.read(_END_BYTES)
