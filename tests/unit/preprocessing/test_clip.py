"""One clip's way: segments of a video, and clips that are not on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.faces.detectors import build_detector
from dfer.preprocessing.clip import Settings, has_frame_folders, process_clip
from dfer.records import ClipRecord, Span
from dfer.store import clip_path, read_clip, read_clip_record


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Fifty frames, two seconds, whose brightness is their number."""
    folder = tmp_path / "raw" / "clip"
    folder.mkdir(parents=True)
    for number in range(50):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((48, 48, 3), 5 * number, np.uint8))
    return folder


@pytest.mark.parametrize(
    ("span", "numbers"),
    [(None, range(50)), (Span(0.0, 0.2), range(5)), (Span(1.0, 1.2), range(25, 30)), (Span(1.8, None), range(45, 50))],
)
def test_a_segment_is_packed_with_its_own_frames_only(
    frames: Path, tmp_path: Path, span: Span | None, numbers: range
) -> None:
    clip = ClipRecord(f"clip#{span}", 0, "happy", frames, {1: "train"}, span=span)
    row = process_clip(clip, frames.parent, tmp_path / "out", Settings(48, "none"), build_detector("none", None))
    assert (row.status, row.num_frames, row.source_frames) == ("ok", len(numbers), len(numbers))
    path = clip_path(tmp_path / "out", clip.clip_id)
    brightness = [round(float(crop.mean()) / 5) for crop in read_clip(path)]
    assert brightness == list(numbers)
    record = read_clip_record(path)
    assert record.frames == list(range(len(numbers)))
    assert record.times_s[0] == 0


@pytest.mark.parametrize(("fps", "rate", "num_frames"), [(None, 25, 5), (10.0, 10, 2), (50.0, 50, 10)])
def test_the_rate_of_a_folder_of_frames_sets_its_times(
    frames: Path, tmp_path: Path, fps: float | None, rate: float, num_frames: int
) -> None:
    clip = ClipRecord("clip", 0, "happy", frames, {1: "train"}, span=Span(0.2, 0.4))
    settings = Settings(48, "none", fps=fps)
    row = process_clip(clip, frames.parent, tmp_path / "out", settings, build_detector("none", None))
    assert (row.fps, row.num_frames) == (rate, num_frames)
    times = read_clip_record(clip_path(tmp_path / "out", "clip")).times_s
    assert times == pytest.approx(np.arange(num_frames) / rate)


def test_frame_folders_are_told_from_files(frames: Path) -> None:
    clips = [ClipRecord(name, 0, "happy", frames.parent / name, {}) for name in ("a.mp4", "b.JPG", "clip")]
    missing = ClipRecord("c", 0, "happy", None, {})
    assert has_frame_folders([*clips, missing])
    assert not has_frame_folders([*clips[:2], missing])


def test_a_segment_beyond_the_end_is_unreadable(frames: Path, tmp_path: Path) -> None:
    clip = ClipRecord("clip", 0, "happy", frames, {1: "train"}, span=Span(7.0, 8.0))
    row = process_clip(clip, frames.parent, tmp_path / "out", Settings(48, "none"), build_detector("none", None))
    assert row.status == "unreadable"
    assert "no frame lies in the segment 7-8 s" in row.detail


def test_a_missing_clip_says_where_it_was_looked_for(tmp_path: Path) -> None:
    clip = ClipRecord("a", 0, "happy", None, {}, missing="no a.mp4; the nearest that exists is A.mp4")
    row = process_clip(clip, tmp_path, tmp_path / "out", Settings(48, "none"), build_detector("none", None))
    assert (row.status, row.detail) == ("missing", clip.missing)
