"""Two decoders behind one form: what a container promises, and its frames as RGB in ascending order.

PyAV always probes, since it tells packet timestamps, hidden frames and rotation; decord or PyAV then decodes.
Both give the same pixels. Three facts about decord (0.6) decide how it is used here:

- It reads ahead without bound when the reader is slower than the decoder, so a video is read with it only when
  all its frames would fit into `DECORD_MAX_BYTES`.
- It seeks whenever a skip crosses a key frame, and seeks land elsewhere when an edit list hides frames; so it is
  read strictly in sequence, where its n-th frame is the n-th displayed frame.
- It replaces frames that it cannot decode by copies of earlier ones; `fault_tol` turns that into an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError

Frame = NDArray[np.uint8]
# Takes the wanted frame indices, ascending, and yields those that decode.
Decode = Callable[[NDArray[np.int64]], Iterator[tuple[int, Frame]]]

DECORD_MAX_BYTES = 512 * 2**20
NOMINAL_FPS = 25.0
MIN_SIDE = 16
_MAX_FPS = 1000.0  # containers without a constant rate may give their clock's rate instead

# FFmpeg "decodes" any text file into pictures of text by these demuxers.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}
_HINT = "check that the file plays in a video player, or convert it: ffmpeg -i INPUT output.mp4"
_ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC: an album cover, not a video
_CLOCKWISE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True)
class Probe:
    """What a video container holds, by its packets.

    Attributes:
        times_s: float64 [N], presentation times of the displayed frames; the first is 0; strictly increasing.
        pts: int64 [N], the same in the stream's ticks; None where the container keeps no usable ones.
        hidden: number of frames that an edit list hides; the decoders drop them.
        size_hw: of the displayed (rotated) frame.
        rotation: clockwise degrees to turn a decoded frame by: 0, 90, 180 or 270.
        warnings: what was found to be wrong with the file.
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
        """Bytes that all frames would take as RGB."""
        return len(self.times_s) * self.size_hw[0] * self.size_hw[1] * 3


def probe_video(path: Path) -> Probe:
    """Read the timestamps of all packets and decode the first frame; nothing is kept in memory.

    Raises:
        VideoError: no video stream, or no frame of it can be decoded.
    """
    try:
        with _open(path) as container:
            stream = _video_stream(container, path)
            packets, broken = _demux(container, stream)
            time_base = float(stream.time_base) if stream.time_base else 0.0
            promised, rate = int(stream.frames), stream.guessed_rate or stream.average_rate
            # AVI has no presentation times: FFmpeg counts packets in decoding order there.
            stores_pts = container.format.name != "avi"
        with _open(path) as container:
            first = next(_decoded(container, _video_stream(container, path), 1), None)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"cannot read the video: {_reason(error)}", where=path, hint=_HINT) from error
    if first is None or not packets.shown:
        raise VideoError("no frame of the video can be decoded", where=path, hint=_HINT)
    rotation = -round(first.rotation / 90) * 90 % 360
    size_hw = (first.height, first.width) if rotation % 180 == 0 else (first.width, first.height)
    if min(size_hw) < MIN_SIDE:
        raise VideoError(f"frames of {size_hw[1]}x{size_hw[0]} pixels are too small to hold a face", where=path)

    warnings = []
    found = len(packets.shown) + packets.hidden
    if found < promised:
        warnings.append(f"truncated: holds {found} of {promised} frames")
    elif broken:
        warnings.append(f"truncated or damaged after {found} frames")
    nominal = float(rate) if rate and rate < _MAX_FPS else NOMINAL_FPS
    pts, times_s = _timeline(packets.shown, time_base, nominal)
    fps = _frame_rate(times_s, nominal)
    last_s = packets.last_duration * time_base
    return Probe(
        path=path,
        times_s=times_s,
        pts=pts if stores_pts else None,
        hidden=packets.hidden,
        fps=fps,
        duration=float(times_s[-1] + (last_s if 0 < last_s < 10 / fps else 1 / fps)),
        size_hw=size_hw,
        rotation=rotation,
        warnings=warnings,
    )


def decode_pyav(probe: Probe, num_threads: int = 1) -> Decode:
    """Decode with PyAV. Frames that are damaged beyond decoding are left out, the others keep their index."""

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        asked = set(wanted.tolist())
        index = -1
        by_pts = {} if probe.pts is None else {int(pts): i for i, pts in enumerate(probe.pts)}
        height, width = probe.size_hw if probe.rotation % 180 == 0 else probe.size_hw[::-1]
        with _open(probe.path) as container:
            stream = _video_stream(container, probe.path)
            for frame in _decoded(container, stream, num_threads):
                place = by_pts.get(frame.pts, index + 1)
                if place <= index:
                    continue  # a damaged stream may give frames twice or out of order
                index = place
                if index in asked:
                    # A stream may change its resolution half way: all frames take the first one's.
                    rgb = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
                    yield index, _rotated(rgb, probe.rotation)
                if index >= wanted[-1]:
                    return

    return decode


