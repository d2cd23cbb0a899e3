"""One clip, from its source to packed crops."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.faces.align import align_face, resize_crop
from dfer.faces.detect import Detector, build_detector, find_detector_weights
from dfer.faces.track import choose_main_track, track_faces
from dfer.records import ClipRecord
from dfer.store import CropRecord, ManifestRow, clip_path, write_clip
from dfer.video import FrameSource, open_frames

MIN_FACE_FRAMES = 2  # a face glimpsed once shows no dynamics; stills are exempt


@dataclass(frozen=True)
class Settings:
    """What the crops of a store depend on.

    Attributes:
        size: side of the crops, pixels.
        detector: "scrfd" or "haar", or "none" for sources that are aligned crops already.
        weights: the detector's weights.
    """

    size: int = 128
    detector: str = "haar"
    weights: Path | None = None

    def build_detector(self) -> Detector | None:
        """The detector; None where sources are aligned crops already."""
        return None if self.detector == "none" else build_detector(self.detector, self.weights)


def settle_detector(kind: str, weights: Path | None) -> tuple[str, Path | None]:
    """What a detector's name comes to on this machine, found out once so that every worker uses the same.

    Args:
        kind: "auto", "scrfd", "haar" or "none".
        weights: named by the user, or None.

    Returns:
        "scrfd", "haar" or "none", and SCRFD's weights.

    Raises:
        DferError: the detector cannot be built.
    """
    if kind == "none":
        return kind, None
    name = build_detector(kind, weights).name
    return name, find_detector_weights(weights) if name == "scrfd" else None


def process_clip(clip: ClipRecord, raw: Path, out: Path, settings: Settings, detector: Detector | None) -> ManifestRow:
    """One clip, from its source to packed crops.

    Args:
        clip: which.
        raw: the raw data set's folder.
        out: the store's folder.
        settings: crop size.
        detector: None where sources are aligned crops.

    Returns:
        The clip's row, whatever happened to it.

    Raises:
        DferError: the store cannot be written.
    """
    row = unreadable_row(clip, raw, "")
    if clip.source is None:
        return replace(row, status="missing", detail="no file for this clip")
    try:
        source = open_frames(clip.source)
        row = replace(row, fps=source.fps)
        if clip.aligned or detector is None:
            crops, record = _aligned_crops(source, settings.size)
        else:
            found = _main_face_crops(source, settings.size, detector)
            if found is None:
                return replace(row, status="no_face", detail=f"no face in {source.num_frames} frames")
            crops, record = found
    except VideoError as error:
        return replace(row, status="unreadable", detail=error.what)
    if len(crops) < min(MIN_FACE_FRAMES, source.num_frames):
        return replace(row, status="too_short", detail=f"a face in {len(crops)} of {source.num_frames} frames")
    digest = write_clip(clip_path(out, clip.clip_id), crops, record)
    return replace(
        row,
        status="ok",
        num_frames=len(crops),
        detected=float(np.mean(record.detected)),
        sha256=digest,
    )


def unreadable_row(clip: ClipRecord, raw: Path, detail: str) -> ManifestRow:
    """The row of a clip whose source cannot be read, and why."""
    return ManifestRow(
        clip_id=clip.clip_id,
        label=clip.label,
        label_name=clip.label_name,
        status="unreadable",
        folds=clip.folds,
        detail=detail,
        source="" if clip.source is None else _relative(clip.source, raw),
        subject=clip.subject or "",
    )


def _main_face_crops(
    source: FrameSource, size: int, detector: Detector
) -> tuple[list[NDArray[np.uint8]], CropRecord] | None:
    tracks = track_faces(source.iter_frames(), detector, fps=source.fps)
    track = choose_main_track(tracks, source.size_hw, source.num_frames)
    if track is None:
        return None
    # A second pass over the video: decoding is cheap beside detection, keeping all frames is not.
    place_of = {int(frame): place for place, frame in enumerate(track.frames)}
    crops, places = [], []
    for index, frame in source.iter_frames(track.frames.tolist()):
        places.append(place_of[index])
        crops.append(align_face(frame, track.landmarks[places[-1]], size))
    return crops, CropRecord(
        frames=[int(track.frames[place]) for place in places],
        times_s=[round(float(source.times_s[track.frames[place]]), 4) for place in places],
        boxes_xyxy=[[round(float(value), 1) for value in track.boxes_xyxy[place]] for place in places],
        detected=[bool(track.detected[place]) for place in places],
    )


def _aligned_crops(source: FrameSource, size: int) -> tuple[list[NDArray[np.uint8]], CropRecord]:
    height, width = source.size_hw
    crops = [resize_crop(frame, size) for _, frame in source.iter_frames()]
    count = len(crops)
    return crops, CropRecord(
        frames=list(range(count)),
        times_s=[round(float(value), 4) for value in source.times_s[:count]],
        boxes_xyxy=[[0.0, 0.0, float(width), float(height)]] * count,
        detected=[True] * count,
    )


def _relative(source: Path, raw: Path) -> str:
    base = raw if raw.is_dir() else raw.parent
    return Path(os.path.relpath(source, base)).as_posix()
