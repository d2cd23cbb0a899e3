"""Your own recordings: class folders, tables, file names that contain the emotion, and the folds made for them."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from dfer.datasets import RawDataset, read_dataset
from dfer.datasets.folder.folds import folds_by_label, folds_by_subject
from dfer.errors import DataError
from dfer.records import OtherForm
from tests.unit.datasets.raw_datasets import notice, sources, touch, write


def labels_of(dataset: RawDataset) -> dict[str, str]:
    return {clip.clip_id: clip.label_name for clip in dataset.clips}


class TestTree:
    def test_class_folders_of_known_emotions_take_dfew_s_order(self, tmp_path: Path) -> None:
        touch(tmp_path, "Anger/1.mp4", "joy/a/0.jpg", "joy/a/1.jpg", "anxiety/deep/er/1.AVI")
        dataset = read_dataset("folder", tmp_path)
        assert dataset.labels == ("happy", "angry", "anxiety")
        assert labels_of(dataset) == {"Anger/1.mp4": "angry", "anxiety/deep/er/1.AVI": "anxiety", "joy/a": "happy"}
        assert {clip.label_name: clip.label for clip in dataset.clips} == {"happy": 0, "angry": 1, "anxiety": 2}
        assert sources(dataset, tmp_path) == {name: name for name in labels_of(dataset)}
        assert not any(clip.aligned for clip in dataset.clips)

    def test_other_classes_are_kept_in_alphabetical_order_and_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "Pain/1.mp4", "Boredom/1.mp4", "happy/1.mp4")
        dataset = read_dataset("folder", tmp_path)
        assert dataset.labels == ("Boredom", "Pain", "happy")
        assert "Boredom, Pain, happy" in notice(dataset, "not all classes are known emotions (Boredom, Pain)")

    def test_two_spellings_of_one_emotion_are_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "anger/1.mp4", "Angry/1.mp4", "sad/1.mp4")
        dataset = read_dataset("folder", tmp_path)
        assert dataset.labels == ("sad", "angry")
        notice(dataset, "Angry and anger become one class, angry")

    def test_one_class_is_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/1.mp4", "happy/2.mp4")
        notice(read_dataset("folder", tmp_path), "all clips belong to one class, happy")

    def test_hidden_files_are_ignored(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/1.mp4", "happy/._1.mp4", ".trash/2.mp4", "__MACOSX/happy/1.mp4", "sad/1.mp4")
        assert list(labels_of(read_dataset("folder", tmp_path))) == ["happy/1.mp4", "sad/1.mp4"]

    def test_images_in_a_class_folder_are_a_clip_each(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/1.jpg", "happy/2.png", "sad/1.jpg")
        assert list(labels_of(read_dataset("folder", tmp_path))) == ["happy/1.jpg", "happy/2.png", "sad/1.jpg"]

    def test_an_image_beside_clips_is_left_out_and_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/1/0.jpg", "happy/cover.jpg", "sad/1/0.jpg")
        dataset = read_dataset("folder", tmp_path)
        assert list(labels_of(dataset)) == ["happy/1", "sad/1"]
        notice(dataset, "left out")

    def test_a_file_beside_the_class_folders_is_left_out_and_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/1.mp4", "sad/1.mp4", "demo.mp4")
        dataset = read_dataset("folder", tmp_path)
        assert len(dataset.clips) == 2
        assert "1, such as demo.mp4" in notice(dataset, "left out")

    def test_a_video_and_its_frames_are_one_clip(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/1.mp4", "happy/1/0.jpg", "sad/1/0.jpg")
        dataset = read_dataset("folder", tmp_path)
        assert list(labels_of(dataset)) == ["happy/1.mp4", "sad/1"]
        notice(dataset, "clips found more than once: 1, such as happy/1.mp4 (used) and happy/1 (used where the other")
        assert [clip.others for clip in dataset.clips] == [(OtherForm(tmp_path / "happy" / "1"),), ()]

    def test_folders_of_splits_as_in_caer(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/Anger/0001.avi", "validation/Anger/0001.avi", "test/Happy/0001.avi")
        dataset = read_dataset("folder", tmp_path)
        assert {clip.clip_id: clip.folds for clip in dataset.clips} == {
            "test/Happy/0001.avi": {1: "test"},
            "train/Anger/0001.avi": {1: "train"},
            "validation/Anger/0001.avi": {1: "val"},
        }
        assert dataset.labels == ("happy", "angry")
        assert dataset.num_folds == 1

    def test_without_a_test_folder_validation_is_the_test_as_in_afew(self, tmp_path: Path) -> None:
        touch(tmp_path, "Train/Angry/000046280/1.png", "Val/Happy/000149120/1.png")
        dataset = read_dataset("folder", tmp_path)
        assert [clip.folds for clip in dataset.clips] == [{1: "train"}, {1: "test"}]
        notice(dataset, "Val is the test split")

    def test_a_train_folder_only_is_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/Angry/1.mp4", "train/Happy/1.mp4")
        notice(read_dataset("folder", tmp_path), "no folder of test clips")

    def test_folders_of_splits_mixed_with_classes_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/happy/1.mp4", "sad/1.mp4")
        with pytest.raises(DataError, match=r"folders of splits \(train\) are mixed with others \(sad\)"):
            read_dataset("folder", tmp_path)

    def test_folders_of_subjects_as_in_enterface(self, tmp_path: Path) -> None:
        for subject in ("subject 1", "subject 2"):
            touch(tmp_path, f"{subject}/anger/sentence 1/a.avi", f"{subject}/sadness/b.avi")
        dataset = read_dataset("folder", tmp_path)
        assert dataset.labels == ("sad", "angry")
        assert [clip.subject for clip in dataset.clips] == ["subject 1"] * 2 + ["subject 2"] * 2
        notice(dataset, "2 folds were made, keeping each of the 2 subjects in one")

    def test_names_as_in_crema_d(self, tmp_path: Path) -> None:
        touch(tmp_path, "VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1002_IEO_HAP_HI.flv")
        dataset = read_dataset("folder", tmp_path)
        assert [(clip.label_name, clip.subject) for clip in dataset.clips] == [("angry", "1001"), ("happy", "1002")]

    def test_names_as_in_ravdess(self, tmp_path: Path) -> None:
        touch(
            tmp_path,
            "Actor_01/01-01-05-01-02-01-01.mp4",
            "Actor_01/02-01-05-01-02-01-01.mp4",  # the same performance without its sound
            "Actor_12/01-01-02-01-02-01-12.mp4",
            "Actor_12/01-01-01-01-02-01-12.mp4",
        )
        dataset = read_dataset("folder", tmp_path)
        assert [(clip.label_name, clip.subject) for clip in dataset.clips] == [
            ("angry", "01"),
            ("neutral", "12"),
            ("neutral", "12"),
        ]
        notice(dataset, "clips found more than once: 1")
        without_sound = OtherForm(tmp_path / "Actor_01" / "02-01-05-01-02-01-01.mp4")
        assert [clip.others for clip in dataset.clips] == [(without_sound,), (), ()]
        notice(dataset, "calm and neutral become one class, neutral")

    def test_class_folders_come_before_names(self, tmp_path: Path) -> None:
        touch(tmp_path, "fear/1001_DFA_ANG_XX.mp4", "sad/1002_DFA_SAD_XX.mp4")
        dataset = read_dataset("folder", tmp_path)
        assert [(clip.label_name, clip.subject) for clip in dataset.clips] == [("fear", "1001"), ("sad", "1002")]

    def test_clips_without_any_class_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.mp4", "b.mp4")
        with pytest.raises(DataError, match=r"the clips are not in the folder of a class, such as a\.mp4") as caught:
            read_dataset("folder", tmp_path)
        assert "RAW/labels.csv" in str(caught.value.hint)

    def test_folders_without_clips_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/notes.txt", "sad/1.mp3")
        with pytest.raises(DataError, match="no clips found") as caught:
            read_dataset("folder", tmp_path)
        assert "RAW/happy/clip.mp4" in str(caught.value.hint)
        assert "path,label" in str(caught.value.hint)


class TestTable:
    @pytest.mark.parametrize("name", ["labels.csv", "my clips.CSV"])
    @pytest.mark.parametrize("given_as_raw", [False, True])
    def test_a_table_in_the_folder_or_as_raw(self, tmp_path: Path, name: str, given_as_raw: bool) -> None:
        table = write(tmp_path / name, "path,label\na.mp4,happy\nsub/b,sad\nc.mp4,sad\n")
        touch(tmp_path, "a.mp4", "sub/b/0.jpg", "other.csv")
        dataset = read_dataset("folder", table if given_as_raw else tmp_path)
        assert sources(dataset, tmp_path) == {"a.mp4": "a.mp4", "sub/b": "sub/b", "c.mp4": None}
        assert labels_of(dataset) == {"a.mp4": "happy", "sub/b": "sad", "c.mp4": "sad"}

    @pytest.mark.parametrize("name", ["contact_sheets/failed.png", "crops/1", "picture.png"])
    def test_files_of_a_store_are_refused(self, name: str, tmp_path: Path) -> None:
        write(tmp_path / "store/dataset.json", '{"format": "dfer.store/1"}')
        touch(tmp_path, f"store/{name}" if "." in name else f"store/{name}/0.png")
        write(tmp_path / "labels.csv", f"path,label\nb.mp4,sad\nstore/{name},happy\n")
        with pytest.raises(DataError, match="the table names files of a store"):
            read_dataset("folder", tmp_path)

    def test_a_column_of_another_name_that_holds_only_splits_is_the_split(self, tmp_path: Path) -> None:
        table = "path,label,{},speaker\na.mp4,happy,train,train\nb.mp4,happy,{},dev\nc.mp4,sad,Test,x\n"
        for column in ("phase", "mode", "data split"):
            write(tmp_path / "labels.csv", table.format(column, "val"))
            dataset = read_dataset("folder", tmp_path)
            assert [clip.folds[1] for clip in dataset.clips] == ["train", "val", "test"]
            assert column.replace(" ", "_") in notice(dataset, "is taken for the split")
        write(tmp_path / "labels.csv", table.format("phase", "later"))
        notice(read_dataset("folder", tmp_path), "no split is given")

    def test_absolute_paths(self, tmp_path: Path) -> None:
        inside, outside = tmp_path / "raw/a.mp4", tmp_path / "elsewhere/a.mp4"
        write(tmp_path / "raw/labels.csv", f"path,label\n{inside},happy\n{outside},sad\n../elsewhere/b.mp4,sad\n")
        touch(tmp_path, "raw/a.mp4", "elsewhere/a.mp4", "elsewhere/b.mp4")
        clips = read_dataset("folder", tmp_path / "raw").clips
        assert [clip.source for clip in clips] == [inside, outside, tmp_path / "elsewhere/b.mp4"]
        assert clips[0].clip_id == "a.mp4"
        assert clips[1].clip_id == outside.as_posix().lstrip("/")
        assert all(".." not in clip.clip_id for clip in clips)

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            pytest.param("path,label\r\na.mp4,happy\r\nb.mp4,sad\r\n", "utf-8-sig", id="excel"),
            pytest.param("Label;Path\nhappy;a.mp4\nsad;b.mp4\n", "utf-8", id="semicolons-order-case"),
            pytest.param("path\tlabel\tnote\na.mp4\thappy\tx\nb.mp4\tsad\t\n", "utf-8", id="tabs-other-column"),
            pytest.param('path, label\n"a.mp4", happy\n\nb.mp4 ,sad\n', "utf-8", id="quotes-blank-line"),
            pytest.param("path,label\n.\\a.mp4,Happiness\n./b.mp4,SAD\n", "utf-8", id="windows-paths"),
        ],
    )
    def test_tables_that_say_the_same_read_the_same(self, tmp_path: Path, text: str, encoding: str) -> None:
        table = write(tmp_path / "t.csv", text, encoding=encoding)
        assert labels_of(read_dataset("folder", table)) == {"a.mp4": "happy", "b.mp4": "sad"}

    def test_a_split_is_fold_1(self, tmp_path: Path) -> None:
        rows = "a.mp4,happy,Train\nb.mp4,sad,validation\nc.mp4,sad,test\nd.mp4,happy,test\ne.mp4,sad,train\n"
        write(tmp_path / "labels.csv", f"path,label,split\n{rows}")
        dataset = read_dataset("folder", tmp_path)
        assert [clip.folds[1] for clip in dataset.clips] == ["train", "val", "test", "test", "train"]
        assert dataset.num_folds == 1
        assert dataset.notices == []

    def test_folds_of_its_own(self, tmp_path: Path) -> None:
        text = "path,label,fold_1,fold_2\na.mp4,happy,train,test\nb.mp4,sad,test,train\nc.mp4,sad,train,\n"
        write(tmp_path / "labels.csv", text)
        dataset = read_dataset("folder", tmp_path)
        folds = [{1: "train", 2: "test"}, {1: "test", 2: "train"}, {1: "train"}]
        assert [clip.folds for clip in dataset.clips] == folds
        assert dataset.num_folds == 2

    def test_a_subject_on_both_sides_is_reported(self, tmp_path: Path) -> None:
        text = "path,label,split,subject\na.mp4,happy,train,ann\nb.mp4,sad,test,ann\nc.mp4,sad,test,bob\n"
        write(tmp_path / "labels.csv", text)
        dataset = read_dataset("folder", tmp_path)
        assert [clip.subject for clip in dataset.clips] == ["ann", "ann", "bob"]
        assert notice(dataset, "subjects in both train and test").endswith("1, such as ann in fold 1")

    def test_a_split_without_test_clips_is_reported(self, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", "path,label,split\na.mp4,happy,train\nb.mp4,sad,train\n")
        notice(read_dataset("folder", tmp_path), "fold 1 has no test clips")

    def test_rows_that_repeat_are_reported(self, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", "path,label\na.mp4,happy\n./a.mp4,happy\nb.mp4,sad\n")
        dataset = read_dataset("folder", tmp_path)
        assert len(dataset.clips) == 2
        notice(dataset, "repeated rows (counted once): 1")

    @pytest.mark.parametrize(
        ("text", "where", "what"),
        [
            pytest.param("file,label\na,happy\n", "line 1", "no column path, but file,label", id="no-path"),
            pytest.param("path,emotion\na,happy\n", "line 1", "no column label", id="no-label"),
            pytest.param("path,label,label\na,b,c\n", "line 1", "two columns label", id="two-columns"),
            pytest.param("path,label,split,fold_1\n", "line 1", "both a column split and", id="split-and-folds"),
            pytest.param("path,label,fold_2\na,happy,train\n", "line 1", "numbered from 1,", id="fold-2-only"),
            pytest.param("path,label\n", "labels.csv", "the table has no rows", id="header-only"),
            pytest.param("path,label\na,happy\nb,\n", "line 3", "the label is empty", id="empty-label"),
            pytest.param("path,label\na,happy\n,sad\n", "line 3", "the path is empty", id="empty-path"),
            pytest.param("path,label\na,happy\nb,3\n", "line 3", "the label is the number 3", id="number"),
            pytest.param("path,label\na,happy,x\n", "line 2", "expected 2 fields, got 3", id="comma-in-path"),
            pytest.param("path,label,split\na,happy,dog\n", "line 2", "unknown split 'dog'", id="split"),
            pytest.param("path,label,split\na,happy,\n", "line 2", "unknown split ''", id="empty-split"),
            pytest.param("path,label\na,happy\na,sad\n", "line 3", "a is in the table twice", id="two-labels"),
            pytest.param('path,label\n"a,happy\n', "labels.csv", "not a readable CSV", id="open-quote"),
        ],
    )
    def test_mistakes_name_file_and_line(self, tmp_path: Path, text: str, where: str, what: str) -> None:
        write(tmp_path / "labels.csv", text)
        with pytest.raises(DataError, match=what) as caught:
            read_dataset("folder", tmp_path)
        assert where in str(caught.value.where)
        assert "labels.csv" in str(caught.value.where)

    def test_several_tables_are_refused(self, tmp_path: Path) -> None:
        for name in ("a.csv", "b.csv"):
            write(tmp_path / name, "path,label\na.mp4,happy\n")
        with pytest.raises(DataError, match=r"several CSVs here label clips: a.csv, b.csv"):
            read_dataset("folder", tmp_path)


class TestFolds:
    def test_folds_made_by_label_are_reported_and_test_every_clip_once(self, tmp_path: Path) -> None:
        touch(tmp_path, *(f"{label}/{i}.mp4" for label in ("happy", "sad") for i in range(12)))
        dataset = read_dataset("folder", tmp_path)
        assert dataset.num_folds == 5
        for clip in dataset.clips:
            assert sorted(clip.folds.values()) == ["test"] + ["train"] * 4
        assert "not subject-disjoint" in notice(dataset, "5 folds were made")

    def test_folds_made_by_subject_keep_subjects_apart(self, tmp_path: Path) -> None:
        rows = [f"{i}.mp4,{'happy' if i % 3 else 'sad'},s{i % 11}\n" for i in range(200)]
        write(tmp_path / "labels.csv", "path,label,subject\n" + "".join(rows))
        dataset = read_dataset("folder", tmp_path)
        sides: dict[tuple[int, str | None], set[str]] = defaultdict(set)
        for clip in dataset.clips:
            for fold, split in clip.folds.items():
                sides[fold, clip.subject].add(split)
        assert all(len(splits) == 1 for splits in sides.values())
        notice(dataset, "keeping each of the 11 subjects in one")

    def test_a_subject_missing_somewhere_makes_folds_by_label(self, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", "path,label,subject\na.mp4,happy,ann\nb.mp4,sad,\nc.mp4,sad,bob\n")
        notice(read_dataset("folder", tmp_path), "not subject-disjoint")

    def test_by_label_balances_labels_and_ignores_order(self) -> None:
        ids = [f"clip{i}" for i in range(103)]
        labels = ["rare" if i < 10 else "common" for i in range(103)]
        folds = folds_by_label(ids, labels)
        assert sorted(Counter(folds).values()) == [20, 20, 21, 21, 21]
        assert Counter(zip(folds, labels, strict=True)) >= Counter({(fold, "rare"): 2 for fold in range(1, 6)})
        backwards = folds_by_label(ids[::-1], labels[::-1])
        assert backwards[::-1] == folds

    def test_by_subject_balances_sizes_and_labels(self) -> None:
        # Subjects of unlike size, of whom one in five shows nothing but fear.
        subjects = [f"s{i}" for i in range(40) for _ in range(5 + i % 7)]
        labels = ["fear" if int(subject[1:]) % 5 == 0 else "happy" for subject in subjects]
        folds = folds_by_subject(subjects, labels)
        sizes = Counter(folds)
        assert max(sizes.values()) <= 1.25 * min(sizes.values())
        fears = Counter(fold for fold, label in zip(folds, labels, strict=True) if label == "fear")
        assert max(fears.values()) <= 1.6 * min(fears[fold] for fold in range(1, 6))
        assert folds_by_subject(subjects[::-1], labels[::-1])[::-1] == folds

    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_fewer_clips_or_subjects_than_folds(self, count: int) -> None:
        names = [f"x{i}" for i in range(count)]
        assert sorted(folds_by_label(names, names)) == list(range(1, count + 1))
        assert sorted(folds_by_subject(names, ["happy"] * count)) == list(range(1, count + 1))
