"""Tracklets: the detections of one face within one shot, linked by position while the video runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors import Detector
from dfer.faces.tracking.appearance import describe_appearance, face_patch, measure_sharpness, similarity
from dfer.faces.tracking.clock import KEYFRAME_S, MAX_GAP_S
from dfer.records import Face

# Computes the embedding of a face in a frame, a unit vector; see `dfer.faces.recognition.FaceEncoder.encode`.
Encode = Callable[[NDArray[np.uint8], Face], NDArray[np.float32] | None]

OnSearch = Callable[[int], None]  # told how many faces a keyframe has

RESUME_S = 2.0  # a face that reappears in its place within this time is the same one
# After a longer time, or between frames that lie far apart, it must look like the same one as well: one person reaches
# the first value after seconds in the same place, and one in a hundred pairs of people the second.
_MIN_SIMILARITY_IN_PLACE = 0.6
_MIN_SIMILARITY = 0.7
_RESUME_KEYFRAMES = 8

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
        times_s: time of each detection, seconds.
        keyframes: number of the keyframe (frame in which the detector ran) of each detection.
        shots: number of the shot of each detection.
        faces: the detections.
        sharpness: of each detection; see `dfer.faces.tracking.appearance.measure_sharpness`.
        appearances: descriptors of some detections; see `dfer.faces.tracking.appearance.describe_appearance`.
        embeddings: of the same detections, unit vectors; without an encoder empty.
    """

    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    shots: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    appearances: list[NDArray[np.float32]] = field(default_factory=list)
    embeddings: list[NDArray[np.float32]] = field(default_factory=list)
    _describe_every: int = 1

    def add(
        self,
        face: Face,
        frame_rgb: NDArray[np.uint8],
        *,
        frame: int,
        time_s: float,
        keyframe: int,
        shot: int,
        encode: Encode | None = None,
    ) -> None:
        """Append a detection; `encode` computes its embedding."""
        patch = face_patch(frame_rgb, face)
        if len(self.frames) % self._describe_every == 0:
            if len(self.appearances) == _MAX_APPEARANCES:  # keep every second one
                self.appearances, self._describe_every = self.appearances[::2], 2 * self._describe_every
                self.embeddings = self.embeddings[::2]
            if len(self.frames) % self._describe_every == 0:
                self.appearances.append(describe_appearance(patch))
                embedding = encode(frame_rgb, face) if encode else None
                self.embeddings += [] if embedding is None else [embedding]
        self.frames.append(frame)
        self.times_s.append(time_s)
        self.keyframes.append(keyframe)
        self.shots.append(shot)
        self.faces.append(face)
        self.sharpness.append(measure_sharpness(patch))

    def keep_last(self, count: int) -> None:
        """Forget all detections but the last ones, two at least, which is enough to go on."""
        for values in (self.frames, self.times_s, self.keyframes, self.shots, self.faces, self.sharpness):
            del values[: -max(count, 2)]

    def expected_box(self, time_s: float) -> NDArray[np.float64]:
        """Extrapolate the face's box [4] from its last two detections."""
        last = self.faces[-1].box_xyxy.astype(np.float64)
        step_s = self.times_s[-1] - self.times_s[-2] if len(self.faces) > 1 else math.inf
        if step_s > MAX_GAP_S:
            return last
        before = self.faces[-2].box_xyxy.astype(np.float64)
        shift = (box_centres(last) - box_centres(before)) / step_s
        # Do not extrapolate further than one step: people turn round.
        return last + np.tile(shift * min(time_s - self.times_s[-1], step_s), 2)


