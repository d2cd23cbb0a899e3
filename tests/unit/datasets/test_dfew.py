"""The traps of DFEW's copies in circulation, built by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dfer.datasets import read_dataset
from dfer.errors import DataError
from tests.unit.datasets.raw_datasets import DFEW_TEST, DFEW_TRAIN, notice, sources, touch, write, write_dfew


class TestDfewLists:
    def test_labels_count_from_1(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1", "2": "7"}, {"3": "4"})
        dataset = read_dataset("dfew", tmp_path)
        assert [(clip.clip_id, clip.label, clip.label_name) for clip in dataset.clips] == [
            ("1", 0, "happy"),
            ("2", 6, "fear"),
            ("3", 3, "angry"),
        ]
        assert not any("number the emotions" in line for line in dataset.notices)

    def test_copies_that_count_from_0_are_reported(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "0", "2": "6"}, {"3": "3"})
        dataset = read_dataset("dfew", tmp_path)
        assert [clip.label_name for clip in dataset.clips] == ["happy", "fear", "angry"]
        assert "0 happy, 1 sad" in notice(dataset, "number the emotions 0-6, unlike the official ones")

    def test_numbers_that_fit_both_numberings_are_reported(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1", "2": "6"}, {"3": "3"})
        dataset = read_dataset("dfew", tmp_path)
        assert [clip.label_name for clip in dataset.clips] == ["happy", "disgust", "neutral"]
        notice(dataset, "neither label 0 nor label 7")

    def test_folds_are_merged(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1", "2": "7"}, {"3": "4"}, fold=1)
        write_dfew(tmp_path, {"3": "4", "2": "7"}, {"1": "1"}, fold=2)
        dataset = read_dataset("dfew", tmp_path)
        assert {clip.clip_id: clip.folds for clip in dataset.clips} == {
            "1": {1: "train", 2: "test"},
            "2": {1: "train", 2: "train"},
            "3": {1: "test", 2: "train"},
        }
        assert dataset.num_folds == 2

    def test_other_sizes_are_reported_once(self, tmp_path: Path) -> None:
        for fold in range(1, 6):
            write_dfew(tmp_path, {"1": "1", "2": "7"}, {"3": "4"}, fold=fold)
        line = notice(read_dataset("dfew", tmp_path), "not the official split sizes")
        assert "3 clips in all, officially 11,697" in line

    def test_a_clip_tested_in_two_folds_is_reported(self, tmp_path: Path) -> None:
        for fold in (1, 2):
            write_dfew(tmp_path, {"1": "1", "2": "7"}, {"3": "4"}, fold=fold)
        line = notice(read_dataset("dfew", tmp_path), "clips in the test lists of several folds")
        assert line.endswith(": 1")

    @pytest.mark.parametrize(
        ("folder", "file", "text", "encoding"),
        [
            pytest.param("train(single-labeled)", "set_1.csv", "video_name,label\r\n1,7\r\n", "utf-8", id="crlf"),
            pytest.param("train(single-labeled)", "set_1.csv", "video_name,label\n1,7\n", "utf-8-sig", id="bom"),
            pytest.param("train(single-labeled)", "set_1.csv", "video_name,label\n1,7\n", "utf-16", id="utf-16"),
            pytest.param("train(single-labeled)", "set_1.csv", "1,7\n", "utf-8", id="no-header"),
            pytest.param("train(single-labeled)", "set_1.csv", "video_name;label\n1;7\n", "utf-8", id="semicolons"),
            pytest.param("train(single-labeled)", "set_1.csv", "video_name, label\n\n 1 , 7 \n", "utf-8", id="spaces"),
            pytest.param("train(single-labeled)", "set_1.csv", "video_name,label\n00001,7\n", "utf-8", id="padded"),
            pytest.param("train(single-labeled)", "set_1.csv", "video_name,label\n1.mp4,7\n", "utf-8", id="suffix"),
            pytest.param("Train (Single-Labeled) ", "Set 1.csv", "video_name,label\n1,7\n", "utf-8", id="names"),
            pytest.param("train", "set_1.csv", "video_name,label\n1,7\n", "utf-8", id="short-folder"),
        ],
    )
    def test_copies_that_say_the_same_read_the_same(
        self, tmp_path: Path, folder: str, file: str, text: str, encoding: str
    ) -> None:
        write(tmp_path / "EmoLabel_DataSplit" / folder / file, text, encoding=encoding)
        write(tmp_path / DFEW_TEST / "set_1.csv", "video_name,label\n2,1\n")
        dataset = read_dataset("dfew", tmp_path)
        assert [(clip.clip_id, clip.label_name) for clip in dataset.clips] == [("1", "fear"), ("2", "happy")]

    def test_hidden_copies_of_the_lists_are_ignored(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1", "2": "7"}, {"3": "4"})
        write(tmp_path / DFEW_TRAIN / "._set_1.csv", "\x00\x05\x16\x07")
        write_dfew(tmp_path / "__MACOSX", {"9": "1"}, {"8": "1"})
        assert [clip.clip_id for clip in read_dataset("dfew", tmp_path).clips] == ["1", "2", "3"]

    def test_lists_one_level_down(self, tmp_path: Path) -> None:
        write_dfew(tmp_path / "My DFEW", {"1": "1"}, {"2": "7"})
        touch(tmp_path, "My DFEW/Clip/original/1.mp4", "MAFW/data/clips/00002.mp4")
        assert sources(read_dataset("dfew", tmp_path), tmp_path) == {"1": "My DFEW/Clip/original/1.mp4", "2": None}

    def test_lists_one_level_down_beside_the_clips(self, tmp_path: Path) -> None:
        write_dfew(tmp_path / "annotations", {"1": "1"}, {"2": "7"})
        touch(tmp_path, "Clip/original/1.mp4", "MAFW/data/clips/00002.mp4")
        assert sources(read_dataset("dfew", tmp_path), tmp_path) == {"1": "Clip/original/1.mp4", "2": None}

    @pytest.mark.parametrize(
        ("train", "where", "what"),
        [
            pytest.param("1,1\n2,8\n", "line 3", "label 1-7, got '2,8'", id="label-8"),
            pytest.param("1,1\n2,happy\n", "line 3", "got '2,happy'", id="label-name"),
            pytest.param("1,1\n2,\n", "line 3", "got '2,'", id="label-empty"),
            pytest.param("1,1\n2,1,1\n", "line 3", "got '2,1,1'", id="three-columns"),
            pytest.param("clip_x,1\n", "line 2", "expected a clip number", id="name-no-number"),
            pytest.param("1,7\n4,0\n", "line 3", "label 0 here and label 7 in", id="both-numberings"),
            pytest.param("1,1\n1,2\n", "line 3", "clip 1 is sad here and happy in", id="two-labels"),
            pytest.param("1,1\n3,7\n", "line 2", "clip 3 is in both the train and the test list", id="train-and-test"),
            pytest.param("", "set_1.csv", "the list is empty", id="header-only"),
            pytest.param('1,"1\n', "set_1.csv", "not a readable CSV", id="open-quote"),
            pytest.param("1\x00,1\n", "line 2", "NUL|expected a clip number", id="nul"),
        ],
    )
    def test_contradictions_name_file_and_line(self, tmp_path: Path, train: str, where: str, what: str) -> None:
        write(tmp_path / DFEW_TRAIN / "set_1.csv", f"video_name,label\n{train}")
        write(tmp_path / DFEW_TEST / "set_1.csv", "video_name,label\n3,7\n")
        with pytest.raises(DataError, match=what) as caught:
            read_dataset("dfew", tmp_path)
        assert caught.value.where is not None
        assert where in caught.value.where
        assert "set_1.csv" in caught.value.where

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            pytest.param(b"", "the list is empty", id="empty"),
            pytest.param("video_name,label\n1,1\n".encode("utf-16")[:-1], "not UTF-8 text", id="utf-16-cut-off"),
            pytest.param(b"\x89PNG\r\n\x1a\n", "not UTF-8 text", id="an-image"),
        ],
    )
    def test_files_that_are_not_lists(self, tmp_path: Path, content: bytes, what: str) -> None:
        write_dfew(tmp_path, {"1": "1"}, {"2": "7"})
        (tmp_path / DFEW_TRAIN / "set_1.csv").write_bytes(content)
        with pytest.raises(DataError, match=what) as caught:
            read_dataset("dfew", tmp_path)
        assert "set_1.csv" in str(caught.value.where)
        assert caught.value.hint

    def test_rows_that_repeat_are_reported(self, tmp_path: Path) -> None:
        write(tmp_path / DFEW_TRAIN / "set_1.csv", "video_name,label\n1,1\n1,1\n")
        write(tmp_path / DFEW_TEST / "set_1.csv", "video_name,label\n2,7\n")
        dataset = read_dataset("dfew", tmp_path)
        assert len(dataset.clips) == 2
        assert "line 3" in notice(dataset, "rows that repeat a clip of the same list (counted once): 1")

    def test_a_fold_without_its_test_list_is_refused(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1"}, {"2": "7"})
        (tmp_path / DFEW_TEST / "set_1.csv").unlink()
        with pytest.raises(DataError, match="fold 1 has a train list but no test list"):
            read_dataset("dfew", tmp_path)

    def test_two_files_for_one_list_are_refused(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1"}, {"2": "7"})
        write(tmp_path / "EmoLabel_DataSplit" / "train (single-labeled)" / "set_1.csv", "1,1\n")
        with pytest.raises(DataError, match="two files are the train list of fold 1"):
            read_dataset("dfew", tmp_path)

    def test_two_data_sets_below_raw_are_refused(self, tmp_path: Path) -> None:
        for name in ("DFEW", "DFEW_0based"):
            write_dfew(tmp_path / name, {"1": "1"}, {"2": "7"})
        with pytest.raises(DataError, match="several folders here contain lists of the data set: DFEW, DFEW_0based"):
            read_dataset("dfew", tmp_path)


class TestDfewClips:
    @pytest.fixture(autouse=True)
    def lists(self, tmp_path: Path) -> None:
        write_dfew(tmp_path, {"1": "1"}, {"2345": "7"})

    @pytest.mark.parametrize(
        ("files", "found", "aligned"),
        [
            pytest.param(["Clip/original/1.mp4"], "Clip/original/1.mp4", False, id="original"),
            pytest.param(["Clip/original/part_7/1.mp4"], "Clip/original/part_7/1.mp4", False, id="part"),
            pytest.param(["Clip/original/00001.AVI"], "Clip/original/00001.AVI", False, id="padded-avi"),
            pytest.param(["original/1.mkv"], "original/1.mkv", False, id="without-clip-folder"),
            pytest.param(["Clip/my videos/1.mp4"], "Clip/my videos/1.mp4", False, id="renamed-videos"),
            pytest.param(["Clip/clip_224x224/00001/1.jpg"], "Clip/clip_224x224/00001", True, id="aligned"),
            pytest.param(["Clip/clip_224x224/1/1.png"], "Clip/clip_224x224/1", True, id="aligned-unpadded"),
            pytest.param(["Clip/clip_224x224_16f/00001/1.jpg"], "Clip/clip_224x224_16f/00001", True, id="sixteen"),
            pytest.param(["Clip/clip_224x224_avi/1.avi"], "Clip/clip_224x224_avi/1.avi", True, id="aligned-avi"),
            pytest.param(["Clip/clip_224x224_16f_avi/1.avi"], "Clip/clip_224x224_16f_avi/1.avi", True, id="16-avi"),
            pytest.param(["jpg_256/00001/1.jpg"], "jpg_256/00001", True, id="renamed-frames"),
            pytest.param(["00001/1.jpg"], "00001", True, id="frames-in-raw"),
            pytest.param(["Clip/original/.1.mp4", "__MACOSX/Clip/original/1.mp4"], None, False, id="hidden"),
            pytest.param(["Clip/original/1.txt", "Clip/jpg/00001/x.txt", "1.jpg"], None, False, id="no-media"),
            pytest.param(["Clip/original/1_face.mp4", "Clip/original/9.mp4"], None, False, id="other-clips"),
        ],
    )
    def test_each_form_is_found(self, tmp_path: Path, files: list[str], found: str | None, aligned: bool) -> None:
        touch(tmp_path, *files)
        dataset = read_dataset("dfew", tmp_path)
        assert sources(dataset, tmp_path) == {"1": found, "2345": None}
        assert [clip.aligned for clip in dataset.clips] == [aligned, False]

    def test_originals_come_first_then_all_aligned_frames_then_16(self, tmp_path: Path) -> None:
        forms = [
            "Clip/original/1.mp4",
            "Clip/clip_224x224/00001",
            "jpg_256/00001",
            "Clip/clip_224x224_avi/1.avi",
            "Clip/clip_224x224_16f/00001",
            "Clip/clip_224x224_16f_avi/1.avi",
        ]
        touch(tmp_path, *(form if form.endswith(("mp4", "avi")) else f"{form}/1.jpg" for form in forms))
        for form in forms:
            assert sources(read_dataset("dfew", tmp_path), tmp_path)["1"] == form
            path = tmp_path / form
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert sources(read_dataset("dfew", tmp_path), tmp_path)["1"] is None

    def test_a_renamed_frame_folder_is_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "jpg_256/00001/1.jpg")
        line = notice(read_dataset("dfew", tmp_path), "jpg_256 is not an official folder name")
        assert "the authors' aligned frames, so faces are not detected in it again" in line

    def test_official_forms_need_no_notice(self, tmp_path: Path) -> None:
        touch(tmp_path, "Clip/original/part_1/1.mp4", "Clip/original/part_2/2345.mp4")
        notices = read_dataset("dfew", tmp_path).notices
        assert all("official split sizes" in line or "in fold 1" in line for line in notices)

    def test_mixed_forms_are_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "Clip/original/1.mp4", "Clip/clip_224x224/00001/1.jpg", "Clip/clip_224x224/02345/1.jpg")
        dataset = read_dataset("dfew", tmp_path)
        assert sources(dataset, tmp_path) == {"1": "Clip/original/1.mp4", "2345": "Clip/clip_224x224/02345"}
        assert [clip.aligned for clip in dataset.clips] == [False, True]
        line = notice(dataset, "forms are mixed")
        assert "1 original videos (Clip/original), 1 the authors' aligned frames (Clip/clip_224x224)" in line

    def test_a_clip_found_twice_is_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "Clip/original/part_2/1.mp4", "Clip/original/part_1/1.mp4", "Clip/original/part_1/2345.mp4")
        dataset = read_dataset("dfew", tmp_path)
        assert sources(dataset, tmp_path)["1"] == "Clip/original/part_1/1.mp4"
        assert "part_2/1.mp4" in notice(dataset, "clips found more than once: 1")
