"""Clips in several forms: a broken best form gives way to the next, and the row says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.faces.detectors import build_detector
from dfer.preprocessing.clip import Settings, process_clip
from dfer.preprocessing.engines import Rows
from dfer.preprocessing.forms import process_forms
from dfer.records import ClipRecord, OtherForm
from dfer.store.manifest import ManifestRow
from tests.unit.video.videos import make_frames, write_video

BROKEN = b"no video at all"


def run(clip: ClipRecord, raw: Path, *, only_aligned: bool = False) -> ManifestRow:
    def process(some: Sequence[ClipRecord]) -> Rows:
        for one in some:
            yield one, process_clip(one, raw, raw / "out", Settings(48, "none"), build_detector("none", None))

    ((_, row),) = process_forms([clip], process, raw, only_aligned=only_aligned)
    return row


def frame_folder(path: Path, count: int) -> Path:
    path.mkdir(parents=True)
    for number in range(count):
        cv2.imwrite(str(path / f"{number}.png"), np.full((48, 48, 3), 9 * number, np.uint8))
    return path


def clip_of(source: Path, *others: Path, aligned: bool = False) -> ClipRecord:
    return ClipRecord("1", 0, "happy", source, {1: "train"}, aligned, others=tuple(OtherForm(path) for path in others))


@pytest.mark.parametrize("content", [b"", BROKEN, b"\x00\x00\x00\x20ftypisom"])
def test_the_next_form_takes_the_place_of_a_broken_one(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "1.mp4").write_bytes(content)
    row = run(clip_of(tmp_path / "1.mp4", frame_folder(tmp_path / "aligned/00001", 7)), tmp_path)
    assert (row.status, row.num_frames, row.source) == ("ok", 7, "aligned/00001")
    assert row.detail.startswith("another form of the clip is used, since 1.mp4: ")


def test_a_whole_form_is_used_without_a_word(tmp_path: Path) -> None:
    row = run(clip_of(frame_folder(tmp_path / "a", 3), frame_folder(tmp_path / "b", 7)), tmp_path)
    assert (row.status, row.num_frames, row.source, row.detail) == ("ok", 3, "a", "")


def test_a_clip_without_any_whole_form_names_all(tmp_path: Path) -> None:
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        (tmp_path / name).write_bytes(BROKEN)
    row = run(clip_of(*(tmp_path / name for name in ("1.mp4", "2.mp4", "3.mp4"))), tmp_path)
    assert row.status == "unreadable"
    assert all(f"{name}: " in row.detail for name in ("1.mp4", "2.mp4", "3.mp4"))


@pytest.mark.parametrize(("other", "frames"), [("whole", 7), ("broken", 10)])
def test_a_damaged_video_is_used_only_if_no_other_form_is_whole(other: str, frames: int, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", make_frames(), codec="mpeg4")
    content = whole.read_bytes()
    damaged = tmp_path / "1.avi"
    damaged.write_bytes(content[: len(content) * 3 // 4])
    second = frame_folder(tmp_path / "aligned", 7) if other == "whole" else tmp_path / "2.mp4"
    if other == "broken":
        second.write_bytes(BROKEN)
    row = run(clip_of(damaged, second), tmp_path)
    assert row.status == "ok"
    assert "1.avi: damaged: truncated" in row.detail
    assert (row.num_frames == frames) if other == "whole" else (row.source == "1.avi" and row.num_frames >= frames)


def test_without_a_detector_only_aligned_forms_replace_an_aligned_one(tmp_path: Path) -> None:
    (tmp_path / "1.mp4").write_bytes(BROKEN)
    clip = clip_of(tmp_path / "1.mp4", frame_folder(tmp_path / "scenes", 7), aligned=True)
    assert run(clip, tmp_path, only_aligned=True).status == "unreadable"
