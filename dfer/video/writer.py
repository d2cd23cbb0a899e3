"""Write frames with their times as an H.264 video, atomically."""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError, VideoError
from dfer.runtime.files import atomic_path
from dfer.runtime.streams import is_stream
from dfer.video.mux import Sound, add_sound

logger = logging.getLogger(__name__)

WRITABLE_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi")

_TIME_BASE = Fraction(1, 60000)  # MPEG-4 allows no finer ticks than 1/65535 s


class VideoWriter:
    """Writes an H.264 video (MPEG-4 if FFmpeg lacks x264) frame by frame; a failure leaves no file behind.

    Use it as a context manager. An odd size is padded by one row or column, since the codec
    halves the resolution of colours.

    Args:
        path: the output file; its suffix (.mp4, .mkv, .mov, .avi) chooses the container. A pipe without one gets MP4.
        fps: frames per second, for frames that are written without a time.
        size_hw: height and width of the frames.
        crf: constant rate factor, 0 (best quality) to 51.
        sound: of a recording, to be heard with the frames; if it cannot be read, the video is silent, which is logged.

    Raises:
        VideoError: (on entering) the suffix is not that of a video container.
        DferError: the file cannot be written, or the block ended without a frame.
    """

    def __init__(
        self, path: Path, *, fps: float, size_hw: tuple[int, int], crf: int = 20, sound: Sound | None = None
    ) -> None:
        self.path = Path(path)
        self.fps = fps
        self.size_hw = size_hw
        self.crf = crf
        self.sound = sound
        self._last_pts = -1

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            known = self.path.suffix.lower() in WRITABLE_SUFFIXES
            suffix = WRITABLE_SUFFIXES[0] if is_stream(self.path) and not known else ""
            self._temporary = stack.enter_context(atomic_path(self.path, suffix=suffix, to_stream=True))
            try:
                self._container: Any = av.open(str(self._temporary), "w", options={"movflags": "faststart"})
                self._stream = self._add_stream()
            except ValueError as error:  # PyAV's own errors are ValueErrors too, unless they are OSErrors
                raise VideoError(
                    f"cannot write a video as {self.path.suffix or 'a file without suffix'}",
                    where=self.path,
                    hint="name it with .mp4, .mkv, .mov or .avi",
                ) from error
            stack.push(self._finish)
            self._exit = stack.pop_all()
        return self

    def write(self, frame_rgb: NDArray[np.uint8], time_s: float | None = None) -> None:
        """Append a frame.

        Args:
            frame_rgb: uint8 [H, W, 3].
            time_s: when it is shown, in seconds; one frame interval after the last by default. A time that is not
                later than the last frame's is moved to the next tick (1/60000 s).
        """
        height, width = self.size_hw
        if frame_rgb.shape != (height, width, 3):
            raise ValueError(f"expected a frame of shape {(height, width, 3)}, got {frame_rgb.shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(_even(frame_rgb)), format="rgb24")
        if time_s is not None:
            pts = round(time_s / _TIME_BASE)
        else:
            pts = 0 if self._last_pts < 0 else round(self._last_pts + 1 / self.fps / _TIME_BASE)
        self._last_pts = frame.pts = max(pts, self._last_pts + 1)
        frame.time_base = _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)  # _finish first, then the renaming or removal

    def _add_stream(self) -> Any:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream: Any = self._container.add_stream(codec, rate=Fraction(self.fps).limit_denominator(65535))
        stream.height, stream.width = (side + side % 2 for side in self.size_hw)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(self.crf)} if codec == "libx264" else {"qscale": "3"}
        stream.codec_context.time_base = _TIME_BASE
        return stream

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with suppress(Exception):  # the first failure is the one to report
                self._container.close()
            return
        if self._last_pts < 0:
            raise DferError("no frame was written", where=self.path)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        if self.sound is not None:
            self._add_sound(self.sound)

    def _add_sound(self, sound: Sound) -> None:
        try:
            with atomic_path(self._temporary) as whole:
                add_sound(self._temporary, sound, whole)
        except VideoError as error:
            logger.warning("%s: the video has no sound: %s", self.path, error.what)


def _even(frame_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bottom, right = (side % 2 for side in frame_rgb.shape[:2])
    if not (bottom or right):
        return frame_rgb
    return np.asarray(cv2.copyMakeBorder(frame_rgb, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8)