class TrackletBuilder:
    """Runs the detector in keyframes and links its faces to tracklets, shot by shot.

    Args:
        detector: finds the faces in a frame.
        num_frames: N, number of frames of the source.
        encode: computes embeddings; None for none.
        on_search: called with the number of faces in each keyframe.

    Attributes:
        tracklets: all tracklets; a face seen in two shots has two.
        keyframes: indices of the frames in which the detector ran.
        times_s: float64 [N], when each frame is shown, counted up from the first; NaN if it could not be decoded.
        isolated: bool [N], whether no other frame is so near that a face must be seen in it as well.
    """

    def __init__(
        self, detector: Detector, num_frames: int, encode: Encode | None = None, on_search: OnSearch | None = None
    ) -> None:
        self._encode, self._on_search = encode, on_search
        self.tracklets: list[Tracklet] = []
        self.keyframes: list[int] = []
        self.times_s = np.full(num_frames, np.nan)
        self.isolated = np.zeros(num_frames, np.bool_)
        self._detector = detector
        self._shot = 0
        self._current: list[Tracklet] = []  # of this shot, and not lost for good
        self._since_search = 0
        self._last = -1  # the frame before
        self._is_far = True  # whether the frame before it is far from it

    @property
    def current(self) -> Sequence[Tracklet]:
        """The tracklets of this shot that may go on."""
        return self._current

    def add_frame(self, index: int, step_s: float) -> None:
        """Note the next frame.

        Args:
            index: the frame.
            step_s: seconds from the frame before; infinite for the first one.
        """
        is_far = step_s > KEYFRAME_S
        if self._last < 0:
            self.times_s[index] = 0.0
        else:
            self.times_s[index] = self.times_s[self._last] + step_s
            self.isolated[self._last] = self._is_far and is_far
        self._last, self._is_far = index, is_far
        # As long as no frame comes after it.
        self.isolated[index] = is_far

    def start_shot(self) -> None:
        """Start a new shot: positions before the cut mean nothing after it."""
        self._shot += 1
        self._current = []

    def add_keyframe(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Detect the faces in a frame, unless it was the last keyframe already, and link them."""
        if self.keyframes and self.keyframes[-1] == index:
            return
        now_s = float(self.times_s[index])
        current = [tracklet for tracklet in self._current if self._may_resume(tracklet, now_s)]
        faces = self._detect(index, frame, current)
        if self._on_search:
            self._on_search(len(faces))
        self.keyframes.append(index)
        costs = self._link_costs(current, faces, frame, now_s)
        rows, columns = _assign(costs)
        linked = {
            column: current[row] for row, column in zip(rows, columns, strict=True) if costs[row, column] < _NO_MATCH
        }
        for number, face in enumerate(faces):
            tracklet = linked.get(number)
            if tracklet is None:
                tracklet = Tracklet()
                self.tracklets.append(tracklet)
                current.append(tracklet)
            keyframe = len(self.keyframes)
            tracklet.add(
                face, frame, frame=index, time_s=now_s, keyframe=keyframe, shot=self._shot, encode=self._encode
            )
        self._current = current

    def _may_resume(self, tracklet: Tracklet, now_s: float) -> bool:
        missed = len(self.keyframes) - tracklet.keyframes[-1]
        return now_s - tracklet.times_s[-1] <= RESUME_S or missed < _RESUME_KEYFRAMES

    def _link_costs(
        self, current: list[Tracklet], faces: list[Face], frame: NDArray[np.uint8], now_s: float
    ) -> NDArray[np.float64]:
        """Return how unlikely it is that each face continues each tracklet, float64 [tracklets, faces]."""
        limit_s = MAX_GAP_S if self._is_far else RESUME_S
        by_place = [now_s - tracklet.times_s[-1] <= limit_s for tracklet in current]
        descriptors = [] if all(by_place) else [describe_appearance(face_patch(frame, face)) for face in faces]
        costs = np.full((len(current), len(faces)), _NO_MATCH)
        for row, tracklet in enumerate(current):
            for column, face in enumerate(faces):
                alike = None if by_place[row] else similarity(tracklet.appearances, [descriptors[column]])
                costs[row, column] = _link_cost(tracklet.expected_box(now_s), face, alike)
        return costs

    def _detect(self, index: int, frame: NDArray[np.uint8], current: list[Tracklet]) -> list[Face]:
        """Detect in close-ups of the known faces while none of them is lost, else in the whole frame."""
        if not self._detector.uses_around:
            return self._detector.detect(frame)
        self._since_search += 1
        now_s = float(self.times_s[index])
        none_lost = not self._is_far and all(tracklet.keyframes[-1] == len(self.keyframes) for tracklet in current)
        if current and none_lost and len(current) <= _MAX_CLOSE_UPS and self._since_search < SEARCH_EVERY:
            found = [self._detector.detect(frame, tracklet.expected_box(now_s))[:1] for tracklet in current]
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


def _assign(costs: NDArray[np.float64]) -> tuple[Sequence[int], Sequence[int]]:
    """Return the rows and columns of the pairs that cost least in total, of costs float64 [N, M]."""
    if min(costs.shape) == 0:
        return (), ()
    rows = np.flatnonzero((costs < _NO_MATCH).any(axis=1))
    nearest = costs[rows].argmin(axis=1)
    if len(set(nearest.tolist())) == len(rows):  # no two want the same: nothing could cost less
        return rows.tolist(), nearest.tolist()
    from scipy.optimize import linear_sum_assignment  # slow to import, and rarely needed

    rows, columns = linear_sum_assignment(costs)
    return rows.tolist(), columns.tolist()


def _link_cost(expected: NDArray[np.float64], face: Face, alike: float | None) -> float:
    """Return how unlikely it is that a face is the one expected: shift in face sizes plus change of size.

    Args:
        expected: float64 [4], the box in which it is expected.
        face: the face.
        alike: similarity of both appearances where the place by itself does not decide; None where it does.
    """
    box = face.box_xyxy.astype(np.float64)
    sizes = [math.sqrt(max(float(np.prod(b[2:] - b[:2])), 1e-6)) for b in (expected, box)]
    shift = float(np.linalg.norm(box_centres(box) - box_centres(expected))) / (sum(sizes) / 2)
    growth = max(sizes) / min(sizes)
    in_place = shift <= _MAX_SHIFT and growth <= _MAX_GROWTH
    required = _MIN_SIMILARITY_IN_PLACE if in_place else _MIN_SIMILARITY
    is_same = in_place if alike is None else alike >= required
    return shift + math.log(growth) if is_same else _NO_MATCH


def _same_place(one: Face, other: Face) -> bool:
    """Return whether two boxes overlap so much that they hold the same face."""
    a, b = one.box_xyxy.astype(np.float64), other.box_xyxy.astype(np.float64)
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(common) > _SAME_FACE_IOU * float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)
