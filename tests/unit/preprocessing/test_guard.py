"""Sources that are read before they are decoded, and disks that fail."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dfer.errors import DataError
from dfer.preprocessing import guard
from dfer.preprocessing.guard import DiskGuard, read_through, take_snapshot
from dfer.records import ClipRecord
from dfer.store.manifest import ManifestRow


def test_a_pipe_is_no_video_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(OSError, match="not a regular file"):
        read_through(tmp_path / "clip.mp4")


def test_a_file_that_changes_is_known_by_its_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"one")
    before = read_through(path)
    assert read_through(path) == before
    path.write_bytes(b"other")
    assert read_through(path) != before


def test_images_that_cannot_be_read_do_not_spoil_their_folder(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"1")
    (tmp_path / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "3.jpg")
    (tmp_path / "4.jpg").symlink_to("/dev/zero")
    (tmp_path / "5.jpg").mkdir()
    assert read_through(tmp_path) == take_snapshot(tmp_path)


def unreadable(tmp_path: Path, name: str) -> tuple[ClipRecord, ManifestRow]:
    row = ManifestRow(name, 0, "happy", "unreadable", {}, detail="cannot read")
    return ClipRecord(name, 0, "happy", tmp_path / name, {}), row


@pytest.mark.parametrize(
    ("code", "stops_at"),
    [
        (errno.ESTALE, 1),
        (errno.ENOTCONN, 1),
        (errno.ETIMEDOUT, 1),
        (errno.EIO, 3),
        (errno.ENOENT, 3),
        (errno.EACCES, 0),
    ],
    ids=lambda value: errno.errorcode[value] if value > 3 else "",
)
def test_when_a_disk_counts_as_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, stops_at: int) -> None:
    def fail(source: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(guard, "read_through", fail)
    disk = DiskGuard(tmp_path)
    for number in range(1, stops_at or 6):
        disk.check(*unreadable(tmp_path, f"{number}.mp4"))
    if stops_at:
        with pytest.raises(DataError, match=os.strerror(code).lower()):
            disk.check(*unreadable(tmp_path, "last.mp4"))


def test_a_good_clip_between_two_bad_ones_shows_that_the_disk_is_there(tmp_path: Path) -> None:
    disk = DiskGuard(tmp_path)
    for number in range(6):
        clip, row = unreadable(tmp_path, f"{number}.mp4")
        disk.check(clip, row)
        if number % 2:
            disk.check(clip, replace(row, status="ok"))
    for _ in range(2):
        disk.check(clip, row)
    with pytest.raises(DataError, match="no such file"):
        disk.check(clip, row)


def test_a_damaged_video_on_a_sound_disk_is_the_clips_own_fault(tmp_path: Path) -> None:
    disk = DiskGuard(tmp_path)
    clip, row = unreadable(tmp_path, "bad.mp4")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for _ in range(10):
        disk.check(clip, row)
    (tmp_path / "bad.mp4").unlink()
    for _ in range(2):
        disk.check(clip, row)
    with pytest.raises(DataError, match="no such file"):
        disk.check(clip, row)


def test_a_disk_that_is_gone_from_the_start(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no longer be read: no such file"):
        DiskGuard(tmp_path / "gone")
