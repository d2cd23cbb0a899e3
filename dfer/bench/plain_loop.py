"""The loop that preprocessing is measured against: what anyone would write first, with every library's defaults."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.video import open_frames

_CROP_SIDE = 128


@dataclass(frozen=True)
class PlainResult:
    """What the plain loop did.

    Attributes:
        seconds: for all videos; loading the detector and its first run are not counted.
        landmarks: for each video, float32 [N, 5, 2] of the largest face of each frame, NaN where there is none.
    """

    seconds: float
    landmarks: list[NDArray[np.float32]]


def run_plain_loop(task: tuple[tuple[Path, ...], Path]) -> PlainResult:
    """Decode every frame, detect in each at 640x640, cut out the largest face.

    Args:
        task: the videos, and the detector's .onnx file. For a process of its own, whose thread pools nothing has
            set.
    """
    from insightface import model_zoo
    from insightface.utils import face_align

    videos, weights = task
    with redirect_stdout(sys.stderr):
        detector = model_zoo.get_model(str(weights), providers=["CPUExecutionProvider"])
        detector.prepare(ctx_id=-1, input_size=(640, 640), det_thresh=0.5)
    detector.detect(np.zeros((360, 640, 3), np.uint8))
    found: list[NDArray[np.float32]] = []
    begun = time.perf_counter()
    for video in videos:
        of_video = []
        for frame_rgb in _frames(video):
            frame_bgr = np.ascontiguousarray(frame_rgb[..., ::-1])
            boxes, landmarks = detector.detect(frame_bgr)
            if len(boxes) == 0:
                of_video.append(np.full((5, 2), np.nan, np.float32))
                continue
            largest = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
            face_align.norm_crop(frame_bgr, landmarks[largest], _CROP_SIDE)
            of_video.append(landmarks[largest])
        found.append(np.stack(of_video))
    return PlainResult(time.perf_counter() - begun, found)


def _frames(video: Path) -> Iterator[NDArray[np.uint8]]:
    """All frames by decord with its defaults, by PyAV where there is no decord or it does not read the file."""
    try:
        import decord

        reader = decord.VideoReader(str(video))
    except Exception:  # decord's errors share no base class but this
        yield from (frame for _, frame in open_frames(video, num_threads=0).iter_frames())
        return
    for _ in range(len(reader)):
        yield reader.next().asnumpy()
