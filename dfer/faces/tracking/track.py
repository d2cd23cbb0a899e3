"""Track the faces of a video: detection in keyframes, one identity per person, landmarks in every frame.

The frames are read once and only the last is kept, so memory does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors import Detector
from dfer.faces.tracking.cuts import CutDetector
from dfer.faces.tracking.identity import join_tracklets
from dfer.faces.tracking.smooth import interpolate, smooth
from dfer.faces.tracking.tracklets import Tracklet, TrackletBuilder, box_centres
from dfer.records import FaceTrack

# At 24 to 30 frames a second, landmarks interpolated over four frames lie within 2% of the inter-ocular distance of
# those detected there.
EVERY = 4
MAX_GAP_S = 0.5  # longer gaps in the detections of a face are not filled
RESUME_S = 2.0  # a face that reappears in its place within this time is the same one
# A face much less sharp than this hardly counts; see `dfer.faces.tracking.appearance.measure_sharpness`.
_BLURRED = 0.1


def track_faces(
    frames: Iterable[tuple[int, NDArray[np.uint8]]],
    detector: Detector,
    *,
    fps: float = 25.0,
    every: int = EVERY,
    max_gap_s: float = MAX_GAP_S,
    min_detections: int = 2,
) -> list[FaceTrack]:
    """Find all faces of a video and follow each of them.

    The detector runs in keyframes: every `every`-th frame, and the first and last frame of each shot, so that all
    other frames lie between two keyframes. A detector with `uses_around` looks closely around the known faces, and
    searches the whole frame at every fourth keyframe and whenever a face is lost. Between its detections, a face's
    box and landmarks are interpolated, after a smoothing that is symmetric in time and so adds no lag.

    Args:
        frames: (index, RGB uint8 [H, W, 3]), indices ascending; missing ones could not be decoded, and are in no
            track.
        detector: finds the faces in one frame.
        fps: frames per second, for `max_gap_s`.
        every: distance between keyframes, in frames.
        max_gap_s: the longest gap without a detection, in seconds, that is filled; longer gaps are left out.
        min_detections: number of keyframes in which a face must be found, unless the video has fewer.

    Returns:
        A track per person, in the order of first appearance. A person who is not clearly the same after a cut or a
        long absence gets a new track. `detected` is False in frames next to a keyframe in which the detector missed
        the face.
    """
    cuts, builder = CutDetector(), TrackletBuilder(detector, resume=round(RESUME_S * fps))
    previous: tuple[int, NDArray[np.uint8]] | None = None
    since_keyframe = 0
    undecoded: list[int] = []
    for index, frame in frames:
        if previous is not None:
            undecoded.extend(range(previous[0] + 1, index))
        is_cut = cuts.is_cut(frame)
        if previous is not None and is_cut:
            builder.add_keyframe(*previous)
            builder.start_shot()
        since_keyframe += 1
        if previous is None or is_cut or since_keyframe >= every:
            builder.add_keyframe(index, frame)
            since_keyframe = 0
        previous = index, frame
    if previous is not None:
        builder.add_keyframe(*previous)

    required = min(min_detections, len(builder.keyframes))
    joined = join_tracklets([tracklet for tracklet in builder.tracklets if len(tracklet.frames) >= required])
    joined.sort(key=lambda tracklet: tracklet.frames[0])
    max_gap = max(every, round(max_gap_s * fps))
    return [_to_track(number, tracklet, max_gap, undecoded) for number, tracklet in enumerate(joined)]


def choose_main_track(tracks: Sequence[FaceTrack], size_hw: tuple[int, int], num_frames: int) -> FaceTrack | None:
    """Choose the face that the clip is about: large, near the middle, sharp, and present for long.

    Args:
        tracks: tracks from `track_faces`.
        size_hw: height and width of the frames, pixels.
        num_frames: number of frames of the video.

    Returns:
        The track with the highest product of relative face size, centrality, share of the frames, sharpness (from
        0 for a flat image to 1) and the detector's score; the first of equals. None if there are no tracks.
    """
    return max(tracks, key=lambda track: _prominence(track, size_hw, num_frames), default=None)


def _prominence(track: FaceTrack, size_hw: tuple[int, int], num_frames: int) -> float:
    height, width = size_hw
    sizes = np.sqrt(np.prod(track.boxes_xyxy[:, 2:] - track.boxes_xyxy[:, :2], axis=1))
    offsets = (box_centres(track.boxes_xyxy) - (width / 2, height / 2)) / (width / 2, height / 2)
    # A face in a corner counts half as much as one in the middle.
    centrality = 1 - 0.5 * np.clip(np.linalg.norm(offsets, axis=1) / np.sqrt(2), 0, 1)
    persistence = len(track.frames) / max(num_frames, 1)
    sharpness = track.sharpness / (track.sharpness + _BLURRED)
    return float(np.mean(sizes * centrality) / min(size_hw) * persistence * sharpness * track.score)


def _to_track(track_id: int, tracklet: Tracklet, max_gap: int, undecoded: list[int]) -> FaceTrack:
    seen = np.asarray(tracklet.frames, np.int64)
    keyframes, shots = np.asarray(tracklet.keyframes), np.asarray(tracklet.shots)
    boxes = np.stack([face.box_xyxy for face in tracklet.faces]).astype(np.float64)
    landmarks = np.stack([face.landmarks for face in tracklet.faces]).astype(np.float64)
    values = np.concatenate([boxes, landmarks.reshape(len(seen), -1)], axis=1)

    # Each part is a run of detections within one shot, without a gap that is too long to fill.
    ends = np.flatnonzero((np.diff(seen) > max_gap) | (np.diff(shots) > 0)) + 1
    frames, rows, detected = [], [], []
    for part in np.split(np.arange(len(seen)), ends):
        at = np.arange(seen[part[0]], seen[part[-1]] + 1)
        at = at[~np.isin(at, undecoded)]
        frames.append(at)
        rows.append(interpolate(seen[part], smooth(seen[part], values[part]), at))
        # The detections before and after each frame; the face was missed if there is a keyframe in between.
        before = np.searchsorted(seen[part], at, side="right") - 1
        after = np.searchsorted(seen[part], at, side="left")
        detected.append(keyframes[part][after] - keyframes[part][before] <= 1)
    filled = np.concatenate(rows).astype(np.float32)
    return FaceTrack(
        track_id=track_id,
        frames=np.concatenate(frames),
        boxes_xyxy=filled[:, :4],
        landmarks=filled[:, 4:].reshape(len(filled), *landmarks.shape[1:]),
        detected=np.concatenate(detected),
        score=float(np.mean([face.score for face in tracklet.faces])),
        sharpness=float(np.median(tracklet.sharpness)),
    )
