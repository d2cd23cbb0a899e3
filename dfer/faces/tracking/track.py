"""Faces along a video: detection in some of the frames, one identity per person, landmarks in every frame.

The frames are seen once and none is kept but the last, so memory does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors import Detector
from dfer.faces.tracking.cuts import CutDetector
from dfer.faces.tracking.identity import join_sightings
from dfer.faces.tracking.smooth import interpolate, smooth
from dfer.faces.tracking.tracklets import Shots, Sightings
from dfer.records import FaceTrack

# Every fourth frame: on real clips of 24 to 30 frames a second the landmarks between lie within 2% of the
# inter-ocular distance of those detected there.
EVERY = 4
MAX_GAP_S = 0.5  # a face lost for longer is not invented in between
RESUME_S = 2.0  # a face that comes back to its place within this time is the same one
# A face counts fully when it is much sharper than this; see `dfer.faces.tracking.appearance.measure_sharpness`.
_BLURRED = 0.1


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
    those lie between two visits. A detector that can looks closely around the faces it knows, and searches the
    whole frame for others in every fourth visit, and whenever a face is lost. Between its sightings a face's box
    and landmarks are interpolated, after a smoothing that is symmetric in time, so that it adds no lag.

    Args:
        frames: (index, RGB uint8 [H, W, 3]), indices ascending; those left out could not be decoded, and no track
            holds them.
        detector: finds faces in one frame.
        fps: frames per second, to measure gaps by.
        every: distance of the visited frames.
        max_gap_s: seconds without a sighting that are filled, with `detected` False; longer gaps are left out.
        min_sightings: a face must be found in this many visits, unless the video has fewer.

    Returns:
        A track per person, in the order of first appearance. A person who is not surely the same after a cut or a
        long absence gets a new one. `detected` is False in those frames where a visit in between did not find
        the face.
    """
    cuts, shots = CutDetector(), Shots(detector, resume=round(RESUME_S * fps))
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
    found = join_sightings([face for face in shots.found if len(face.frames) >= required])
    found.sort(key=lambda face: face.frames[0])
    max_gap = max(every, round(max_gap_s * fps))
    return [_to_track(number, face, max_gap, undecoded) for number, face in enumerate(found)]


def choose_main_track(tracks: Sequence[FaceTrack], size_hw: tuple[int, int], num_frames: int) -> FaceTrack | None:
    """The track that the clip is about: large, near the middle, sharp, and there for long.

    Args:
        tracks: as `track_faces` gives them.
        size_hw: height and width of the frames.
        num_frames: of the video.

    Returns:
        The track with the highest product of relative face size, centrality, share of the frames, sharpness (from
        0 for a flat image to 1) and the detector's score; of equals the first. None if there are no tracks.
    """
    return max(tracks, key=lambda track: _prominence(track, size_hw, num_frames), default=None)


def _prominence(track: FaceTrack, size_hw: tuple[int, int], num_frames: int) -> float:
    height, width = size_hw
    sizes = np.sqrt(np.prod(track.boxes_xyxy[:, 2:] - track.boxes_xyxy[:, :2], axis=1))
    offsets = (_centre(track.boxes_xyxy) - (width / 2, height / 2)) / (width / 2, height / 2)
    # A face at the rim counts half as much as one in the middle.
    centrality = 1 - 0.5 * np.clip(np.linalg.norm(offsets, axis=1) / np.sqrt(2), 0, 1)
    persistence = len(track.frames) / max(num_frames, 1)
    sharpness = track.sharpness / (track.sharpness + _BLURRED)
    return float(np.mean(sizes * centrality) / min(size_hw) * persistence * sharpness * track.score)


def _to_track(track_id: int, face: Sightings, max_gap: int, undecoded: list[int]) -> FaceTrack:
    seen = np.asarray(face.frames, np.int64)
    visits, shots = np.asarray(face.visits), np.asarray(face.shots)
    boxes = np.stack([f.box_xyxy for f in face.faces]).astype(np.float64)
    landmarks = np.stack([f.landmarks for f in face.faces]).astype(np.float64)
    values = np.concatenate([boxes, landmarks.reshape(len(seen), -1)], axis=1)

    # Each stretch is a run of sightings within one shot, with no gap too long to fill.
    ends = np.flatnonzero((np.diff(seen) > max_gap) | (np.diff(shots) > 0)) + 1
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
        sharpness=float(np.median(face.sharpness)),
    )


def _centre(boxes_xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray((boxes_xyxy[..., :2] + boxes_xyxy[..., 2:]) / 2, np.float64)
