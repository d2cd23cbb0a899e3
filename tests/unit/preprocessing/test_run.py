"""The parts of preprocessing that keep a run's work: sources, the disk, journals and the folder's claim."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import dfer.preprocessing.disk_watch as disk_watch
from dfer.errors import DataError, DferError, UsageError
from dfer.preprocessing.clip import Settings
from dfer.preprocessing.engines import Job, work_on_clip
from dfer.preprocessing.folder import claim_folder
from dfer.preprocessing.guard import answer_within, read_through, time_allowed_s
from dfer.preprocessing.journal import Journal, finished_rows, has_crops, journal_path, refuse_company
from dfer.records import ClipRecord
from dfer.runtime.files import create_json
from dfer.store import Store
from dfer.store.manifest import ManifestRow, write_manifest
from tests.stores import small_store

# ---- sources


def test_a_pipe_is_no_video_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(OSError, match="not a file"):
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
    read_through(tmp_path)


def test_long_videos_are_given_more_time(tmp_path: Path) -> None:
    short, long = tmp_path / "short.mp4", tmp_path / "long.mp4"
    short.write_bytes(b"")
    with long.open("wb") as file:
        file.truncate(10 * 2**20)
    assert time_allowed_s(short, 7) == 7
    assert time_allowed_s(long, 7) == 7 + 2000
    with long.open("wb") as file:
        file.truncate(2**40)
    assert time_allowed_s(long, 7) == 7 + 12 * 3600
    assert time_allowed_s(tmp_path / "gone.mp4", 7) == 7


def test_a_disk_that_does_not_answer() -> None:
    with pytest.raises(TimeoutError, match="does not answer"):
        answer_within(0.05, lambda: time.sleep(5))
    assert answer_within(5, lambda: 3) == 3


def test_a_video_that_changes_under_the_decoder_is_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"half")
    clip = ClipRecord("clip", 0, "happy", source, {})

    def copy_goes_on(*_: object) -> ManifestRow:
        source.write_bytes(b"half and half")
        return ManifestRow("clip", 0, "happy", "ok", {}, 5)

    monkeypatch.setattr("dfer.preprocessing.engines.process_clip", copy_goes_on)
    row = work_on_clip(clip, Job(tmp_path, tmp_path / "out", Settings()), None)
    assert (row.status, row.detail) == ("unreadable", "it changed while it was read")


# ---- the disk


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

    monkeypatch.setattr(disk_watch, "read_through", fail)
    watch = disk_watch.DiskWatch(tmp_path)
    for number in range(1, stops_at or 6):
        watch.judge(*unreadable(tmp_path, f"{number}.mp4"))
    if stops_at:
        with pytest.raises(DataError, match=os.strerror(code).lower()):
            watch.judge(*unreadable(tmp_path, "last.mp4"))


def test_a_good_clip_between_two_bad_ones_shows_that_the_disk_is_there(tmp_path: Path) -> None:
    watch = disk_watch.DiskWatch(tmp_path)
    for number in range(6):
        clip, row = unreadable(tmp_path, f"{number}.mp4")
        watch.judge(clip, row)
        if number % 2:
            watch.judge(clip, replace(row, status="ok"))


def test_a_damaged_video_on_a_sound_disk_is_the_clips_own_fault(tmp_path: Path) -> None:
    watch = disk_watch.DiskWatch(tmp_path)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for _ in range(10):
        watch.judge(*unreadable(tmp_path, "bad.mp4"))


# ---- journals


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return small_store(tmp_path / "store", clips_per_class=1)


def note(store: Store, shard: tuple[int, int], *rows: ManifestRow) -> None:
    with Journal(journal_path(store.root, shard)) as journal:
        for row in rows:
            journal.append(row)


def test_the_row_whose_crops_are_there_counts(store: Store) -> None:
    ok = store.rows[0]
    bad = replace(ok, status="unreadable", num_frames=0, sha256="", detail="stale")
    for good, other in (((1, 4), (2, 2)), ((2, 2), (1, 4))):
        (store.root / "manifest.csv").unlink(missing_ok=True)
        note(store, good, ok)
        note(store, other, bad)
        assert finished_rows(store.root)["c0"].status == "ok"
        for path in store.root.glob("progress*"):
            path.unlink()


def test_later_rows_and_journals_count_before_the_manifest(store: Store) -> None:
    first, second = (replace(store.rows[0], status="no_face", num_frames=0, sha256="", detail=text) for text in "ab")
    note(store, (1, 1), first, second)
    assert finished_rows(store.root)["c0"].detail == "b"
    assert finished_rows(store.root)["c1"] == store.rows[1]


@pytest.mark.parametrize("torn", [b'{"clip_id": "c0", "la', b"\0\0\0\0", b"[]", b'"text"', b'{"folds": []}', b"\xff\n"])
def test_torn_lines_are_ignored(store: Store, torn: bytes) -> None:
    (store.root / "manifest.csv").unlink()
    path = journal_path(store.root, (1, 1))
    path.write_bytes(json.dumps(asdict(store.rows[0])).encode() + b"\n" + torn)
    note(store, (1, 1), store.rows[1])
    assert finished_rows(store.root) == {row.clip_id: row for row in store.rows[:2]}


@pytest.mark.parametrize(
    ("damage", "there"),
    [
        pytest.param(lambda data: data, True, id="whole"),
        pytest.param(lambda data: data[:-1], False, id="a byte short"),
        pytest.param(lambda data: data[: len(data) // 2], False, id="half"),
        pytest.param(lambda _data: b"", False, id="empty"),
        pytest.param(lambda data: data[:100] + data[200:], False, id="a piece left out"),
        pytest.param(lambda data: data + b"0" * 30, False, id="too long"),
    ],
)
def test_what_counts_as_crops(store: Store, damage: Callable[[bytes], bytes], there: bool) -> None:
    row = store.rows[0]
    path = store.clip_path(row.clip_id)
    path.write_bytes(damage(path.read_bytes()))
    assert has_crops(store.root, row) is there
    assert not has_crops(store.root, replace(row, num_frames=row.num_frames + 1))


def test_two_runs_cannot_have_one_journal(store: Store) -> None:
    path = journal_path(store.root, (1, 2))
    with Journal(path):
        with pytest.raises(DferError, match="another run is at work"), Journal(path):
            pass
        with pytest.raises(DferError, match="another run is at work"):
            refuse_company(store.root)
        refuse_company(store.root, (2, 2))
    refuse_company(store.root)


def test_a_journal_whose_place_is_taken_by_another_disk_says_so(store: Store) -> None:
    path = journal_path(store.root, (1, 1))
    with Journal(path) as journal:
        path.unlink()
        path.touch()
        with pytest.raises(DferError, match="the store has gone"):
            journal.append(store.rows[0])


def test_a_manifest_without_journals_is_what_is_finished(store: Store) -> None:
    write_manifest(store.root / "manifest.csv", store.rows)
    assert finished_rows(store.root) == {row.clip_id: row for row in store.rows}


# ---- the folder


def test_only_one_of_several_claims_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dataset.json"
    assert [create_json(path, number) for number in range(3)] == [True, False, False]
    assert path.read_text() == "0\n"
    assert list(path.parent.iterdir()) == [path]


def test_claiming_a_folder(tmp_path: Path, store: Store) -> None:
    claim_folder(store.root, store.info, (1, 2), overwrite=False)
    with pytest.raises(UsageError, match="crop_size 48 -> 64"):
        claim_folder(store.root, replace(store.info, crop_size=64), (1, 2), overwrite=False)
    half_claimed = tmp_path / "new"
    half_claimed.mkdir()
    (half_claimed / ".dataset.abc.tmp.json").touch()  # another shard is just doing it
    claim_folder(half_claimed, store.info, (1, 2), overwrite=False)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(UsageError, match="not a store"):
        claim_folder(tmp_path / "photos", store.info, (1, 1), overwrite=True)
    assert (tmp_path / "photos" / "me.jpg").exists()
