"""`dfer preprocess` on good input: the store it writes, mends and starts anew."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import dfer as package
from dfer.labels import DFEW_LABELS
from dfer.store import open_store, read_clip
from tests.integration.conftest import MISSING, NO_VIDEO
from tests.integration.program import dfer, tree


def test_preprocess_gives_every_clip_of_the_lists_a_row(raw: Path, drawn: Path) -> None:
    with (drawn / "manifest.csv").open() as lines:
        rows = {row["clip_id"]: row for row in csv.DictReader(lines)}
    assert list(next(iter(rows.values())))[:10] == [
        "clip_id", "label", "label_name", "num_frames", "source_frames", "fps",
        "status", "detail", "detected", "source",
    ]  # fmt: skip
    assert sorted(rows, key=int) == [str(n) for n in range(1, 50)]
    assert {name: row["status"] for name, row in rows.items() if row["status"] != "ok"} == {
        MISSING: "missing",
        NO_VIDEO: "unreadable",
    }
    for name, row in rows.items():
        assert row["label_name"] == DFEW_LABELS[int(row["label"])]
        assert sorted(row[f"fold_{fold}"] for fold in range(1, 6)) == ["test", *["train"] * 4]
        if row["status"] == "ok":
            assert row["source"] == f"Clip/original/{name}.mp4"
            assert float(row["fps"]) == 25
            crops = read_clip(drawn / "crops" / f"{name}.zip")
            assert crops.shape == (int(row["num_frames"]), 128, 128, 3)
            assert crops.std() > 10
        else:
            assert row["detail"]
            assert not (drawn / "crops" / f"{name}.zip").exists()


def test_preprocess_says_what_the_store_is(drawn: Path) -> None:
    about = json.loads((drawn / "dataset.json").read_text())
    assert about["labels"] == list(DFEW_LABELS)
    assert about["crop_size"] == 128
    assert about["detector"] == "haar"
    assert about["tool_version"] == package.__version__
    assert about["alignment"]
    assert "drawings" in about["notice"]


def test_preprocess_leaves_a_report(drawn: Path) -> None:
    page = (drawn / "report.html").read_text()
    assert "drawings only" in page
    assert "not the official split sizes" in page
    assert f"<b>{NO_VIDEO}</b> happy · unreadable" in page
    assert page.count("<b>47</b><span>clips ok") == 1
    sheets = {path.name: cv2.imread(str(path)) for path in (drawn / "contact_sheets").iterdir()}
    assert sorted(sheets) == ["failed.png", "random.png", "worst.png"]
    assert all(sheet.shape[1] >= 586 for sheet in sheets.values())


def test_preprocess_of_a_shard_writes_no_report(small_raw: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = ("preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--engine", "inline")
    outcome = dfer(*command, "--shard", "1/7").succeeded()
    assert "report" not in outcome.err
    assert sorted(path.name for path in store.iterdir()) == ["crops", "dataset.json", "progress.1-of-7.jsonl"]


def test_starting_anew_removes_the_former_report(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(small_drawn, store)
    stale = store / "contact_sheets" / "of_old.png"
    stale.write_bytes(b"old")
    command = ("preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--engine", "inline")
    outcome = dfer(*command, "--overwrite", "--limit", 2).succeeded()
    assert f"report: {store / 'report.html'}" in outcome.err
    assert not stale.exists()
    assert (store / "report.html").read_bytes() != (small_drawn / "report.html").read_bytes()


def test_a_limit_does_not_drop_what_is_finished(small_raw: Path, small_drawn: Path) -> None:
    before = tree(small_drawn)
    command = ("preprocess", "dfew", small_raw, "--out", small_drawn, "--detector", "haar", "--limit", 2)
    for options in ((), ("--merge",)):
        dfer(*command, *options).failed(2, "the store holds 12 clips that --limit 2 would drop", hint="--out")
    assert tree(small_drawn) == before


def test_preprocess_again_does_only_what_has_come_back(raw: Path, drawn: Path, tmp_path: Path) -> None:
    mended, store = tmp_path / "raw", tmp_path / "drawn"
    shutil.copytree(raw, mended)
    shutil.copytree(drawn, store)
    for name in (MISSING, NO_VIDEO):
        shutil.copy(raw / "Clip" / "original" / "1.mp4", mended / "Clip" / "original" / f"{name}.mp4")
    before = tree(store / "crops")
    outcome = dfer("preprocess", "dfew", mended, "--out", store, "--detector", "haar", "--engine", "inline").succeeded()
    assert "49 ok (2 in this run)" in outcome.err
    after = tree(store / "crops")
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2


def test_preprocess_writes_data_name_by_default_and_can_start_anew(small_raw: Path, tmp_path: Path) -> None:
    command = ("preprocess", "dfew", small_raw, "--detector", "haar", "--limit", 3, "--engine", "inline")
    assert "3 clips: 3 ok (3 in this run) -> data/dfew" in dfer(*command).succeeded().err
    assert len(open_store(Path("data/dfew")).rows) == 3
    assert "3 clips: 3 ok (0 in this run)" in dfer(*command).succeeded().err
    outcome = dfer(*command, "--overwrite", "--size", 64).succeeded()
    assert "3 clips: 3 ok (3 in this run)" in outcome.err
    store = open_store(Path("data/dfew"))
    assert read_clip(store.clip_path(store.rows[0].clip_id)).shape[1:] == (64, 64, 3)


def test_preprocess_fails_above_the_failures_tolerated_and_still_writes_the_manifest(
    raw: Path, drawn: Path, tmp_path: Path
) -> None:
    store = tmp_path / "drawn"
    shutil.copytree(drawn, store)
    command = ("preprocess", "dfew", raw, "--out", store, "--detector", "haar", "--engine", "inline", "--max-failures")
    outcome = dfer(*command, 1)
    outcome.failed(1, "2 of 49 clips failed", str(store / "manifest.csv"), hint="--max-failures")
    assert f"missing: {MISSING}:" in outcome.err
    assert f"unreadable: {NO_VIDEO}:" in outcome.err
    assert tree(store) == tree(drawn)
    dfer(*command, 2).succeeded()
    dfer(*command, 0.05).succeeded()


@pytest.fixture
def my_clips(small_raw: Path, tmp_path: Path) -> Path:
    """Two happy and two sad videos in a folder each."""
    with (small_raw / "ground_truth" / "clips.csv").open() as lines:
        played = [(row["emotion"], row["video_name"]) for row in csv.DictReader(lines)]
    for emotion in ("happy", "sad"):
        (tmp_path / "mine" / emotion).mkdir(parents=True)
        for number in [number for name, number in played if name == emotion][:2]:
            shutil.copy(small_raw / "Clip" / "original" / f"{number}.mp4", tmp_path / "mine" / emotion)
    return tmp_path / "mine"


def test_preprocess_takes_a_folder_per_class(my_clips: Path) -> None:
    outcome = dfer("preprocess", "folder", my_clips, "--detector", "haar", "--engine", "inline").succeeded()
    assert "not subject-disjoint" in outcome.err
    store = open_store(Path("data/folder"))
    assert store.info.labels == ["happy", "sad"]
    assert [(row.label_name, row.status) for row in store.rows] == [("happy", "ok")] * 2 + [("sad", "ok")] * 2
    assert all(row.clip_id.startswith(f"{row.label_name}/") for row in store.rows)
    assert store.info.notice == ""


def test_preprocess_takes_a_table_with_splits(my_clips: Path) -> None:
    videos = sorted(my_clips.glob("*/*.mp4"))
    table = my_clips / "labels.csv"
    lines = [f"{video.relative_to(my_clips)},{video.parent.name},{split}" for video, split in
             zip(videos, ["train", "test", "train", "test"], strict=True)]  # fmt: skip
    table.write_text("\n".join(["path,label,split", *lines]))
    dfer("preprocess", "folder", table, "--out", "store", "--detector", "haar", "--engine", "inline").succeeded()
    rows = open_store(Path("store")).rows
    assert [row.folds for row in rows] == [{1: "train"}, {1: "test"}, {1: "train"}, {1: "test"}]


def test_preprocess_takes_aligned_faces_as_they_are(drawn: Path, tmp_path: Path) -> None:
    crops = read_clip(drawn / "crops" / "1.zip")
    for emotion in ("happy", "sad"):
        folder = tmp_path / "faces" / emotion / "clip"
        folder.mkdir(parents=True)
        for number, crop in enumerate(crops[:6]):
            cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    command = ("preprocess", "folder", tmp_path / "faces", "--detector", "none", "--size", 128, "--engine", "inline")
    outcome = dfer(*command, "--out", "store").succeeded()
    assert outcome.err.count("25 frames a second are assumed; --fps sets the rate") == 1
    store = open_store(Path("store"))
    assert store.info.detector == "none"
    dfer(*command, "--out", "store", "--fps", 10).failed(2, "other settings: fps None -> 10.0", hint="--overwrite")
    outcome = dfer(*command, "--out", "store", "--fps", 10, "--overwrite").succeeded()
    assert "assumed" not in outcome.err
    assert {row.fps for row in open_store(Path("store")).rows} == {10.0}
    kept = read_clip(store.clip_path("happy/clip")).astype(int)
    assert kept.shape == (6, 128, 128, 3)
    assert np.abs(kept - crops[:6]).mean() < 4  # the JPEG's loss
