"""Engines: how many workers they start, and clips that crash them or change under them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from dfer.errors import DataError, DferError
from dfer.faces.detectors import build_detector
from dfer.preprocessing import engines
from dfer.preprocessing.clip import Settings
from dfer.preprocessing.engines import Job, Outcome, outcome, run_in_workers, work_on_clip
from dfer.records import ClipRecord
from dfer.runtime import retries
from dfer.runtime.retries import retry_crashed
from dfer.runtime.workers import WorkerDiedError
from dfer.store.manifest import ManifestRow

CLIPS = [ClipRecord(name, 0, "happy", None, {}) for name in ("a", "b", "c")]


@pytest.mark.parametrize(("workers", "started"), [(0, 3), (1, 1), (2, 2), (64, 3)])
def test_no_number_of_workers_means_one_per_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, started: int
) -> None:
    asked: list[int] = []

    def run_tasks(_function: object, clips: Sequence[ClipRecord], **options: object) -> Generator[None, None, None]:
        asked.append(options["workers"]) if clips else None
        yield from ()

    monkeypatch.setattr(engines, "usable_cores", lambda: 3)
    monkeypatch.setattr(retries, "run_tasks", run_tasks)
    list(run_in_workers(CLIPS, Job(tmp_path, tmp_path, Settings()), workers=workers))
    assert asked == [started]


def test_clips_that_crash_are_tried_again_one_at_a_time() -> None:
    rounds: list[tuple[list[str], int]] = []

    def run(clips: Sequence[ClipRecord], at_once: int) -> Generator[tuple[ClipRecord, Outcome], None, None]:
        rounds.append(([clip.clip_id for clip in clips], at_once))
        for clip in clips:
            crashes = clip.clip_id == "c" or (clip.clip_id == "a" and at_once > 1)
            status = "unreadable" if crashes else "ok"
            yield clip, (ManifestRow(clip.clip_id, 0, "happy", status, {}), crashes)

    rows = [(clip.clip_id, row.status) for clip, row in retry_crashed(run, CLIPS, 4)]
    assert rounds == [(["a", "b", "c"], 4), (["a", "c"], 1)]
    assert rows == [("b", "ok"), ("a", "ok"), ("c", "unreadable")]


@pytest.mark.parametrize(
    ("error", "detail", "is_crash"),
    [
        (TimeoutError(), "took more than 7 s", False),
        (WorkerDiedError(-11), "the decoder crashed (SIGSEGV)", True),
        (MemoryError(), "out of memory", True),
        (RuntimeError("OpenCV: Insufficient memory\nmore"), "out of memory", True),
        (ValueError("no such codec\nmore"), "ValueError: no such codec", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_went_wrong_in_a_worker(tmp_path: Path, error: Exception, detail: str, is_crash: bool) -> None:
    future: Future[ManifestRow] = Future()
    future.set_exception(error)
    row, crashed = outcome(future, CLIPS[0], Job(tmp_path, tmp_path, Settings(), timeout_s=7))
    assert (row.status, row.detail, crashed) == ("unreadable", detail, is_crash)


def test_a_store_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    future: Future[ManifestRow] = Future()
    future.set_exception(DataError("disk full"))
    with pytest.raises(DferError, match="disk full"):
        outcome(future, CLIPS[0], Job(tmp_path, tmp_path, Settings()))


def test_a_video_that_changes_under_the_decoder_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"half")
    clip = ClipRecord("clip", 0, "happy", source, {})

    def copy_goes_on(*_: object) -> ManifestRow:
        source.write_bytes(b"half and half")
        return ManifestRow("clip", 0, "happy", "ok", {}, 5)

    monkeypatch.setattr("dfer.preprocessing.engines.process_clip", copy_goes_on)
    row = work_on_clip(clip, Job(tmp_path, tmp_path / "out", Settings()), build_detector("none"))
    assert (row.status, row.detail) == ("unreadable", "the file changed while it was read")
