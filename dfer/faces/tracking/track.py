"""Track the faces of a video: detection in keyframes, one identity per person, landmarks in every frame.

The frames are read once and only the last is kept, so memory does not grow with the length of the video.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors import Detector
from dfer.faces.tracking.clock import KEYFRAME_S, MAX_GAP_S, Clock
from dfer.faces.tracking.cuts import CutDetector
from dfer.faces.tracking.identity import join_tracklets
from dfer.faces.tracking.smooth import interpolate, smooth
from dfer.faces.tracking.tracklets import Encode, OnSearch, Tracklet, TrackletBuilder, box_centres
from dfer.records import FaceTrack

MIN_DETECTIONS = 2
# A face much less sharp than this hardly counts; see `dfer.faces.tracking.appearance.measure_sharpness`.
_BLURRED = 0.1

Frames = Iterable[tuple[int, NDArray[np.uint8]]]


def track_faces(
    frames: Frames, detector: Detector, clock: Clock, encode: Encode | None = None, on_search: OnSearch | None = None
) -> list[FaceTrack]:
    """Find all faces of a video and follow each of them.

    The detector runs in keyframes: at least every `KEYFRAME_S` seconds, and in the first and last frame of each shot
    and on both sides of a longer step, so that all other frames lie between two keyframes. A detector with
    `uses_around` looks closely around the known faces, and searches the whole frame at every fourth keyframe, after a
    long step, and whenever a face is lost. Between its detections, a face's box and landmarks are interpolated in time,
    after a smoothing that is symmetric in time and so adds no lag.

    Args:
        frames: (index, RGB uint8 [H, W, 3]), indices ascending; missing ones could not be decoded, and are in no
            track.
        detector: finds the faces in one frame.
        clock: when each frame is shown.
        encode: computes embeddings of faces, by which people are recognised after a cut; None for their looks only.
        on_search: called with the number of faces that were found in each keyframe.

    Returns:
        A track per person, in the order of first appearance. A person who is not clearly the same after a cut or a
        long absence gets a new track. A face must be found in two keyframes, or in one that is far from all others.
        Gaps between detections longer than `MAX_GAP_S` are left out; in shorter ones, `detected` is False.
    """
    return _tracks(_collect(frames, detector, clock, encode, on_search))


def track_main_face(
    frames: Frames,
    detector: Detector,
    clock: Clock,
    size_hw: tuple[int, int],
    encode: Encode | None = None,
    on_search: OnSearch | None = None,
) -> FaceTrack | None:
    """Find the face that a video is about, and follow it.

    In pictures that are far apart, such as frames sampled from a clip or an album of photos, nobody can be followed by
    place. A face that is not surely the main one is then taken for it where the main one is not seen, unless both are
    seen together elsewhere.

    Args:
        frames: as for `track_faces`.
        detector: finds the faces in one frame.
        clock: when each frame is shown.
        size_hw: height and width of the frames, pixels.
        encode: as for `track_faces`.
        on_search: as for `track_faces`.

    Returns:
        The main face, whose `people` says where another one was taken for it; None if there is no face.
    """
    builder = _collect(frames, detector, clock, encode, on_search)
    tracks = _tracks(builder)
    main = choose_main_track(tracks, size_hw, clock)
    if main is None or np.count_nonzero(builder.isolated) <= np.count_nonzero(~np.isnan(builder.times_s)) / 2:
        return main
    stand_ins = [track for track in tracks if track is not main and builder.isolated[track.frames].all()]
    if clock.timed:
        # In a slow video a face that is seen more often is a person by itself, and so is one beside a clear main face.
        seen = sum(len(track.frames) for track in tracks)
        stand_ins = [track for track in stand_ins if len(track.frames) <= MIN_DETECTIONS]
        stand_ins = stand_ins if len(main.frames) < seen / 2 else []
    stand_ins.sort(key=lambda track: -_prominence(track, size_hw, clock))
    return _fill_in(main, stand_ins)


def whole_frames(count: int, size_hw: tuple[int, int]) -> FaceTrack:
    """Return the track of frames that are aligned face crops already.

    Args:
        count: N, number of frames.
        size_hw: their height and width, pixels.
    """
    height, width = size_hw
    return FaceTrack(
        track_id=0,
        frames=np.arange(count),
        boxes_xyxy=np.tile(np.array([0, 0, width, height], np.float32), (count, 1)),
        landmarks=np.zeros((count, 5, 2), np.float32),
        detected=np.ones(count, np.bool_),
        score=1.0,
    )


def choose_main_track(tracks: Sequence[FaceTrack], size_hw: tuple[int, int], clock: Clock) -> FaceTrack | None:
    """Choose the face that the clip is about: large, near the middle, sharp, and present for long.

    Args:
        tracks: tracks from `track_faces`.
        size_hw: height and width of the frames, pixels.
        clock: when each frame is shown.

    Returns:
        The track with the highest product of relative face size, centrality, share of the time, sharpness (from
        0 for a flat image to 1) and the detector's score; the first of equals. None if there are no tracks.
    """
    return max(tracks, key=lambda track: _prominence(track, size_hw, clock), default=None)


def _prominence(track: FaceTrack, size_hw: tuple[int, int], clock: Clock) -> float:
    height, width = size_hw
    sizes = np.sqrt(np.prod(track.boxes_xyxy[:, 2:] - track.boxes_xyxy[:, :2], axis=1))
    offsets = (box_centres(track.boxes_xyxy) - (width / 2, height / 2)) / (width / 2, height / 2)
    # A face in a corner counts half as much as one in the middle.
    centrality = 1 - 0.5 * np.clip(np.linalg.norm(offsets, axis=1) / np.sqrt(2), 0, 1)
    shown_s = clock.ends_s - clock.starts_s
    persistence = shown_s[track.frames].sum() / shown_s.sum()
    sharpness = track.sharpness / (track.sharpness + _BLURRED)
    return float(np.mean(sizes * centrality) / min(size_hw) * persistence * sharpness * track.score)


def _fill_in(main: FaceTrack, stand_ins: Sequence[FaceTrack]) -> FaceTrack:
    """Return the main face with others in the frames where it is not seen, none of which is ever seen beside it."""
    chosen = [main]
    for track in stand_ins:
        if not any(np.isin(track.frames, other.frames).any() for other in chosen):
            chosen.append(track)
    if len(chosen) == 1:
        return main
    order = np.argsort(np.concatenate([track.frames for track in chosen]))

    def merged(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(track, name) for track in chosen])[order]

    weights = [len(track.frames) for track in chosen]
    return replace(
        main,
        frames=merged("frames"),
        scores=merged("scores"),
        boxes_xyxy=merged("boxes_xyxy"),
        landmarks=merged("landmarks"),
        detected=merged("detected"),
        shots=merged("shots"),
        people=np.repeat(np.arange(len(chosen)), weights)[order],
        score=float(np.average([track.score for track in chosen], weights=weights)),
    )


def _collect(
    frames: Frames, detector: Detector, clock: Clock, encode: Encode | None, on_search: OnSearch | None
) -> TrackletBuilder:
    """Run the detector in the keyframes."""
    cuts, builder = CutDetector(), TrackletBuilder(detector, len(clock), encode, on_search)
    previous: tuple[int, NDArray[np.uint8]] | None = None
    since_keyframe_s = 0.0
    for index, frame in frames:
        is_cut = cuts.is_cut(frame)
        step_s = math.inf if previous is None else clock.step_s(previous[0], index, cuts.change)
        if previous is not None and (is_cut or step_s > KEYFRAME_S):
            builder.add_keyframe(*previous)
        builder.add_frame(index, step_s)
        if is_cut:
            builder.start_shot()
        since_keyframe_s += step_s
        if is_cut or since_keyframe_s > KEYFRAME_S:
            builder.add_keyframe(index, frame)
            since_keyframe_s = 0.0
        previous = index, frame
    if previous is not None:
        builder.add_keyframe(*previous)
    return builder


def _tracks(builder: TrackletBuilder) -> list[FaceTrack]:
    required = min(MIN_DETECTIONS, len(builder.keyframes))
    kept = [
        tracklet
        for tracklet in builder.tracklets
        if len(tracklet.frames) >= required or builder.isolated[tracklet.frames].any()
    ]
    joined = sorted(join_tracklets(kept), key=lambda tracklet: tracklet.frames[0])
    return [_to_track(number, tracklet, builder.times_s) for number, tracklet in enumerate(joined)]


def _to_track(track_id: int, tracklet: Tracklet, times_s: NDArray[np.float64]) -> FaceTrack:
    """Return a track from its detections and the times of all frames, float64 [N], NaN where undecoded."""
    seen, seen_s = np.asarray(tracklet.frames, np.int64), np.asarray(tracklet.times_s)
    keyframes, shots = np.asarray(tracklet.keyframes), np.asarray(tracklet.shots)
    boxes = np.stack([face.box_xyxy for face in tracklet.faces]).astype(np.float64)
    landmarks = np.stack([face.landmarks for face in tracklet.faces]).astype(np.float64)
    scores = np.array([face.score for face in tracklet.faces])
    values = np.concatenate([boxes, landmarks.reshape(len(seen), -1)], axis=1)

    # Each part is a run of detections within one shot, without a gap that is too long to fill.
    ends = np.flatnonzero((np.diff(seen_s) > MAX_GAP_S + 1e-6) | (np.diff(shots) > 0)) + 1
    parts = np.split(np.arange(len(seen)), ends)
    frames, rows, detected, found_scores = [], [], [], []
    for part in parts:
        at = np.arange(seen[part[0]], seen[part[-1]] + 1)
        at = at[~np.isnan(times_s[at])]
        frames.append(at)
        rows.append(interpolate(seen_s[part], smooth(seen_s[part], values[part]), times_s[at]))
        found_scores.append(np.interp(times_s[at], seen_s[part], scores[part]))
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
        score=float(scores.mean()),
        scores=np.concatenate(found_scores).astype(np.float32),
        sharpness=float(np.median(tracklet.sharpness)),
        shots=np.repeat([shots[part[0]] for part in parts], [len(at) for at in frames]),
    )
