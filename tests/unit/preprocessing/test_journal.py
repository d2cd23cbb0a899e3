"""Journals of finished clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dfer.errors import DferError
from dfer.preprocessing.journal import ensure_exclusive, finished_rows, has_crops, journal_path, open_journal
from dfer.store import Store
from dfer.store.manifest import ManifestRow, write_manifest
from tests.stores import small_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return small_store(tmp_path / "store", clips_per_class=1)


def note(store: Store, shard: tuple[int, int], *rows: ManifestRow) -> None:
    with open_journal(store.root, shard) as journal:
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
        pytest.param(lambda data: data + b"0" * 30, True, id="whole, with more behind"),
    ],
)
def test_what_counts_as_crops(store: Store, damage: Callable[[bytes], bytes], there: bool) -> None:
    row = store.rows[0]
    path = store.clip_path(row.clip_id)
    path.write_bytes(damage(path.read_bytes()))
    assert has_crops(store.root, row) is there
    assert not has_crops(store.root, replace(row, num_frames=row.num_frames + 1))


def test_two_runs_cannot_have_one_journal(store: Store) -> None:
    with open_journal(store.root, (1, 2)):
        with pytest.raises(DferError, match="another run is writing"), open_journal(store.root, (1, 2)):
            pass
        with pytest.raises(DferError, match="another run is writing"):
            ensure_exclusive(store.root)
        ensure_exclusive(store.root, (2, 2))
    ensure_exclusive(store.root)


def test_a_journal_whose_place_is_taken_by_another_disk_says_so(store: Store) -> None:
    path = journal_path(store.root, (1, 1))
    with open_journal(store.root, (1, 1)) as journal:
        path.unlink()
        path.touch()
        with pytest.raises(DferError, match="the store is gone"):
            journal.append(store.rows[0])


def test_a_manifest_without_journals_is_what_is_finished(store: Store) -> None:
    write_manifest(store.root / "manifest.csv", store.rows)
    assert finished_rows(store.root) == {row.clip_id: row for row in store.rows}
