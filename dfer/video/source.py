"""Sources of RGB frames with their times: videos, frame folders and images."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError, UsageError, VideoError, os_reason
from dfer.records import IMAGE_SUFFIXES
from dfer.runtime.filenames import is_visible, sort_frames
from dfer.video.decoders import DECORD_MAX_BYTES, Decode, Frame, decode_decord, decode_pyav, decord_available
from dfer.video.probe import MIN_SIDE, NOMINAL_FPS, Probe, probe_video

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameSource:
    """A video, frame folder or image whose frames can be read in order, any number of times.

    Attributes:
        path: the video file, folder or image.
        fps: frames per second of the timestamps, not rounded; nominally 25 for folders and images.
        duration: seconds from the first frame's start to the last one's end.
        times_s: float64 [N], when each frame is shown; the first is 0; strictly increasing.
        size_hw: height and width of the displayed (rotated) frame. Non-square pixels are not stretched.
        warnings: damage found in the source; `iter_frames` adds to it when frames cannot be decoded.
        decode: the decoder.
    """

    path: Path
    fps: float
    duration: float
    times_s: NDArray[np.float64]
    size_hw: tuple[int, int]
    warnings: list[str]
    decode: Decode = field(repr=False)

    @property
    def num_frames(self) -> int:
        """Number of frames in the source; a damaged one may yield fewer."""
        return len(self.times_s)

    def iter_frames(self, indices: Iterable[int] | None = None) -> Iterator[tuple[int, Frame]]:
        """Yield (index, frame) in ascending order, decoding in sequence and keeping nothing.

        Args:
            indices: the wanted frames, 0-based, in any order; all by default.

        Yields:
            The index, and the RGB uint8 [H, W, 3] frame. Frames that cannot be decoded are left out, which is
            logged and added to `warnings`.

        Raises:
            VideoError: the source can no longer be read.
        """
        wanted = np.arange(self.num_frames) if indices is None else np.unique(np.fromiter(indices, np.int64))
        if len(wanted) == 0:
            return
        if wanted[0] < 0 or wanted[-1] >= self.num_frames:
            raise IndexError(f"frame {wanted[0]}..{wanted[-1]} of {self.num_frames}: {self.path}")
        count = 0
        try:
            for index, frame in self.decode(wanted):
                count += 1
                yield index, frame
        except OSError as error:  # from the decoder, not the caller: the file has disappeared
            raise VideoError(f"cannot read: {os_reason(error)}", where=self.path) from error
        if count < len(wanted):
            note = f"only {count} of {len(wanted)} frames could be decoded"
            if note not in self.warnings:
                self.warnings.append(note)
                logger.warning("%s: %s", self.path, note)


def open_frames(path: Path, *, num_threads: int = 1) -> FrameSource:
    """Open a video file, a folder of numbered frames or a single image.

    Frame counts and times come from the packets, not from the header. A truncated video can be used as far as it
    goes, with a warning. decord decodes, or PyAV if decord is not installed, fails on the file, or would need more
    than 512 MiB for reading ahead. `DFER_DECODER=decord|pyav` forces one of them.

    Args:
        path: the file or folder.
        num_threads: number of decoding threads; 1 in worker processes.

    Raises:
        VideoError: the source is missing, empty, not a video, or without a decodable frame.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _open_folder(path)
        if not path.exists():
            raise VideoError("no such file or folder", where=path, hint="check the path")
        if path.stat().st_size == 0:
            raise VideoError("the file is empty", where=path, hint="copy or download it again")
    except OSError as error:
        raise VideoError(f"cannot read: {os_reason(error)}", where=path) from error
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _image_source(path, [path])
    probe = probe_video(path)
    for warning in probe.warnings:
        logger.warning("%s: %s", path, warning)
    return FrameSource(
        path=path,
        fps=probe.fps,
        duration=probe.duration,
        times_s=probe.times_s,
        size_hw=probe.size_hw,
        warnings=list(probe.warnings),
        decode=_choose_decoder(probe, num_threads),
    )


def _choose_decoder(probe: Probe, num_threads: int) -> Decode:
    forced = os.environ.get("DFER_DECODER", "")
    if forced not in ("", "decord", "pyav"):
        raise UsageError(f"DFER_DECODER is {forced!r}, expected decord or pyav", hint="unset DFER_DECODER")
    if forced == "decord":
        if not decord_available():
            raise DferError("decord is not installed", where="DFER_DECODER", hint="unset DFER_DECODER")
        return decode_decord(probe, num_threads)
    pyav = decode_pyav(probe, num_threads)
    if forced == "pyav" or probe.decoded_bytes > DECORD_MAX_BYTES or not decord_available():
        return pyav
    decord = decode_decord(probe, num_threads)

    failed = False

    def decord_then_pyav(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        nonlocal failed
        done = 0
        if not failed:
            try:
                for index, frame in decord(wanted):
                    done += 1
                    yield index, frame
            except VideoError as error:
                failed = True
                logger.warning("%s: %s; PyAV decodes it", probe.path, error.what)
        if failed:
            yield from pyav(wanted[done:])

    return decord_then_pyav


def _open_folder(path: Path) -> FrameSource:
    files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and is_visible(file.name)]
    if not files:
        raise VideoError("no images in the folder", where=path, hint="give a folder of numbered .jpg or .png frames")
    return _image_source(path, sort_frames(files))


def _image_source(path: Path, files: list[Path]) -> FrameSource:
    """Return the frames of image files, nominally 25 a second, all resized to the first one's size."""
    first = next((frame for frame in map(_read_image, files) if frame is not None), None)
    if first is None:
        raise VideoError("the image cannot be read", where=path, hint="check that it opens in an image viewer")
    height, width = first.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise VideoError(f"images of {width}x{height} pixels are too small to hold a face", where=path)

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        for index in wanted.tolist():
            frame = _read_image(files[index])
            if frame is not None:
                if frame.shape != first.shape:
                    frame = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))
                yield index, frame

    return FrameSource(
        path=path,
        fps=NOMINAL_FPS,
        duration=len(files) / NOMINAL_FPS,
        times_s=np.arange(len(files)) / NOMINAL_FPS,
        size_hw=(height, width),
        warnings=[],
        decode=decode,
    )


def _read_image(path: Path) -> Frame | None:
    """Read an image as RGB, rotated by its EXIF orientation; return None if it cannot be read."""
    try:
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
