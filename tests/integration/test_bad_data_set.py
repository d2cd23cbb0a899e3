"""Raw data sets that are not there, or whose lists make no sense: refused before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.program import dfer


@pytest.mark.parametrize(
    ("dataset", "code", "message", "hint"),
    [
        pytest.param(
            "bogus",
            2,
            "unknown data set 'bogus'",
            "dfew, ferv39k, mafw, afew, caer, ravdess, crema-d, enterface, ferplus, folder",
            id="unknown",
        ),
        pytest.param("dfew", 1, "no lists found", "EmoLabel_DataSplit", id="dfew"),
        pytest.param("ferv39k", 1, "no lists found", "4_setups", id="ferv39k"),
        pytest.param("mafw", 1, "no lists found", "split/single", id="mafw"),
        pytest.param("ferplus", 1, "FER", "FER2013Train", id="ferplus"),
        pytest.param("folder", 1, "no clips found", "RAW/happy/clip.mp4", id="folder"),
    ],
)
def test_preprocess_of_a_folder_without_videos(
    tmp_path: Path, dataset: str, code: int, message: str, hint: str
) -> None:
    (tmp_path / "raw" / "sub").mkdir(parents=True)
    (tmp_path / "raw" / "readme.txt").write_text("nothing here")
    outcome = dfer("preprocess", dataset, "raw", "--out", "store", "--detector", "haar")
    outcome.failed(code, message, hint=hint)
    assert not Path("store").exists()


@pytest.mark.parametrize("dataset", ["dfew", "folder"])
def test_preprocess_of_a_missing_folder(dataset: str) -> None:
    dfer("preprocess", dataset, "nowhere", "--out", "store").failed(1, "no such folder", "(nowhere)")
    assert not Path("store").exists()


@pytest.fixture
def lists(small_raw: Path, tmp_path: Path) -> Path:
    """A copy of DFEW's lists, to spoil."""
    shutil.copytree(small_raw / "EmoLabel_DataSplit", tmp_path / "raw" / "EmoLabel_DataSplit")
    return tmp_path / "raw" / "EmoLabel_DataSplit"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("900,8", "expected a clip number and a label 1-7, got '900,8'", id="above the labels"),
        pytest.param("900,-1", "got '900,-1'", id="below the labels"),
        pytest.param("900,happy", "got '900,happy'", id="a word"),
        pytest.param("900,0", "two numberings are mixed", id="the numbering from 0 beside the one from 1"),
        pytest.param("900", "got '900'", id="no label"),
        pytest.param('"900,1', "not a readable CSV", id="an open quote"),
        pytest.param("../../etc/passwd,1", "expected a clip number", id="a path for a clip number"),
    ],
)
def test_a_label_outside_dfews_list(lists: Path, line: str, message: str) -> None:
    file = lists / "train(single-labeled)" / "set_3.csv"
    file.write_text(f"{file.read_text()}{line}\n")
    count = len(file.read_text().splitlines())
    outcome = dfer("preprocess", "dfew", "raw", "--out", "store", "--detector", "haar")
    outcome.failed(1, message, "train(single-labeled)/set_3.csv", str(count))
    assert not Path("store").exists()


def test_a_clip_in_both_lists_of_a_fold(lists: Path) -> None:
    first = (lists / "test(single-labeled)" / "set_1.csv").read_text().splitlines()[1]
    train = lists / "train(single-labeled)" / "set_1.csv"
    train.write_text(f"{train.read_text()}{first}\n")
    outcome = dfer("preprocess", "dfew", "raw", "--out", "store", "--detector", "haar")
    outcome.failed(1, "in both the train and the test list of fold 1")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param("path,label\na.mp4,3\n", "the label is the number 3", id="a number for a label"),
        pytest.param("path,label\na.mp4,\n", "the label is empty", id="no label"),
        pytest.param("path,emotion\na.mp4,happy\n", "no column label", id="no label column"),
        pytest.param("path,label,split\na.mp4,happy,trian\n", "unknown split 'trian'", id="unknown split"),
        pytest.param("path,label\n", "has no rows", id="only a header"),
        pytest.param("", "the list is empty", id="empty"),
        pytest.param("path,label\na.mp4,happy\na.mp4,sad\n", "is in the table twice", id="two labels"),
        pytest.param("path,label\na,b,c,d\n", "expected 2 fields, got 4", id="too many fields"),
    ],
)
def test_a_table_that_makes_no_sense(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(table)
    outcome = dfer("preprocess", "folder", "labels.csv", "--out", "store", "--detector", "haar")
    outcome.failed(1, message, "labels.csv")
    assert not Path("store").exists()


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path,label\n\xff\xfe\x00\x80,happy\n")
    outcome = dfer("preprocess", "folder", "labels.csv", "--out", "store", "--detector", "haar")
    outcome.failed(1, "not UTF-8 text", "(labels.csv)")
