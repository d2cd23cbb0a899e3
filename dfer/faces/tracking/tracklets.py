"""Tracklets: the detections of one face within one shot, linked by position while the video runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dfer.faces.detectors import Detector
from dfer.faces.tracking.appearance import describe_appearance, face_patch, measure_sharpness
from dfer.records import Face

# Limits on how far a face moves between two keyframes, in sizes of its box, and on how much it grows or shrinks.
_MAX_SHIFT = 0.7
_MAX_GROWTH = 1.8
_NO_MATCH = 1e6
_MAX_APPEARANCES = 8  # kept of each tracklet, spread over its detections
# Known faces are searched for in close-ups; at every n-th keyframe, the whole frame is searched for new ones.
SEARCH_EVERY = 4
_MAX_CLOSE_UPS = 2  # above this number of faces, searching the whole frame is cheaper
_SAME_FACE_IOU = 0.4


@dataclass
class Tracklet:
    """The detections of one face.

    Attributes:
        frames: frame index of each detection, ascending.
        keyframes: number of the keyframe (frame in which the detector ran) of each detection.
        shots: number of the shot of each detection.
        faces: the detections.
        sharpness: of each detection; see `dfer.faces.tracking.appearance.measure_sharpness`.
        appearances: descriptors of some detections; see `dfer.faces.tracking.appearance.describe_appearance`.
    """

    frames: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    shots: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    appearances: list[NDArray[np.float32]] = field(default_factory=list)
    _describe_every: int = 1

    def add(self, face: Face, frame_rgb: NDArray[np.uint8], *, frame: int, keyframe: int, shot: int) -> None:
        """Append a detection."""
        patch = face_patch(frame_rgb, face)
        if len(self.frames) % self._describe_every == 0:
            if len(self.appearances) == _MAX_APPEARANCES:  # keep every second one
                self.appearances, self._describe_every = self.appearances[::2], 2 * self._describe_every
            if len(self.frames) % self._describe_every == 0:
                self.appearances.append(describe_appearance(patch))
        self.frames.append(frame)
        self.keyframes.append(keyframe)
        self.shots.append(shot)
        self.faces.append(face)
        self.sharpness.append(measure_sharpness(patch))

    def expected_box(self, frame: int) -> NDArray[np.float64]:
        """Extrapolate the face's box [4] from its last two detections."""
        last = self.faces[-1].box_xyxy.astype(np.float64)
        if len(self.faces) < 2:
            return last
        before = self.faces[-2].box_xyxy.astype(np.float64)
        shift = (box_centres(last) - box_centres(before)) / (self.frames[-1] - self.frames[-2])
        # Do not extrapolate further than one step: people turn round.
        ahead = min(frame - self.frames[-1], self.frames[-1] - self.frames[-2])
        return last + np.tile(shift * ahead, 2)


class TrackletBuilder:
    """Runs the detector in keyframes and links its faces to tracklets, shot by shot.

    Args:
        detector: finds the faces in a frame.
        resume: frames within which a face that reappears in its place continues its tracklet.

    Attributes:
        tracklets: all tracklets; a face seen in two shots has two.
        keyframes: indices of the frames in which the detector ran.
    """

    def __init__(self, detector: Detector, resume: int) -> None:
        self.tracklets: list[Tracklet] = []
        self.keyframes: list[int] = []
        self._detector = detector
        self._resume = resume
        self._shot = 0
        self._current: list[Tracklet] = []  # of this shot, and not lost for good
        self._since_search = 0

    def start_shot(self) -> None:
        """Start a new shot: positions before the cut mean nothing after it."""
        self._shot += 1
        self._current = []

    def add_keyframe(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Detect the faces in a frame, unless it was the last keyframe already, and link them."""
        if self.keyframes and self.keyframes[-1] == index:
            return
        current = [tracklet for tracklet in self._current if index - tracklet.frames[-1] <= self._resume]
        faces = self._detect(index, frame, current)
        self.keyframes.append(index)
        costs = np.array([[_link_cost(tracklet, face, index) for face in faces] for tracklet in current])
        rows, columns = linear_sum_assignment(costs) if costs.size else ((), ())
        linked = {
            column: current[row] for row, column in zip(rows, columns, strict=True) if costs[row, column] < _NO_MATCH
        }
        for number, face in enumerate(faces):
            tracklet = linked.get(number)
            if tracklet is None:
                tracklet = Tracklet()
                self.tracklets.append(tracklet)
                current.append(tracklet)
            tracklet.add(face, frame, frame=index, keyframe=len(self.keyframes), shot=self._shot)
        self._current = current

    def _detect(self, index: int, frame: NDArray[np.uint8], current: list[Tracklet]) -> list[Face]:
        """Detect in close-ups of the known faces while none of them is lost, else in the whole frame."""
        if not self._detector.uses_around:
            return self._detector.detect(frame)
        self._since_search += 1
        none_lost = all(tracklet.keyframes[-1] == len(self.keyframes) for tracklet in current)
        if current and none_lost and len(current) <= _MAX_CLOSE_UPS and self._since_search < SEARCH_EVERY:
            found = [self._detector.detect(frame, tracklet.expected_box(index))[:1] for tracklet in current]
            faces = [face for nearest in found for face in nearest]
            if len(faces) == len(current) and not any(_same_place(a, b) for a, b in combinations(faces, 2)):
                return faces
        self._since_search = 0
        faces = self._detector.detect(frame)
        # The landmarks found in a close-up are more exact than those found in the whole frame.
        for n, face in enumerate(faces[:_MAX_CLOSE_UPS]):
            others = faces[:n] + faces[n + 1 :]
            for closer in self._detector.detect(frame, face.box_xyxy.astype(np.float64))[:1]:
                if _same_place(closer, face) and not any(_same_place(closer, other) for other in others):
                    faces[n] = closer
        return faces


def box_centres(boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the centres [..., 2] of boxes [..., 4]."""
    return np.asarray((boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, np.float64)


def _link_cost(tracklet: Tracklet, face: Face, index: int) -> float:
    """Return how unlikely it is that `face` continues the tracklet: shift in face sizes plus change of size."""
    expected, box = tracklet.expected_box(index), face.box_xyxy.astype(np.float64)
    sizes = [math.sqrt(max(float(np.prod(b[2:] - b[:2])), 1e-6)) for b in (expected, box)]
    shift = float(np.linalg.norm(box_centres(box) - box_centres(expected))) / (sum(sizes) / 2)
    growth = max(sizes) / min(sizes)
    if shift > _MAX_SHIFT or growth > _MAX_GROWTH:
        return _NO_MATCH
    return shift + math.log(growth)


def _same_place(one: Face, other: Face) -> bool:
    """Return whether two boxes overlap so much that they hold the same face."""
    a, b = one.box_xyxy.astype(np.float64), other.box_xyxy.astype(np.float64)
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(common) > _SAME_FACE_IOU * float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)
