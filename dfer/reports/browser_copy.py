"""A video's or image's copy for the browser: repacked or encoded again, or with its faces made unrecognisable."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from dfer.drawing.hide import HideStyle, hide_faces
from dfer.errors import VideoError
from dfer.faces.tracking.cover import cover_faces
from dfer.records import Prediction
from dfer.reports.thumbnails import jpeg_bytes
from dfer.runtime.files import atomic_path, write_bytes
from dfer.video import FrameSource, VideoWriter
from dfer.video.mux import repack

_CRF = 23  # the encoder's default: for watching, not for measuring

OnProgress = Callable[[float], None]


def write_browser_copy(source: FrameSource, path: Path, on_progress: OnProgress) -> None:
    """Write a copy of a video that browsers play, with its sound; its pictures stay as they are where they can.

    Args:
        source: the video or frame folder.
        path: the .mp4 file.
        on_progress: called with the progress, 0..1.

    Raises:
        DferError: it cannot be written.
        VideoError: the video can no longer be read.
    """
    media = source.media
    if media is not None and media.is_played(source.path):
        with atomic_path(path) as temporary:
            shutil.copyfile(source.path, temporary)
        return
    if media is not None and media.can_be_repacked and _is_repacked(source, path):
        return
    with VideoWriter(path, fps=source.fps, size_hw=source.size_hw, crf=_CRF, sound=source.sound) as writer:
        for index, frame in source.watch_frames(on_progress):
            writer.write(frame, float(source.times_s[index]))


def _is_repacked(source: FrameSource, path: Path) -> bool:
    assert source.media is not None
    try:
        with atomic_path(path) as temporary:
            repack(source.path, source.media.start_s, temporary)
    except VideoError:  # such as pictures that an MP4 file cannot hold; they can be encoded again
        return False
    return True


def write_hidden_copy(
    source: FrameSource, prediction: Prediction, path: Path, style: HideStyle, on_progress: OnProgress
) -> None:
    """Write a video with all faces made unrecognisable, also those without a prediction, and without sound.

    Args:
        source: the video, frame folder or image.
        prediction: the places of its faces.
        path: the .mp4 file.
        style: see `dfer.drawing.hide`.
        on_progress: called with the progress, 0..1.

    Raises:
        DferError: it cannot be written.
    """
    covered = cover_faces(source.watch_frames(lambda done: on_progress(done / 2)), source.times_s)
    with VideoWriter(path, fps=source.fps, size_hw=source.size_hw, crf=_CRF) as writer:
        for index, frame in source.watch_frames(lambda done: on_progress((1 + done) / 2)):
            time_s = float(source.times_s[index])
            boxes: Sequence[ArrayLike] = [*covered.get(index, ()), *_boxes_at(prediction, time_s)]
            writer.write(hide_faces(frame, boxes, style), time_s)


def write_image_copy(source: FrameSource, prediction: Prediction, path: Path, style: HideStyle | None) -> None:
    """Write an image as JPEG, with all faces made unrecognisable if a style is given.

    Args:
        source: the image.
        prediction: the places of its faces.
        path: the .jpg file.
        style: see `dfer.drawing.hide`.

    Raises:
        DferError: it cannot be written.
        VideoError: the image can no longer be read.
    """
    covered = cover_faces(source.iter_frames(), source.times_s) if style else {}
    for index, frame in source.iter_frames():
        if style:
            frame = hide_faces(frame, [*covered.get(index, ()), *_boxes_at(prediction, 0.0)], style)
        write_bytes(path, jpeg_bytes(frame))


def _boxes_at(prediction: Prediction, time_s: float) -> list[tuple[float, float, float, float]]:
    return [s.box for face in prediction.faces for s in face.segments if s.start <= time_s < s.end]