def decode_decord(probe: Probe, num_threads: int = 1) -> Decode:
    """Decode with decord.

    Raises:
        VideoError: (when iterating) decord cannot open the file, counts its frames otherwise than its packets
            say, or cannot decode one of them.
    """

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        # decord raises StopIteration, AssertionError, RuntimeError and its own error for a bad file.
        try:
            reader = _decord_reader(probe, num_threads)
        except Exception as error:
            raise VideoError(f"decord cannot open the video: {_reason(error)}", where=probe.path) from error
        # A skip that crosses a key frame would seek, and it tells frames by their packets' timestamps: the frame
        # before a key frame is read instead, and all of them where the timestamps are no good.
        must_read = {int(key) - 1 for key in reader.get_key_indices()}
        if probe.hidden or probe.pts is None:
            must_read = set(range(len(reader)))
        position = 0
        for index in wanted.tolist():
            try:
                while position < index:
                    position += _advance(reader, position, index, must_read)
                rgb = reader.next().asnumpy()
            except Exception as error:
                raise VideoError(
                    f"decord cannot decode frame {position}: {_reason(error)}", where=probe.path
                ) from error
            position += 1
            if rgb.shape != (*probe.size_hw, 3):  # narrow frames come with their padding
                raise VideoError(f"decord gives frames of shape {rgb.shape}", where=probe.path)
            yield index, rgb

    return decode


def decord_available() -> bool:
    """Whether decord can be imported (it has no wheels but for x86-64)."""
    try:
        import decord  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _decord_reader(probe: Probe, num_threads: int) -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(probe.path.absolute()), num_threads=num_threads, fault_tol=1)
    expected = len(probe.times_s) + probe.hidden
    if len(reader) != expected:
        raise ValueError(f"it counts {len(reader)} frames, the packets {expected}")
    return reader


def _advance(reader: Any, position: int, target: int, must_read: set[int]) -> int:
    """Go from `position` towards `target` without seeking; return by how many frames, one at least."""
    if position in must_read:
        reader.next()
        return 1
    end = position + 1
    while end < target and end not in must_read:
        end += 1
    reader.skip_frames(end - position)
    return end - position


@dataclass
class _Packets:
    """Presentation times of the packets to be shown, in decoding order; the others are counted."""

    shown: list[int | None] = field(default_factory=list)
    hidden: int = 0
    last_duration: int = 0


def _demux(container: Any, stream: Any) -> tuple[_Packets, bool]:
    packets, last = _Packets(), -(2**63)
    try:
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.is_discard:
                packets.hidden += 1
                continue
            packets.shown.append(packet.pts)
            if packet.pts is not None and packet.pts > last:
                last, packets.last_duration = packet.pts, packet.duration or 0
    except av.FFmpegError:
        return packets, True
    return packets, False


def _open(path: Path) -> Any:
    # The absolute path: FFmpeg would take the "a:" of "a:b.mp4" for a protocol. The white list keeps playlists
    # from opening anything on the network.
    options = {"protocol_whitelist": "file"}
    return av.open(str(path.absolute()), metadata_errors="replace", options=options)


def _video_stream(container: Any, path: Path) -> Any:
    stream = container.streams.best("video")
    if stream is None or container.format.name in _TEXT_FORMATS or stream.disposition.value & _ATTACHED_PICTURE:
        kind = "audio only" if container.streams.audio else "not a video"
        raise VideoError(f"no video stream: {kind}", where=path, hint="give a video, a frame folder or an image")
    if stream.codec_context is None:
        raise VideoError("no decoder for this kind of video", where=path, hint=_HINT)
    return stream


def _decoded(container: Any, stream: Any, num_threads: int) -> Iterator[Any]:
    """All frames that decode, in display order; damaged packets are skipped, a broken container ends the video."""
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


def _rotated(rgb: Frame, rotation: int) -> Frame:
    return rgb if rotation == 0 else np.asarray(cv2.rotate(rgb, _CLOCKWISE[rotation]), np.uint8)


def _timeline(
    shown: list[int | None], time_base: float, nominal_fps: float
) -> tuple[NDArray[np.int64] | None, NDArray[np.float64]]:
    """Timestamps in display order, if they tell the frames apart; and the times, strictly increasing from 0."""
    count = len(shown)
    stamps = np.sort(np.asarray([pts for pts in shown if pts is not None], np.int64))
    if len(stamps) < count or time_base <= 0:
        return None, np.arange(count) / nominal_fps
    distinct, first = np.unique(stamps, return_index=True)
    if len(distinct) == count:
        return stamps, (stamps - stamps[0]) * time_base
    # Frames that share a timestamp are spread over the time to the next one.
    times_s = np.append((distinct - distinct[0]) * time_base, 0.0)
    times_s[-1] = times_s[-2] + (count - first[-1]) / nominal_fps
    return None, np.interp(np.arange(count), np.append(first, count), times_s)


def _frame_rate(times_s: NDArray[np.float64], nominal: float) -> float:
    """Frames per second by the timestamps; the container's exact fraction where both agree."""
    if len(times_s) < 2:
        return nominal
    measured = (len(times_s) - 1) / float(times_s[-1])
    return nominal if abs(measured / nominal - 1) < 0.01 else measured


def _reason(error: BaseException) -> str:
    """The useful part of an FFmpeg or decord error; decord puts its source lines and the failed check before it."""
    text = str(getattr(error, "strerror", None) or error or type(error).__name__).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    line = re.sub(r"^((\[[\d:]+\] )?\S+:\d+: )+(\[.*?\])?(Check failed: .* vs\. \S+\) )?", "", line)
    return line.split(". ")[0].rstrip(".")[:120]
