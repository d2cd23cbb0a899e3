"""Damaged and hostile stores: one clear error, before memory is asked for."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dfer.errors import DataError, DferError
from dfer.preprocessing.folder import STORE_FILES, STORE_FOLDERS, open_for_writing
from dfer.preprocessing.journal import ensure_exclusive, finished_rows, open_journal
from dfer.runtime.files import require_places
from dfer.store import Store, open_store, read_clip, read_clip_record
from dfer.store.manifest import read_manifest, write_manifest
from tests.places import NO_FILES, REFUSED
from tests.stores import small_store

JPEG = cv2.imencode(".jpg", np.zeros((48, 48, 3), np.uint8))[1].tobytes()
PNG = cv2.imencode(".png", np.zeros((48, 48, 3), np.uint8))[1].tobytes()
HUGE = JPEG.replace(b"\xff\xc0\x00\x11\x08\x00\x30\x00\x30", b"\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return small_store(tmp_path / "store", clips_per_class=1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("labels", ["happy", "happy", "neutral"], "stands twice"),
        ("labels", "happy", "labels: "),
        ("labels", ["n" * 1000], "labels.0: "),
        ("num_folds", 10**18, "num_folds: "),
        ("crop_size", 10**9, "crop_size: "),
        ("crop_size", float("nan"), "NaN is not a number"),
        ("notice", "n" * 5000, "notice: "),
        ("notice", "n" * 2_000_000, "more than"),
        ("alignment", [], "alignment: "),
        ("lables", [], "unknown key 'lables'"),
    ],
)
def test_a_description_out_of_bounds(store: Store, key: str, value: Any, message: str) -> None:
    path = store.root / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DataError, match=message) as caught:
        open_store(store.root)
    assert str(caught.value).startswith("damaged dataset.json: ")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("c0,0,", "c0,-1,", "line 2.label: "),
        ("c0,0,", "c0,1000000000000000000,", "line 2.label: "),
        ("c0,0,", f"c0,{'9' * 40},", "manifest"),
        ("c0,0,happy", "c0,1,happy", "label 1 is not happy"),
        ("c0,0,happy", "c0,3,happy", "label 3 is not happy"),
        (",25,", ",nan,", "line 2.fps: "),
        (",10,", ",1000000000000,", "line 2.num_frames: "),
        ("c1,", "c0,", "c0: 2 rows"),
        ("test", "tset", "impossible folds .*tset"),
        ("fold_2", "fold_9", "impossible folds"),
    ],
)
def test_a_manifest_that_is_impossible_or_contradicts_itself(store: Store, old: str, new: str, message: str) -> None:
    path = store.root / "manifest.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        open_store(store.root)


def test_cells_that_a_spreadsheet_would_run_are_quoted_and_read_back(store: Store) -> None:
    path = store.root / "manifest.csv"
    rows = [replace(store.rows[0], clip_id="=cmd|x", source="-1/2.mp4", detail="@x", subject="'+a"), *store.rows[1:]]
    write_manifest(path, rows)
    assert all(text in path.read_text() for text in ("'=cmd|x,", ",'@x,", ",'-1/2.mp4,", ",''+a,"))
    assert read_manifest(path) == rows


@pytest.mark.parametrize(
    ("members", "message"),
    [
        pytest.param({"000000.jpg": HUGE}, "is 65,500 pixels large", id="huge"),
        pytest.param({"000000.jpg": PNG}, "not a JPEG", id="PNG"),
        pytest.param({"000000.jpg": b"text"}, "not a JPEG", id="text"),
        pytest.param({"000000.jpg": JPEG, "000001.jpg": JPEG[:150]}, "JPEG", id="cut off"),
        pytest.param({}, "damaged or missing crops", id="none"),
        pytest.param({"000001.jpg": JPEG}, "000000.jpg", id="another number"),
    ],
)
def test_crops_that_are_none(store: Store, members: dict[str, bytes], message: str) -> None:
    path = packed(store, members)
    with pytest.raises(DataError, match=message):
        read_clip(path)


def test_crops_that_unpack_to_more_are_not_unpacked(store: Store) -> None:
    path = packed(store, {"000000.jpg": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="is compressed"):
        read_clip(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": [0]}, "lists of 1, 10 items"),
        ({"frames": [9, *range(1, 10)]}, "ascending"),
        ({"times_s": ["a"] * 10}, "times_s.0: "),
        ({"boxes_xyxy": [[1.0]] * 10}, "boxes_xyxy.0: "),
        ({"detected": 7}, "detected: "),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_a_record_of_crops_out_of_bounds(store: Store, change: dict[str, Any], message: str) -> None:
    with zipfile.ZipFile(store.clip_path("c0")) as archive:
        record = json.loads(archive.read("clip.json")) | change
    path = packed(store, {**{f"{n:06d}.jpg": JPEG for n in range(10)}, "clip.json": json.dumps(record).encode()})
    with pytest.raises(DataError, match=message):
        read_clip_record(path)


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", ["dataset.json", "manifest.csv"])
def test_what_is_in_place_of_a_file(store: Store, name: str, kind: str) -> None:
    (store.root / name).unlink()
    NO_FILES[kind](store.root / name)
    with pytest.raises(DataError, match=f"{REFUSED.lower()}|unfinished store"):
        open_store(store.root)
    with pytest.raises(DferError, match="cannot write"):
        require_places(store.root, STORE_FILES, STORE_FOLDERS)


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_in_place_of_a_clip(store: Store, kind: str) -> None:
    store.clip_path("c0").unlink()
    NO_FILES[kind](store.clip_path("c0"))
    with pytest.raises(DataError, match=REFUSED.lower()):
        read_clip(store.clip_path("c0"))


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_in_place_of_a_journal(store: Store, kind: str, overwrite: bool) -> None:
    NO_FILES[kind](store.root / "progress.jsonl")
    with pytest.raises(DferError, match=REFUSED.lower()), open_journal(store.root, (1, 1)):
        pass
    for read in (finished_rows, ensure_exclusive):
        with pytest.raises(DataError, match="cannot read the journal"):
            read(store.root)
    with pytest.raises(DataError, match="cannot read the journal"):
        open_for_writing(store.root, store.info, (1, 1), overwrite=overwrite)
    assert (store.root / "manifest.csv").exists()


@pytest.mark.parametrize("name", ["crops", "contact_sheets"])
def test_what_is_in_place_of_a_folder(store: Store, name: str) -> None:
    shutil.rmtree(store.root / name, ignore_errors=True)
    (store.root / name).touch()
    with pytest.raises(DferError, match="not a folder"):
        require_places(store.root, STORE_FILES, STORE_FOLDERS)


@pytest.mark.parametrize("line", ["[" * 100_000, "7", "9" * 5000, '{"clip_id": "x", "label": 1e18}', "\xff"])
def test_rows_of_a_journal_that_are_none_are_skipped(store: Store, line: str) -> None:
    (store.root / "progress.jsonl").write_text(line + "\n")
    assert list(finished_rows(store.root)) == ["c0", "c1", "c2"]


def packed(store: Store, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    path = store.clip_path("c0")
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
