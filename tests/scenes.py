"""Videos whose faces are known: patterns that stand for people, and detectors that know where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.align import TEMPLATE_5PT
from dfer.faces.detectors import Detector
from dfer.faces.tracking.clock import Clock
from dfer.records import Face, FaceTrack
from dfer.video import FrameSource

SIZE_HW = (120, 160)


def steady(count: int, fps: float = 25.0) -> Clock:
    return Clock(np.arange(count) / fps, count / fps)


def make_face(x: float, y: float, size: float = 30.0, score: float = 0.9) -> Face:
    corner = np.array([x - size / 2, y - size / 2])
    landmarks = corner + TEMPLATE_5PT * size
    return Face(np.concatenate([corner, corner + size]).astype(np.float32), landmarks.astype(np.float32), score)


class Oracle(Detector):
    """A detector that knows the faces of each frame; the frame's first pixel holds the frame's number."""

    name = "oracle"

    def __init__(self, faces_at: Callable[[int], list[Face]]) -> None:
        self.faces_at = faces_at
        self.keyframes: list[int] = []

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
        number = int(frame_rgb[0, 0, 0]) * 256 + int(frame_rgb[0, 0, 1])
        self.keyframes.append(number)
        return self.faces_at(number)


def centres(track: FaceTrack) -> NDArray[np.float64]:
    return (track.boxes_xyxy[:, :2] + track.boxes_xyxy[:, 2:]).astype(np.float64) / 2


Person = tuple[int, int, int]  # number, and where the face is
SIDE = 30


class Scene:
    """A video of patterns that stand for people, and a detector that knows where they are."""

    def __init__(self, frames: Sequence[Sequence[Person]], greys: Sequence[int] | None = None) -> None:
        self.people = frames
        self.greys = greys or [90] * len(frames)
        self.oracle = Oracle(self._faces)

    def _faces(self, index: int) -> list[Face]:
        return [make_face(x, y, SIDE) for _, x, y in self.people[index]]

    def frames(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for index, people in enumerate(self.people):
            frame = np.full((*SIZE_HW, 3), self.greys[index], np.uint8)
            for number, x, y in people:
                pattern = np.random.default_rng(number).integers(0, 256, (6, 6, 3)).astype(np.uint8)
                corner = x - SIDE // 2, y - SIDE // 2
                frame[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE] = cv2.resize(pattern, (SIDE, SIDE))
            frame[0, 0] = index // 256, index % 256, 0
            yield index, frame

    def source(self, times_s: NDArray[np.float64], duration: float, *, timed: bool = True) -> FrameSource:
        """The scene as `dfer.video.open_frames` gives a video."""

        def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
            return ((index, frame) for index, frame in self.frames() if index in wanted)

        fps = len(times_s) / duration
        return FrameSource(Path("scene.mp4"), fps, duration, times_s, SIZE_HW, [], decode, not timed)
