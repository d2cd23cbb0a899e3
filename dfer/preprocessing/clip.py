"""The way of one clip from its source to packed crops."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.faces.align import align_face, resize_crop
from dfer.faces.detectors import FALLBACK, Detector, build_detector
from dfer.faces.tracking.clock import clock_of
from dfer.faces.tracking.track import track_main_face
from dfer.names import name_text
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES, ClipRecord, FaceTrack
from dfer.runtime.formatting import pluralize
from dfer.store import clip_path, clip_writer
from dfer.store.manifest import ManifestRow
from dfer.video import Frame, FrameSource, cut_segment, open_frames, open_pixels

MIN_FACE_FRAMES = 2  # of a longer clip, if the others cannot be decoded; a still, or one of sampled frames, is enough
DAMAGED = "damaged: "  # begins the reason why a source with other forms is not used, though it can be read in part
# Frames of videos up to this size are kept from detection to alignment; larger videos are decoded twice.
KEPT_BYTES = 384 * 2**20

_Crop = tuple[NDArray[np.uint8], int, list[float], bool]  # pixels, frame, box_xyxy, detected


@dataclass(frozen=True)
class Settings:
    """Settings that the crops of a store depend on.

    Attributes:
        size: side of the crops, pixels.
        detector: key in `dfer.faces.detectors.DETECTORS`.
        weights: the detector's weights.
        fps: frames per second of sources without times, such as frame folders; None for 25.
    """

    size: int = 128
    detector: str = FALLBACK
    weights: Path | None = None
    fps: float | None = None

    def build_detector(self) -> Detector:
        """Build the detector."""
        return build_detector(self.detector, self.weights)


def process_clip(clip: ClipRecord, raw: Path, out: Path, settings: Settings, detector: Detector) -> ManifestRow:
    """Process one clip, from its source to packed crops.

    Args:
        clip: the clip.
        raw: the raw data set's folder.
        out: the store's folder.
        settings: crop size, and the rate of sources without times.
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
        source = open_clip(clip, settings.fps)
        row = replace(row, fps=source.fps, source_frames=source.num_frames)
        if clip.others and (damage := source.damage):
            return replace(row, detail=f"{DAMAGED}{damage}")
        if clip.aligned or detector.aligned_input:
            crops, expected = _aligned_crops(source, settings.size), source.num_frames
        else:
            track = _main_track(source, detector)
            if track is None:
                return replace(row, status="no_face", detail=f"no face in {pluralize(source.num_frames, 'frame')}")
            crops, expected = _face_crops(source, settings.size, *track), len(track[0].frames)
        # Crops are written as they are made, so that a long video takes no more memory than a short one.
        required = min(MIN_FACE_FRAMES, expected)
        first = list(islice(crops, required))
        if len(first) < required:
            return replace(row, status="too_short", detail=f"a face in {len(first)} of {source.num_frames} frames")
        with clip_writer(clip_path(out, clip.clip_id)) as writer:
            for pixels, frame, box, detected in chain(first, crops):
                time_s = round(float(source.times_s[frame]), 4)
                writer.add(pixels, frame=frame, time_s=time_s, box_xyxy=box, detected=detected)
        if clip.others and (damage := source.damage):
            return replace(row, detail=f"{DAMAGED}{damage}")  # the crops are replaced by those of another form
    except VideoError as error:
        return replace(row, status="unreadable", detail=error.what)
    return replace(
        row,
        status="ok",
        detail="; ".join(source.warnings),
        num_frames=len(writer.record.frames),
        detected=float(np.mean(writer.record.detected)),
        sha256=writer.sha256,
    )


def open_clip(clip: ClipRecord, fps: float | None = None) -> FrameSource:
    """Open the source of a clip, or the segment of it that the clip is.

    Args:
        clip: the clip, which has a source.
        fps: frames per second of a source without times; 25 by default.

    Raises:
        VideoError: it cannot be read.
    """
    assert clip.source is not None  # for mypy: a clip without a source is missing
    if clip.pixels is not None:
        return open_pixels(clip.source, clip.pixels)
    source = open_frames(clip.source, fps=fps)
    return source if clip.span is None else cut_segment(source, clip.span)


def has_frame_folders(clips: Iterable[ClipRecord]) -> bool:
    """Return whether a clip is a folder of frames, which has no times."""
    files = IMAGE_SUFFIXES | VIDEO_SUFFIXES  # need not be looked for
    sources = {clip.source for clip in clips if clip.source is not None and clip.pixels is None}
    return any(source.suffix.lower() not in files and source.is_dir() for source in sources)


def missing_row(clip: ClipRecord, raw: Path) -> ManifestRow:
    """Return the row of a clip that has no source."""
    return replace(unreadable_row(clip, raw, clip.missing or "no file for this clip"), status="missing")


def unreadable_row(clip: ClipRecord, raw: Path, detail: str) -> ManifestRow:
    """Return the row of a clip whose source cannot be read."""
    return ManifestRow(
        clip_id=clip.clip_id,
        label=clip.label,
        label_name=clip.label_name,
        status="unreadable",
        folds=clip.folds,
        detail=detail,
        source=relative_source(clip, raw),
        subject=clip.subject or "",
        votes=clip.votes,
    )


def _main_track(source: FrameSource, detector: Detector) -> tuple[FaceTrack, dict[int, Frame]] | None:
    """Return the main face, and the frames if they are few enough to keep."""
    kept: dict[int, Frame] = {}
    height, width = source.size_hw
    keeping = source.num_frames * height * width * 3 <= KEPT_BYTES

    def frames() -> Iterator[tuple[int, Frame]]:
        for index, frame in source.iter_frames():
            if keeping:
                kept[index] = frame
            yield index, frame

    track = track_main_face(frames(), detector, clock_of(source), source.size_hw)
    return None if track is None else (track, kept)


def _face_crops(source: FrameSource, size: int, track: FaceTrack, kept: dict[int, Frame]) -> Iterator[_Crop]:
    # Decoding a long video twice is cheap compared with detection; keeping all its frames is not.
    frames = ((int(n), kept.pop(int(n))) for n in track.frames) if kept else source.iter_frames(track.frames.tolist())
    place_of = {int(frame): place for place, frame in enumerate(track.frames)}
    for index, frame in frames:
        place = place_of[index]
        box = [round(float(value), 1) for value in track.boxes_xyxy[place]]
        yield align_face(frame, track.landmarks[place], size), index, box, bool(track.detected[place])


def _aligned_crops(source: FrameSource, size: int) -> Iterator[_Crop]:
    height, width = source.size_hw
    for index, frame in source.iter_frames():
        yield resize_crop(frame, size), index, [0.0, 0.0, float(width), float(height)], True


def relative_source(clip: ClipRecord, raw: Path) -> str:
    """Return the path of a clip's source relative to the raw data set; "" for a missing clip."""
    base = raw if raw.is_dir() else raw.parent
    return "" if clip.source is None else name_text(Path(os.path.relpath(clip.source, base)).as_posix())
