"""Sightings of faces, sorted to persons while the video runs: one shot at a time, by where the faces are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dfer.faces.detectors import CloseUpDetector, Detector
from dfer.faces.tracking.appearance import Look, describe_look, face_patch, measure_sharpness
from dfer.records import Face

# A face moves at most this far between two visits, in sizes of its box; and grows or shrinks by this factor.
_MAX_SHIFT = 0.7
_MAX_GROWTH = 1.8
_NO_MATCH = 1e6
# Of each face, up to so many looks are kept, spread over its sightings.
_MAX_LOOKS = 8
# Known faces are looked at closely; every so many visits the whole frame is searched for new ones.
SEARCH_EVERY = 4
_MAX_CLOSE_UPS = 2  # more faces at once are cheaper to find in the whole frame


@dataclass
class Sightings:
    """One face, as detected.

    Attributes:
        frames: ascending.
        visits: the number of the visit (frame in which the detector ran) of each sighting.
        shots: the shot of each sighting.
        sharpness: of each sighting; see `dfer.faces.tracking.appearance.measure_sharpness`.
        looks: some of them, for telling whether another face is the same person.
    """

    frames: list[int] = field(default_factory=list)
    visits: list[int] = field(default_factory=list)
    shots: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    _look_every: int = 1

    def add(self, frame: int, visit: int, shot: int, face: Face, frame_rgb: NDArray[np.uint8]) -> None:
        """The face was seen once more."""
        patch = face_patch(frame_rgb, face)
        if len(self.frames) % self._look_every == 0:
            if len(self.looks) == _MAX_LOOKS:  # keep every second one
                self.looks, self._look_every = self.looks[::2], 2 * self._look_every
            if len(self.frames) % self._look_every == 0:
                self.looks.append(describe_look(patch))
        self.frames.append(frame)
        self.visits.append(visit)
        self.shots.append(shot)
        self.faces.append(face)
        self.sharpness.append(measure_sharpness(patch))

    def expected_box(self, frame: int) -> NDArray[np.float64]:
        """Where the face should be, if it moves on as it did between its last two sightings."""
        last = self.faces[-1].box_xyxy.astype(np.float64)
        if len(self.faces) < 2:
            return last
        before = self.faces[-2].box_xyxy.astype(np.float64)
        shift = (_centre(last) - _centre(before)) / (self.frames[-1] - self.frames[-2])
        # Speed is not trusted for long: people turn round.
        ahead = min(frame - self.frames[-1], self.frames[-1] - self.frames[-2])
        return last + np.tile(shift * ahead, 2)


class Shots:
    """Runs the detector and sorts its faces to persons, shot by shot.

    Args:
        detector: finds faces.
        resume: frames within which a face that comes back to its place is the same one.

    Attributes:
        found: the faces; a face of two shots is two of them.
        visited: the frames in which the detector ran.
    """

    def __init__(self, detector: Detector, resume: int) -> None:
        self.found: list[Sightings] = []
        self.visited: list[int] = []
        self._detector = detector
        self._resume = resume
        self._shot = 0
        self._current: list[Sightings] = []  # of this shot, and not lost for good
        self._since_search = 0

    def cut(self) -> None:
        """What comes is a new shot: positions before the cut mean nothing after it."""
        self._shot += 1
        self._current = []

    def visit(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Detect in a frame, once."""
        if self.visited and self.visited[-1] == index:
            return
        alive = [known for known in self._current if index - known.frames[-1] <= self._resume]
        faces = self._look(index, frame, alive)
        self.visited.append(index)
        costs = np.array([[_cost(known, face, index) for face in faces] for known in alive])
        rows, columns = linear_sum_assignment(costs) if costs.size else ((), ())
        unknown = set(range(len(faces)))
        for row, column in zip(rows, columns, strict=True):
            if costs[row, column] < _NO_MATCH:
                alive[row].add(index, len(self.visited), self._shot, faces[column], frame)
                unknown.discard(column)
        for column in sorted(unknown):
            newcomer = Sightings()
            newcomer.add(index, len(self.visited), self._shot, faces[column], frame)
            self.found.append(newcomer)
            alive.append(newcomer)
        self._current = alive

    def _look(self, index: int, frame: NDArray[np.uint8], alive: list[Sightings]) -> list[Face]:
        """The faces of a frame: closely around the known ones while none is lost, else all over."""
        if not isinstance(self._detector, CloseUpDetector):
            return self._detector.detect(frame)
        self._since_search += 1
        all_seen = all(known.visits[-1] == len(self.visited) for known in alive)
        if alive and all_seen and len(alive) <= _MAX_CLOSE_UPS and self._since_search < SEARCH_EVERY:
            closely = [self._detector.detect_around(frame, known.expected_box(index)) for known in alive]
            faces = [face for face in closely if face is not None]
            if len(faces) == len(alive) and not any(_same_place(a, b) for a, b in _pairs(faces)):
                return faces
        self._since_search = 0
        faces = self._detector.detect(frame)
        # The network's small input finds faces; close by, it finds their landmarks more exactly.
        for n, face in enumerate(faces[:_MAX_CLOSE_UPS]):
            closer = self._detector.detect_around(frame, face.box_xyxy.astype(np.float64))
            others = [other for m, other in enumerate(faces) if m != n]
            if closer is not None and _same_place(closer, face) and not any(_same_place(closer, o) for o in others):
                faces[n] = closer
        return faces


def _cost(known: Sightings, face: Face, index: int) -> float:
    """How unlikely it is that `face` is the one known: shift in face sizes plus change of size."""
    expected, box = known.expected_box(index), face.box_xyxy.astype(np.float64)
    sizes = [math.sqrt(max(float(np.prod(b[2:] - b[:2])), 1e-6)) for b in (expected, box)]
    shift = float(np.linalg.norm(_centre(box) - _centre(expected))) / (sum(sizes) / 2)
    growth = max(sizes) / min(sizes)
    if shift > _MAX_SHIFT or growth > _MAX_GROWTH:
        return _NO_MATCH
    return shift + math.log(growth)


def _same_place(one: Face, other: Face) -> bool:
    """Whether two boxes overlap so much that they hold the same face."""
    a, b = one.box_xyxy.astype(np.float64), other.box_xyxy.astype(np.float64)
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(common) > 0.4 * float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def _pairs(faces: list[Face]) -> list[tuple[Face, Face]]:
    return [(a, b) for n, a in enumerate(faces) for b in faces[n + 1 :]]


def _centre(boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, np.float64)
