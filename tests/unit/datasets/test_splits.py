"""Names of splits: folders and columns of public preparations, and names that only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.datasets import read_dataset
from dfer.datasets.folder.splits import split_of
from dfer.errors import DataError
from tests.unit.datasets.raw_datasets import notice, touch, write


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "TRAIN", "Training", "train_set", "Train Set", "trainset", "train-data"]),
        ("val", ["val", "valid", "Validation", "dev", "devel", "val_set", "PublicTest", "public_test"]),
        ("test", ["test", "testing", "Test_Set", "TestSet", "eval", "PrivateTest", "private test"]),
        (None, ["happy", "latest", "contest", "training_test", "detrain", "Train_AFEW", "", "1"]),
    ],
)
def test_names_by_themselves(split: str | None, names: list[str]) -> None:
    assert [split_of(name) for name in names] == [split] * len(names)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train_AFEW", "Test_AFEW"),
        ("train_set", "test_set"),
        ("training", "testing"),
        ("CAER-train", "CAER-test"),
        ("train2017", "test2017"),
        ("TRAINING", "PrivateTest"),
    ],
)
@pytest.mark.parametrize("tree", ["{split}/{label}/{clip}", "{label}/{split}/{clip}", "data/{split}/{label}/{clip}"])
def test_folders_of_splits_above_and_below_the_classes(train: str, test: str, tree: str, tmp_path: Path) -> None:
    for split in (train, test):
        for label in ("Happy", "Sad"):
            touch(tmp_path, tree.format(split=split, label=label, clip="1.mp4"))
    dataset = read_dataset("folder", tmp_path)
    assert dataset.labels == ("happy", "sad")
    assert {clip.clip_id: clip.folds[1] for clip in dataset.clips} == {
        tree.format(split=split, label=label, clip="1.mp4"): name
        for split, name in ((train, "train"), (test, "test"))
        for label in ("Happy", "Sad")
    }
    assert all(clip.subject is None for clip in dataset.clips)
    assert dataset.notices == []


def test_afew_as_it_is_unpacked(tmp_path: Path) -> None:
    touch(tmp_path, "Train_AFEW/Angry/1.avi", "Val_AFEW/Angry/2.avi")
    dataset = read_dataset("folder", tmp_path)
    assert [clip.folds for clip in dataset.clips] == [{1: "train"}, {1: "test"}]
    notice(dataset, "Val_AFEW is the test split")


@pytest.mark.parametrize("subjects", [("test_01", "test_02"), ("dev1", "dev2", "dev3"), ("Train_A", "Train_B")])
def test_subjects_whose_names_sound_like_splits(subjects: tuple[str, ...], tmp_path: Path) -> None:
    touch(tmp_path, *(f"{subject}/{label}/1.mp4" for subject in subjects for label in ("happy", "sad")))
    dataset = read_dataset("folder", tmp_path)
    assert sorted({str(clip.subject) for clip in dataset.clips}) == sorted(subjects)


def test_stills_in_folders_of_splits_below_the_classes(tmp_path: Path) -> None:
    touch(tmp_path, "Happy/train/1.jpg", "Happy/test/2.jpg", "Sad/train/1.jpg", "Sad/test/1.jpg")
    clips = read_dataset("folder", tmp_path).clips
    assert [(clip.clip_id, clip.folds[1]) for clip in clips][:2] == [
        ("Happy/test/2.jpg", "test"),
        ("Happy/train/1.jpg", "train"),
    ]


def test_clips_outside_the_folders_of_splits_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "Happy/train/1.mp4", "Happy/test/2.mp4", "Sad/3.mp4")
    with pytest.raises(DataError, match=r"folders of splits \(.*\) are mixed with others \(Sad\)"):
        read_dataset("folder", tmp_path)


@pytest.mark.parametrize("column", ["split", "set", "Subset", "partition", "Usage"])
@pytest.mark.parametrize(
    "words",
    [("Training", "PublicTest", "PrivateTest"), ("train", "valid", "test"), ("train_set", "dev", "testing")],
)
def test_columns_of_splits(column: str, words: tuple[str, str, str], tmp_path: Path) -> None:
    rows = "".join(f"{word}.mp4,happy,{word}\n" for word in words)
    write(tmp_path / "labels.csv", f"path,label,{column}\n{rows}")
    clips = read_dataset("folder", tmp_path).clips
    assert [clip.folds[1] for clip in clips] == ["train", "val", "test"]


def test_a_column_named_set_that_holds_something_else_is_ignored_and_reported(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", "path,label,set\na.mp4,happy,A\nb.mp4,sad,B\n")
    dataset = read_dataset("folder", tmp_path)
    notice(dataset, "the column set holds no splits (train, val, test), such as 'A': it is ignored")
    notice(dataset, "no split is given")


def test_two_columns_of_splits_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", "path,label,split,usage\na.mp4,happy,train,Training\n")
    with pytest.raises(DataError, match="both a column split and a column usage"):
        read_dataset("folder", tmp_path)
