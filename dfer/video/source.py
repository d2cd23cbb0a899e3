"""Sources of RGB frames with their times: videos, frame folders and images."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError, UsageError, VideoError, os_reason
from dfer.runtime.ahead import read_ahead
from dfer.runtime.reading import require_regular
from dfer.video.containers import refuse_script
from dfer.video.damage import LOSSES
from dfer.video.decoders import DECORD_MAX_BYTES, Decode, Frame, decode_decord, decode_pyav, decord_available
from dfer.video.images import Animation, ImageFiles, is_animation, is_image, list_images
from dfer.video.media import Media
from dfer.video.mux import Sound
from dfer.video.probe import NOMINAL_FPS, Probe, probe_video

logger = logging.getLogger(__name__)

_AHEAD, _AHEAD_BYTES = 8, 2**26  # most frames that wait, and what they may take

_Item = tuple[int, Frame]


@dataclass(frozen=True)
class FrameSource:
    """A video, frame folder or image whose frames can be read in order, any number of times.

    Attributes:
        path: the video file, folder or image.
        fps: frames per second of the timestamps, not rounded.
        duration: seconds from the first frame's start to the last one's end.
        times_s: float64 [N], when each frame is shown; the first is 0; strictly increasing.
        size_hw: height and width of the displayed (rotated) frame. Non-square pixels are not stretched.
        warnings: damage found in the source; `iter_frames` adds to it when frames cannot be decoded.
        decode: the decoder.
        fps_assumed: whether the source has no times and nobody has given its rate, so that 25 frames a second or, for
            a video stream without a container, the rate in its header were assumed.
        media: what the video file is made of; None for images.
    """

    path: Path
    fps: float
    duration: float
    times_s: NDArray[np.float64]
    size_hw: tuple[int, int]
    warnings: list[str]
    decode: Decode = field(repr=False)
    fps_assumed: bool = False
    media: Media | None = None

    @property
    def num_frames(self) -> int:
        """Number of frames in the source; a damaged one may yield fewer."""
        return len(self.times_s)

    @property
    def sound(self) -> Sound | None:
        """The sound of the recording, if it has any."""
        media = self.media
        return Sound(self.path, media.start_s) if media is not None and media.sound else None

    @property
    def damage(self) -> str | None:
        """The warning that frames are lost, or None."""
        return next((line for line in self.warnings if line.startswith(LOSSES)), None)

    def watch_frames(
        self, on_progress: Callable[[float], None], *, around: Callable[[Iterator[_Item]], Iterator[_Item]] = iter
    ) -> Iterator[_Item]:
        """Yield all frames as `iter_frames` does, decoded while the caller is busy with those before.

        Args:
            on_progress: called after each with the share that is done.
            around: goes through the frames as they are decoded, in another thread.
        """
        height, width = self.size_hw
        count = min(max(_AHEAD_BYTES // (3 * height * width), 1), _AHEAD)
        for index, frame in read_ahead(around(self.iter_frames()), count):
            yield index, frame
            on_progress((index + 1) / self.num_frames)

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


def open_frames(path: Path, *, num_threads: int = 1, fps: float | None = None) -> FrameSource:
    """Open a video file, a folder of numbered frames, an animation or a single image.

    Frame counts and times come from the packets, not from the header. A truncated video can be used as far as it
    goes, with a warning. decord decodes, or PyAV if decord is not installed, fails on the file, cannot follow its
    timestamps, or would need more than 512 MiB for reading ahead. `DFER_DECODER=pyav` leaves decord out; with
    `DFER_DECODER=decord` it decodes long videos too.
    Frames of more pixels than `DFER_MAX_PIXELS` are refused before memory is taken for them.

    Args:
        path: the file or folder.
        num_threads: number of decoding threads; 1 in worker processes.
        fps: frames per second of a source without times, such as a folder; 25 by default.

    Raises:
        VideoError: the source is missing, empty, not a video, too large, or without a decodable frame.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _image_source(path, list_images(path), fps)
        if not path.exists():
            raise VideoError("no such file or folder", where=path, hint="check the path")
        require_regular(path)
        if path.stat().st_size == 0:
            raise VideoError("the file is empty", where=path, hint="copy or download it again")
        refuse_script(path)
        if is_image(path):
            return _animation_source(path) if is_animation(path) else _image_source(path, [path], fps)
    except OSError as error:
        raise VideoError(f"cannot read: {os_reason(error)}", where=path) from error
    probe = probe_video(path, fps, num_threads)
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
        fps_assumed=probe.fps_assumed and fps is None,
        media=probe.media,
    )


def _choose_decoder(probe: Probe, num_threads: int) -> Decode:
    forced = os.environ.get("DFER_DECODER", "")
    if forced not in ("", "decord", "pyav"):
        raise UsageError(f"DFER_DECODER is {forced!r}, expected decord or pyav", hint="unset DFER_DECODER")
    if forced == "decord" and not decord_available():
        raise DferError("decord is not installed", where="DFER_DECODER", hint="unset DFER_DECODER")
    pyav = decode_pyav(probe, num_threads)
    unsuitable = not probe.orderly or probe.decoded_bytes > DECORD_MAX_BYTES or not decord_available()
    if forced == "pyav" or (unsuitable and forced != "decord"):
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


def _image_source(path: Path, files: list[Path], fps: float | None) -> FrameSource:
    images, count = ImageFiles(path, files), len(files)
    rate = fps or NOMINAL_FPS
    return FrameSource(
        path=path,
        fps=rate,
        duration=count / rate,
        times_s=np.arange(count) / rate,
        size_hw=images.size_hw,
        warnings=[],
        decode=images.decode,
        fps_assumed=fps is None and count > 1,
    )


def _animation_source(path: Path) -> FrameSource:
    animation = Animation(path)
    count = len(animation.times_s)
    for warning in animation.warnings:
        logger.warning("%s: %s", path, warning)
    return FrameSource(
        path=path,
        fps=count / animation.duration,
        duration=animation.duration,
        times_s=animation.times_s,
        size_hw=animation.size_hw,
        warnings=list(animation.warnings),
        decode=animation.decode,
    )
