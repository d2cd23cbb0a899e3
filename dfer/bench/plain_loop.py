"""The loop that preprocessing is compared with: a straightforward one, with every library's defaults."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.video import open_frames

_CROP_SIDE = 128


def run_plain_loop(task: tuple[tuple[Path, ...], Path]) -> tuple[float, list[NDArray[np.float32]]]:
    """Decode every frame, detect faces at 640x640, and align the largest.

    Args:
        task: the videos, and the detector's .onnx file. Call it in a new process, where no thread pool has been
            configured.

    Returns:
        The seconds for all videos, without loading the detector and its first run, and per video the landmarks of the
        largest face in each frame, float32 [N, 5, 2], NaN if there is none.
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
    return time.perf_counter() - begun, found


def _frames(video: Path) -> Iterator[NDArray[np.uint8]]:
    """Decode all frames with decord's defaults, or with PyAV if decord is missing or cannot read the file."""
    try:
        import decord

        reader = decord.VideoReader(str(video))
    except Exception:  # the only base class that decord's errors share
        yield from (frame for _, frame in open_frames(video, num_threads=0).iter_frames())
        return
    for _ in range(len(reader)):
        yield reader.next().asnumpy()
