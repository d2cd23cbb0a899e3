"""One clip, from its source to packed crops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.faces.align import align_face, resize_crop
from dfer.faces.detectors import Detector, build_detector
from dfer.faces.tracking.track import choose_main_track, track_faces
from dfer.records import ClipRecord, FaceTrack
from dfer.store import clip_path, clip_writer
from dfer.store.manifest import ManifestRow
from dfer.video import Frame, FrameSource, open_frames

MIN_FACE_FRAMES = 2  # a face glimpsed once shows no dynamics; stills are exempt


# The frames of a video that takes no more than this are kept from detection to alignment, else decoded twice.
KEPT_BYTES = 384 * 2**20


@dataclass(frozen=True)
class _Crop:
    """A crop on its way to the store."""

    pixels: NDArray[np.uint8]
    frame: int
    time_s: float
    box_xyxy: list[float]
    detected: bool


@dataclass(frozen=True)
class Settings:
    """What the crops of a store depend on.

    Attributes:
        size: side of the crops, pixels.
        detector: key in `dfer.faces.detectors.DETECTORS`.
        weights: the detector's weights.
    """

    size: int = 128
    detector: str = "haar"
    weights: Path | None = None

    def build_detector(self) -> Detector:
        """Build the detector."""
        return build_detector(self.detector, self.weights)


def process_clip(clip: ClipRecord, raw: Path, out: Path, settings: Settings, detector: Detector) -> ManifestRow:
    """One clip, from its source to packed crops.

    Args:
        clip: which.
        raw: the raw data set's folder.
        out: the store's folder.
        settings: crop size.
        detector: finds the faces, unless the clip is aligned.

    Returns:
        The clip's row, whatever happened to it.

    Raises:
        DferError: the store cannot be written.
    """
    if clip.source is None:
        return missing_row(clip, raw)
    row = unreadable_row(clip, raw, "")
    try:
        source = open_frames(clip.source)
        row = replace(row, fps=source.fps)
        if clip.aligned or detector.aligned_input:
            crops = _aligned_crops(source, settings.size)
        else:
            track = _main_track(source, detector)
            if track is None:
                return replace(row, status="no_face", detail=f"no face in {source.num_frames} frames")
            crops = _face_crops(source, settings.size, *track)
        # Crops are written as they come, so that a long video takes no more memory than a short one.
        required = min(MIN_FACE_FRAMES, source.num_frames)
        first = list(islice(crops, required))
        if len(first) < required:
            return replace(row, status="too_short", detail=f"a face in {len(first)} of {source.num_frames} frames")
        with clip_writer(clip_path(out, clip.clip_id)) as writer:
            for crop in chain(first, crops):
                writer.add(
                    crop.pixels, frame=crop.frame, time_s=crop.time_s, box_xyxy=crop.box_xyxy, detected=crop.detected
                )
    except VideoError as error:
        return replace(row, status="unreadable", detail=error.what)
    return replace(
        row,
        status="ok",
        num_frames=len(writer.record.frames),
        detected=float(np.mean(writer.record.detected)),
        sha256=writer.sha256,
    )


def missing_row(clip: ClipRecord, raw: Path) -> ManifestRow:
    """Return the row of a clip that has no source."""
    return replace(unreadable_row(clip, raw, "no file for this clip"), status="missing")


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
        votes=clip.votes,
    )


def _main_track(source: FrameSource, detector: Detector) -> tuple[FaceTrack, dict[int, Frame]] | None:
    """The main face, and the frames where they are few enough to be kept."""
    kept: dict[int, Frame] = {}
    height, width = source.size_hw
    keeping = source.num_frames * height * width * 3 <= KEPT_BYTES

    def watched() -> Iterator[tuple[int, Frame]]:
        for index, frame in source.iter_frames():
            if keeping:
                kept[index] = frame
            yield index, frame

    tracks = track_faces(watched(), detector, fps=source.fps)
    track = choose_main_track(tracks, source.size_hw, source.num_frames)
    return None if track is None else (track, kept)


def _face_crops(source: FrameSource, size: int, track: FaceTrack, kept: dict[int, Frame]) -> Iterator[_Crop]:
    # A long video is decoded a second time: that is cheap beside detection, keeping all frames is not.
    frames = ((int(n), kept.pop(int(n))) for n in track.frames) if kept else source.iter_frames(track.frames.tolist())
    place_of = {int(frame): place for place, frame in enumerate(track.frames)}
    for index, frame in frames:
        place = place_of[index]
        yield _Crop(
            pixels=align_face(frame, track.landmarks[place], size),
            frame=index,
            time_s=round(float(source.times_s[index]), 4),
            box_xyxy=[round(float(value), 1) for value in track.boxes_xyxy[place]],
            detected=bool(track.detected[place]),
        )


def _aligned_crops(source: FrameSource, size: int) -> Iterator[_Crop]:
    height, width = source.size_hw
    for index, frame in source.iter_frames():
        yield _Crop(
            pixels=resize_crop(frame, size),
            frame=index,
            time_s=round(float(source.times_s[index]), 4),
            box_xyxy=[0.0, 0.0, float(width), float(height)],
            detected=True,
        )


def _relative(source: Path, raw: Path) -> str:
    base = raw if raw.is_dir() else raw.parent
    return Path(os.path.relpath(source, base)).as_posix()
