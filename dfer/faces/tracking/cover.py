"""The parts of a video to hide so that nobody in it is recognised: rather too much than too little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors import Detector
from dfer.faces.detectors.centerface import CenterFaceDetector
from dfer.faces.detectors.network import box_overlap
from dfer.faces.tracking.cuts import CutDetector
from dfer.faces.tracking.tracklets import box_centres
from dfer.records import Face

# A face moves little between two searches; where frames are further apart than this, every one is searched.
SEARCH_EVERY_S = 0.1
# A face that reappears in its place within this time was there all along, turned away or behind a hand. Its place is a
# circle of this radius, in sizes of its box, around where it was.
RESUME_S = 5.0
_MAX_SHIFT = 1.0
# A face is there before it is first found and after it was last found.
HOLD_S = 0.5
# Small faces are found at the large sizes, faces that fill the frame at the small ones.
SEARCH_SIDES = (1280, 640, 320, 224, 128)
_ENLARGED = 1.3  # enlarging a frame more than this finds no more
_SAME_FACE = 0.4

Frame = NDArray[np.uint8]


class EveryFaceDetector(Detector):
    """Finds faces at all sizes of the network's input, however unlikely or cut off they are."""

    name = "every_face"

    def __init__(self) -> None:
        self._network = CenterFaceDetector(plausible_only=False)

    def detect(self, frame_rgb: Frame, around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
        """Return the faces in a frame, each once; their landmarks may be anything."""
        longer = max(frame_rgb.shape[:2])
        found: list[Face] = []
        for side in SEARCH_SIDES:
            if side <= _ENLARGED * longer or side == SEARCH_SIDES[-1]:
                found += self._network.detect_at(frame_rgb, side)
        faces: list[Face] = []
        for face in sorted(found, key=lambda face: face.score, reverse=True):
            others = np.stack([other.box_xyxy for other in faces]) if faces else np.empty((0, 4))
            if not (box_overlap(face.box_xyxy, others) > _SAME_FACE).any():
                faces.append(face)
        return faces


@dataclass
class _Path:
    """The places where one face was found within a shot: frames, and a box [4] in each."""

    frames: list[int]
    boxes_xyxy: list[NDArray[np.float64]]


def cover_faces(
    frames: Iterable[tuple[int, Frame]],
    times_s: NDArray[np.float64],
    detector: Detector | None = None,
) -> dict[int, NDArray[np.float64]]:
    """Find where faces are in each frame, also where the detector misses them for a while.

    The frames of a shot are searched at least every 0.1 s. A face's box is interpolated between its detections, and
    stays where it was for 0.5 s before the first and after the last one.

    Args:
        frames: (index, RGB uint8 [H, W, 3]), indices ascending.
        times_s: float64 [N], the time of each frame of the video, seconds.
        detector: finds the faces in one frame; an `EveryFaceDetector` by default.

    Returns:
        For each frame with faces their boxes, float64 [F, 4], pixels.
    """
    boxes: dict[int, list[NDArray[np.float64]]] = {}
    detector = detector or EveryFaceDetector()
    for shot in _iter_shots(frames, times_s, detector):
        for path in shot.paths:
            for index, box in _fill(path, times_s, (shot.first, shot.last)):
                boxes.setdefault(index, []).append(box)
    return {index: np.stack(found) for index, found in boxes.items()}


class _Shot:
    """The faces of one shot, linked by their places only: who they are does not matter for hiding them."""

    def __init__(self, first: int, times_s: NDArray[np.float64], detector: Detector) -> None:
        self.first, self.last, self.paths = first, first, list[_Path]()
        self._times_s, self._detector = times_s, detector
        self._searched: int | None = None

    def add(self, index: int, frame: Frame) -> None:
        """Add the shot's next frame, and search it if the last search was a while ago."""
        self.last = index
        if self._searched is None or self._times_s[index] - self._times_s[self._searched] >= SEARCH_EVERY_S:
            self.search(index, frame)

    def search(self, index: int, frame: Frame) -> None:
        """Find the faces in a frame, unless it was the last one to be searched."""
        if self._searched == index:
            return
        self._searched = index
        oldest_s = self._times_s[index] - RESUME_S
        free = [path for path in self.paths if self._times_s[path.frames[-1]] >= oldest_s]
        for face in self._detector.detect(frame):
            box = face.box_xyxy.astype(np.float64)
            path = min(free, key=lambda path: _distance(path, box), default=None)
            if path is None or _distance(path, box) > _MAX_SHIFT:
                self.paths.append(_Path([index], [box]))
            else:
                free.remove(path)
                path.frames.append(index)
                path.boxes_xyxy.append(box)


def _iter_shots(
    frames: Iterable[tuple[int, Frame]], times_s: NDArray[np.float64], detector: Detector
) -> Iterator[_Shot]:
    cuts, shot = CutDetector(), None
    previous: tuple[int, Frame] | None = None
    for index, frame in frames:
        is_cut = cuts.is_cut(frame)
        if shot is None or is_cut:
            if shot is not None and previous is not None:
                shot.search(*previous)
                yield shot
            shot = _Shot(index, times_s, detector)
        shot.add(index, frame)
        previous = index, frame
    if shot is not None and previous is not None:
        shot.search(*previous)
        yield shot


def _fill(
    path: _Path, times_s: NDArray[np.float64], shot: tuple[int, int]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the frames in which a face is to be hidden, with its box [4] in each.

    Args:
        path: where it was found.
        times_s: of the video's frames.
        shot: its first and last frame.
    """
    seen_s, known = times_s[path.frames], np.stack(path.boxes_xyxy)
    first = max(shot[0], int(np.searchsorted(times_s, seen_s[0] - HOLD_S)))
    after = min(shot[1] + 1, int(np.searchsorted(times_s, seen_s[-1] + HOLD_S, side="right")))
    filled = np.stack([np.interp(times_s[first:after], seen_s, column) for column in known.T], axis=1)
    yield from zip(range(first, after), filled, strict=True)


def _distance(path: _Path, box_xyxy: NDArray[np.float64]) -> float:
    """Return how far a box is from where a face was last found, in sizes of the larger of the two boxes."""
    last = path.boxes_xyxy[-1]
    size = max(float(np.sqrt(np.prod(box[2:] - box[:2]))) for box in (last, box_xyxy))
    return float(np.linalg.norm(box_centres(box_xyxy) - box_centres(last))) / max(size, 1e-6)
