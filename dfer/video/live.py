"""Frames as they come: cameras, streams, and files that play in real time. Whoever is slow gets the latest one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import av

from dfer.errors import UsageError, VideoError
from dfer.video.containers import describe_error, find_video_stream, open_container
from dfer.video.decoders import Frame, rotate_frame
from dfer.video.remote import open_stream, public_url, url_scheme

_DEVICES = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}  # FFmpeg's names
_START_S = 30.0  # until the first frame
_CAMERA_HINT = "check that it is plugged in, that no other program uses it, and that you may read it"


class LiveFrame(NamedTuple):
    """A frame, when it is shown, seconds from the first, and when it came, by `time.monotonic`."""

    rgb: Frame
    time_s: float
    came_s: float


class LiveSource:
    """The latest frame of a camera, a stream, or a file that plays in real time; the frames nobody took are dropped.

    Use it as a context manager; a thread reads the frames while the block runs.

    Args:
        source: a camera's number or device, a URL, or a video file.
        is_camera: whether `source` is a camera's.

    Attributes:
        came: number of frames so far.
        taken: number of them that were taken.
        name: of the source, without what may be secret.

    Raises:
        UsageError: no camera can be opened on this system.
        VideoError: (from `frames`) the source cannot be opened, or breaks off.
    """

    def __init__(self, source: str, *, is_camera: bool) -> None:
        self.came = self.taken = 0
        self._source, self._is_device = source, is_camera and not Path(source).is_file()
        self.name = f"camera {source}" if self._is_device else public_url(source) if url_scheme(source) else source
        self._device = _device(source) if self._is_device else None
        self._latest: LiveFrame | None = None
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._read, name="live source", daemon=True)

    def __enter__(self) -> LiveSource:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._thread.join(2.0)  # one that waits for a dead camera ends with the program

    def frames(self) -> Iterator[LiveFrame]:
        """Yield the latest frame, again and again, until the source ends.

        Raises:
            VideoError: the source cannot be opened, or breaks off.
        """
        while True:
            with self._changed:
                patience = None if self.came else _START_S
                if not self._changed.wait_for(lambda: self._latest is not None or self._is_over, patience):
                    raise VideoError(f"no frame within {_START_S:.0f} s", where=self.name)
                latest, self._latest = self._latest, None
                if latest is None:
                    break
                self.taken += 1
            yield latest
        if self._error is not None:
            hint = _CAMERA_HINT if self._is_device else None
            raise VideoError(f"cannot read: {describe_error(self._error)}", where=self.name, hint=hint)

    def _read(self) -> None:
        try:
            with self._open() as container:
                stream = find_video_stream(container, Path(self.name))
                stream.thread_type = "NONE"  # threads of the decoder would hold frames back
                self._play(container, stream)
        except Exception as error:
            self._error = error
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _open(self) -> Any:
        if self._device is not None:
            name, kind = self._device
            return av.open(name, format=kind, timeout=(_START_S, _START_S))
        return open_stream(self._source) if url_scheme(self._source) else open_container(Path(self._source))

    def _play(self, container: Any, stream: Any) -> None:
        is_file = self._device is None and not url_scheme(self._source)
        first: float | None = None
        begun = time.monotonic()
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):  # a damaged packet
                for frame in packet.decode():
                    now = time.monotonic()
                    time_s = frame.time if frame.time is not None else now - begun
                    first = time_s if first is None else first
                    time_s -= first
                    if is_file and self._wait(begun + time_s - now):
                        return
                    rgb = rotate_frame(frame.to_ndarray(format="rgb24"), -round(frame.rotation / 90) * 90 % 360)
                    if not self._put(LiveFrame(rgb, time_s, time.monotonic())):
                        return

    def _wait(self, seconds: float) -> bool:
        """Wait until a frame of a file is due, and return whether the block has ended meanwhile."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_over, max(0.0, seconds))

    def _put(self, frame: LiveFrame) -> bool:
        with self._changed:
            self._latest = frame
            self.came += 1
            self._changed.notify_all()
            return not self._is_over


def _device(camera: str) -> tuple[str, str]:
    """Return FFmpeg's names of a camera and of the kind of device.

    Raises:
        UsageError: FFmpeg cannot open cameras on this system.
    """
    kind = _DEVICES.get(sys.platform)
    if kind is None or not any(kind in name.split(",") for name in av.formats_available):
        raise UsageError("this build of FFmpeg opens no cameras", where="--camera", hint="give a video file or a URL")
    if kind == "v4l2" and camera.isdecimal():
        return f"/dev/video{camera}", kind
    return (f"video={camera}" if kind == "dshow" else camera), kind


def drop_share(came: int, taken: int) -> float:
    """Return the share of frames that were dropped, 0..1."""
    return 0.0 if came == 0 else 1 - taken / came
