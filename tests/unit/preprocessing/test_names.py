"""Clips of any name: each gets its crops and its row, and the store can be read, checked and completed."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.datasets import read_dataset
from dfer.errors import UsageError
from dfer.names import text_name
from dfer.preprocessing import Settings, preprocess, run_in_process
from dfer.reports.shown_clips import write_store_report
from dfer.store import open_store, read_clip
from dfer.store.check import check_store

NAMES = [
    b"plain.png", b"bad\xff\xfe.png", b"cr\rlf\n.png", b"tab\t.png", b"back\\slash.png", b"-dash.png", b"100%d.png",
    b"q'\"q,;.png", b"x" * 251 + b".png", "字".encode() * 80 + b".png", b" spaces .png", b"dots....png",
    "e\u0301.png".encode(), "\u00e9.png".encode(), b"Case.png", b"case.png", b"con.png", b"$x$.png", b"<b>.png",
]  # fmt: skip
ALIGNED = Settings(size=32, detector="none")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frame folders of two classes, one of which has a name that is not UTF-8."""
    folder = tmp_path_factory.mktemp("raw")
    image = cv2.imencode(".png", np.full((32, 32, 3), 90, np.uint8))[1].tobytes()
    for number, name in enumerate(NAMES):
        label = os.fsdecode((b"joy", b"odd\xfe\rx")[number % 2])
        path = folder / label / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image)
    return folder


def test_every_name_has_its_crops_and_its_row(raw: Path, tmp_path: Path) -> None:
    data = read_dataset("folder", raw)
    out = tmp_path / os.fsdecode(b"store\xff")
    summary = preprocess(data, raw, out, ALIGNED, engine=run_in_process)
    assert summary.counts == {"ok": len(NAMES)}
    text = (out / "manifest.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(NAMES) + 1
    store = open_store(out)
    assert [row.clip_id for row in store.rows] == [clip.clip_id for clip in data.clips]
    assert {os.path.normpath(raw / text_name(row.source)) for row in store.rows} == {
        str(clip.source) for clip in data.clips
    }
    assert set(store.info.labels) == {row.label_name for row in store.rows}
    assert all(label.encode().decode().isprintable() for label in store.info.labels)
    assert all(len(read_clip(store.clip_path(row.clip_id))) == 1 for row in store.rows)
    assert check_store(out, clips=data.clips).problems == []
    assert len(store.fingerprint()) == 64
    assert write_store_report(out, raw, data.notices) is not None
    again = preprocess(read_dataset("folder", raw), raw, out, ALIGNED, engine=run_in_process)
    assert again.num_new == 0


@pytest.mark.parametrize("place", [".", "joy", "joy/store", "../link"])
def test_a_store_is_not_written_among_the_raw_data(raw: Path, tmp_path: Path, place: str) -> None:
    if place == "../link" and not (raw.parent / "link").exists():
        (raw.parent / "link").symlink_to(raw)
    before = sorted(raw.rglob("*"))
    with pytest.raises(UsageError, match="the raw data set"):
        preprocess(read_dataset("folder", raw), raw, raw / place, ALIGNED, engine=run_in_process, overwrite=True)
    assert sorted(raw.rglob("*")) == before


def test_a_store_around_the_raw_data_is_refused_and_one_beside_the_classes_is_not(raw: Path, tmp_path: Path) -> None:
    data = read_dataset("folder", raw)
    with pytest.raises(UsageError, match="lies in the folder of the store"):
        preprocess(data, raw, raw.parent, ALIGNED, engine=run_in_process, overwrite=True)
    (tmp_path / "mine" / "joy").mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (tmp_path / "mine" / "joy" / name).write_bytes((raw / "joy" / "plain.png").read_bytes())
    own = tmp_path / "mine"
    summary = preprocess(read_dataset("folder", own), own, own / "data" / "mine", ALIGNED, engine=run_in_process)
    assert summary.counts == {"ok": 2}
    assert len(read_dataset("folder", own).clips) == 2
