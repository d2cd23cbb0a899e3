"""Faces along a video: detection in some of the frames, one identity per person, landmarks in every frame.

The frames are seen once and none is kept but the last, so memory does not grow with the video.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dfer.faces.cuts import CutDetector
from dfer.faces.detect import Detector
from dfer.faces.smooth import interpolate, smooth
from dfer.records import Face, FaceTrack

# Every fourth frame: on real clips of 24 to 30 frames a second the landmarks between lie within 2% of the
# inter-ocular distance of those detected there.
EVERY = 4
MAX_GAP_S = 0.5  # a face lost for longer is not invented in between
RESUME_S = 2.0  # a face that comes back to its place within this time is the same one
# A face moves at most this far between two visits, in sizes of its box; and grows or shrinks by this factor.
_MAX_SHIFT = 0.7
_MAX_GROWTH = 1.8
_NO_MATCH = 1e6


@dataclass
class _Sightings:
    """One face within one shot, as detected.

    Attributes:
        frames: ascending.
        visits: the number of the visit (frame in which the detector ran) of each sighting.
    """

    shot: int
    frames: list[int] = field(default_factory=list)
    visits: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def add(self, frame: int, visit: int, face: Face) -> None:
        self.frames.append(frame)
        self.visits.append(visit)
        self.faces.append(face)

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


def track_faces(
    frames: Iterable[tuple[int, NDArray[np.uint8]]],
    detector: Detector,
    *,
    fps: float = 25.0,
    every: int = EVERY,
    max_gap_s: float = MAX_GAP_S,
    min_sightings: int = 2,
) -> list[FaceTrack]:
    """Find all faces of a video and follow each.

    The detector visits every `every`-th frame, and the first and last frame of each shot, so that all frames but
    those lie between two visits. Between its sightings a face's box and landmarks are interpolated, after a
    smoothing that is symmetric in time, so that it adds no lag.

    Args:
        frames: (index, RGB uint8 [H, W, 3]), indices ascending; those left out could not be decoded, and no track
            holds them.
        detector: finds faces in one frame.
        fps: frames per second, to measure gaps by.
        every: distance of the visited frames.
        max_gap_s: seconds without a sighting that are filled, with `detected` False; longer gaps are left out.
        min_sightings: a face must be found in this many visits, unless the video has fewer.

    Returns:
        A track per person and shot, in the order of first appearance. `detected` is False in those frames where
        a visit in between did not find the face.
    """
    cuts, shots = CutDetector(), _Shots(detector, resume=round(RESUME_S * fps))
    previous: tuple[int, NDArray[np.uint8]] | None = None
    since_visit = 0
    undecoded: list[int] = []
    for index, frame in frames:
        if previous is not None:
            undecoded.extend(range(previous[0] + 1, index))
        is_cut = cuts.is_cut(frame)
        if previous is not None and is_cut:
            shots.visit(*previous)
            shots.cut()
        since_visit += 1
        if previous is None or is_cut or since_visit >= every:
            shots.visit(index, frame)
            since_visit = 0
        previous = index, frame
    if previous is not None:
        shots.visit(*previous)

    required = min(min_sightings, len(shots.visited))
    found = [face for face in shots.found if len(face.frames) >= required]
    found.sort(key=lambda face: face.frames[0])
    max_gap = max(every, round(max_gap_s * fps))
    return [_to_track(number, face, max_gap, undecoded) for number, face in enumerate(found)]


def choose_main_track(tracks: Sequence[FaceTrack], size_hw: tuple[int, int], num_frames: int) -> FaceTrack | None:
    """The track that the clip is about: large, near the middle, and there for long.

    Args:
        tracks: as `track_faces` gives them.
        size_hw: height and width of the frames.
        num_frames: of the video.

    Returns:
        The track with the highest product of relative face size, centrality and share of the frames; of equals
        the first. None if there are no tracks.
    """
    return max(tracks, key=lambda track: _prominence(track, size_hw, num_frames), default=None)


def _prominence(track: FaceTrack, size_hw: tuple[int, int], num_frames: int) -> float:
    height, width = size_hw
    sizes = np.sqrt(np.prod(track.boxes_xyxy[:, 2:] - track.boxes_xyxy[:, :2], axis=1))
    offsets = (_centre(track.boxes_xyxy) - (width / 2, height / 2)) / (width / 2, height / 2)
    # A face at the rim counts half as much as one in the middle.
    centrality = 1 - 0.5 * np.clip(np.linalg.norm(offsets, axis=1) / np.sqrt(2), 0, 1)
    persistence = len(track.frames) / max(num_frames, 1)
    return float(np.mean(sizes * centrality) / min(size_hw) * persistence * track.score)


class _Shots:
    """Runs the detector and sorts its faces to persons, shot by shot."""

    def __init__(self, detector: Detector, resume: int) -> None:
        self.found: list[_Sightings] = []
        self.visited: list[int] = []
        self._detector = detector
        self._resume = resume
        self._shot = 0

    def cut(self) -> None:
        """What comes is a new shot: positions before the cut mean nothing after it."""
        self._shot += 1

    def visit(self, index: int, frame: NDArray[np.uint8]) -> None:
        """Detect in a frame, once."""
        if self.visited and self.visited[-1] == index:
            return
        self.visited.append(index)
        faces = self._detector.detect(frame)
        alive = [known for known in self.found if known.shot == self._shot and index - known.frames[-1] <= self._resume]
        costs = np.array([[_cost(known, face, index) for face in faces] for known in alive])
        rows, columns = linear_sum_assignment(costs) if costs.size else ((), ())
        unknown = set(range(len(faces)))
        for row, column in zip(rows, columns, strict=True):
            if costs[row, column] < _NO_MATCH:
                alive[row].add(index, len(self.visited), faces[column])
                unknown.discard(column)
        for column in sorted(unknown):
            newcomer = _Sightings(self._shot)
            newcomer.add(index, len(self.visited), faces[column])
            self.found.append(newcomer)


def _cost(known: _Sightings, face: Face, index: int) -> float:
    """How unlikely it is that `face` is the one known: shift in face sizes plus change of size."""
    expected, box = known.expected_box(index), face.box_xyxy.astype(np.float64)
    sizes = [math.sqrt(max(float(np.prod(b[2:] - b[:2])), 1e-6)) for b in (expected, box)]
    shift = float(np.linalg.norm(_centre(box) - _centre(expected))) / (sum(sizes) / 2)
    growth = max(sizes) / min(sizes)
    if shift > _MAX_SHIFT or growth > _MAX_GROWTH:
        return _NO_MATCH
    return shift + math.log(growth)


def _to_track(track_id: int, face: _Sightings, max_gap: int, undecoded: list[int]) -> FaceTrack:
    seen = np.asarray(face.frames, np.int64)
    visits = np.asarray(face.visits)
    boxes = np.stack([f.box_xyxy for f in face.faces]).astype(np.float64)
    landmarks = np.stack([f.landmarks for f in face.faces]).astype(np.float64)
    values = np.concatenate([boxes, landmarks.reshape(len(seen), -1)], axis=1)

    # Each stretch is a run of sightings with no gap too long to fill.
    ends = np.flatnonzero(np.diff(seen) > max_gap) + 1
    frames, rows, detected = [], [], []
    for part in np.split(np.arange(len(seen)), ends):
        at = np.arange(seen[part[0]], seen[part[-1]] + 1)
        at = at[~np.isin(at, undecoded)]
        frames.append(at)
        rows.append(interpolate(seen[part], smooth(seen[part], values[part]), at))
        # The sightings before and after each frame; the detector missed the face if it looked in between.
        before = np.searchsorted(seen[part], at, side="right") - 1
        after = np.searchsorted(seen[part], at, side="left")
        detected.append(visits[part][after] - visits[part][before] <= 1)
    filled = np.concatenate(rows).astype(np.float32)
    return FaceTrack(
        track_id=track_id,
        frames=np.concatenate(frames),
        boxes_xyxy=filled[:, :4],
        landmarks=filled[:, 4:].reshape(len(filled), *landmarks.shape[1:]),
        detected=np.concatenate(detected),
        score=float(np.mean([f.score for f in face.faces])),
    )


def _centre(boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, np.float64)
