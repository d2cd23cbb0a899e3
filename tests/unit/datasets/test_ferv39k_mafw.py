"""The traps of FERV39k's and MAFW's copies in circulation, built by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.datasets import read_dataset
from dfer.errors import DataError
from dfer.records import OtherForm
from tests.unit.datasets.raw_datasets import notice, sources, touch, write, write_ferv39k, write_mafw


class TestFerv39k:
    def test_clip_numbers_repeat_in_scenes_and_emotions(self, tmp_path: Path) -> None:
        write_ferv39k(tmp_path, "Action/Happy/0001 Happy\nWar/Happy/0001 Happy\n", "Action/Sad/0001 Sad\n")
        touch(tmp_path, "2_ClipsforFaceCrop/Action/Happy/0001/0.jpg", "2_ClipsforFaceCrop/Action/Sad/0001/0.jpg")
        dataset = read_dataset("ferv39k", tmp_path)
        assert sources(dataset, tmp_path) == {
            "Action/Happy/0001": "2_ClipsforFaceCrop/Action/Happy/0001",
            "War/Happy/0001": None,
            "Action/Sad/0001": "2_ClipsforFaceCrop/Action/Sad/0001",
        }
        assert [clip.aligned for clip in dataset.clips] == [True, False, True]

    @pytest.mark.parametrize(
        "row",
        [
            pytest.param("Action/Happy/0001,3", id="alphabetical"),
            pytest.param("Action/Happy/0001 3", id="alphabetical-space"),
            pytest.param("2_ClipsforFaceCrop/Action/Happy/0001,3", id="prefix"),
            pytest.param("Action\\Happy\\1.mp4, 3", id="windows-unpadded-suffix"),
            pytest.param("/data/FERV39k/Action/happy/0001,3", id="absolute"),
        ],
    )
    def test_alphabetical_numbers_are_checked_against_the_path_and_reported(self, tmp_path: Path, row: str) -> None:
        write_ferv39k(tmp_path, row + "\n", "War/Surprise/0002,6\nWar/Angry/0003,0\n")
        dataset = read_dataset("ferv39k", tmp_path)
        assert [(clip.clip_id, clip.label_name) for clip in dataset.clips] == [
            ("Action/Happy/0001", "happy"),
            ("War/Surprise/0002", "surprise"),
            ("War/Angry/0003", "angry"),
        ]
        notice(dataset, "number the emotions in alphabetical order")

    def test_names_need_no_notice_about_numbers(self, tmp_path: Path) -> None:
        write_ferv39k(tmp_path, "Action/Happy/0001 Happy\n", "War/Sad/0002 sadness\n")
        assert not any("alphabetical" in line for line in read_dataset("ferv39k", tmp_path).notices)

    @pytest.mark.parametrize(
        ("row", "what"),
        [
            pytest.param("Action/Happy/0001,0", "the path says happy, the label '0' means angry", id="dfew-order"),
            pytest.param("Action/Happy/0001,4", "the path says happy, the label '4' means neutral", id="from-1"),
            pytest.param("Action/Happy/0001,9", "the label '9' means nothing", id="number-outside"),
            pytest.param("Action/Happy/0001 Sad", "the path says happy, the label 'Sad' means sad", id="other-name"),
            pytest.param("Action/Happy/0001 Bored", "the label 'Bored' means nothing", id="unknown-name"),
            pytest.param("Happy/0001 Happy", "expected Scene/Emotion/0001", id="no-scene"),
            pytest.param("Action/Bored/0001 Happy", "expected Scene/Emotion/0001", id="path-without-emotion"),
            pytest.param("Action/Happy/0001", "expected two fields", id="no-label"),
        ],
    )
    def test_labels_that_contradict_the_path_are_refused(self, tmp_path: Path, row: str, what: str) -> None:
        write_ferv39k(tmp_path, f"Action/Sad/0001 Sad\n{row}\n", "War/Sad/0002 Sad\n")
        with pytest.raises(DataError, match=what) as caught:
            read_dataset("ferv39k", tmp_path)
        assert str(caught.value.where).endswith("train_All.csv, line 2")

    @pytest.mark.parametrize(
        ("file", "aligned"),
        [
            pytest.param("2_ClipsforFaceCrop/Action/Happy/0001/0.jpg", True, id="official"),
            pytest.param("2_ClipsforFaceCrop-002/2_ClipsforFaceCrop/Action/Happy/0001/0.jpg", True, id="nested"),
            pytest.param("2_ClipsforFaceCrop/Action/happy/1/0.jpg", True, id="unpadded"),
            pytest.param("crops of mine/Action/Happy/0001/0.jpg", True, id="renamed"),
            pytest.param("3_ClipsforScenImages/Action/Happy/0001/0.jpg", False, id="scene"),
            pytest.param("videos/Action/Happy/0001.mp4", False, id="video"),
        ],
    )
    def test_each_form_is_found(self, tmp_path: Path, file: str, aligned: bool) -> None:
        write_ferv39k(tmp_path, "Action/Happy/0001 Happy\n", "War/Sad/0002 Sad\n")
        touch(tmp_path, file)
        clip = read_dataset("ferv39k", tmp_path).clips[0]
        path = tmp_path / file
        assert clip.source == (path if path.suffix == ".mp4" else path.parent)
        assert clip.aligned is aligned

    def test_crops_come_before_whole_scenes(self, tmp_path: Path) -> None:
        write_ferv39k(tmp_path, "Action/Happy/0001 Happy\n", "War/Sad/0002 Sad\n")
        touch(tmp_path, "2_ClipsforFaceCrop/Action/Happy/0001/0.jpg", "1_Scenes/Action/Happy/0001/0.jpg")
        assert sources(read_dataset("ferv39k", tmp_path), tmp_path)["Action/Happy/0001"] == (
            "2_ClipsforFaceCrop/Action/Happy/0001"
        )

    def test_a_renamed_folder_is_reported_once(self, tmp_path: Path) -> None:
        write_ferv39k(tmp_path, "Action/Happy/0001 Happy\n", "War/Sad/0002 Sad\n")
        touch(tmp_path, "jpg/Action/Happy/0001/0.jpg", "jpg/War/Sad/0002/0.jpg")
        notice(read_dataset("ferv39k", tmp_path), "jpg is not an official folder name")

    def test_only_the_scenes_folder_in_raw(self, tmp_path: Path) -> None:
        write_ferv39k(tmp_path / "lists", "Action/Happy/0001 Happy\n", "War/Sad/0002 Sad\n")
        touch(tmp_path, "2_ClipsforFaceCrop/Action/Happy/0001/0.jpg")
        dataset = read_dataset("ferv39k", tmp_path)
        assert sources(dataset, tmp_path)["Action/Happy/0001"] == "2_ClipsforFaceCrop/Action/Happy/0001"
        assert not any("no official folder name" in line for line in dataset.notices)

    @pytest.mark.parametrize("folder", ["daily life/happy/0001", "DailyLife/HAPPY/0001", "daily_life/happiness/1"])
    def test_scenes_in_other_spellings(self, tmp_path: Path, folder: str) -> None:
        write_ferv39k(tmp_path, "Daily Life/Happy/0001 Happy\n", "War/Sad/0002 Sad\n")
        touch(tmp_path, f"2_clipsforfacecrop/{folder}/0.jpg")
        dataset = read_dataset("ferv39k", tmp_path)
        assert sources(dataset, tmp_path)["Daily Life/Happy/0001"] == f"2_clipsforfacecrop/{folder}"
        assert dataset.clips[1].missing == (
            "no 2_ClipsforFaceCrop/War/Sad/0002 in this or another form; "
            f"the nearest clip that exists is 2_clipsforfacecrop/{folder}"
        )

    def test_other_forms_are_kept_for_a_broken_one(self, tmp_path: Path) -> None:
        write_ferv39k(tmp_path, "Action/Happy/0001 Happy\n", "War/Sad/0002 Sad\n")
        touch(tmp_path, "1_Videos/Action/Happy/0001.mp4", "2_ClipsforFaceCrop/Action/Happy/0001/0.jpg")
        clip = read_dataset("ferv39k", tmp_path).clips[0]
        assert clip.source == tmp_path / "2_ClipsforFaceCrop/Action/Happy/0001"
        assert clip.others == (OtherForm(tmp_path / "1_Videos/Action/Happy/0001.mp4", aligned=False),)


class TestMafw:
    @pytest.mark.parametrize(
        ("file", "found", "aligned"),
        [
            pytest.param("data/clips/00001.mp4", "data/clips/00001.mp4", False, id="videos"),
            pytest.param("data/frames/00001/a.png", "data/frames/00001", False, id="frames"),
            pytest.param("data/faces/00001/a.png", "data/faces/00001", True, id="faces"),
            pytest.param("clips_faces/00001/a.jpg", "clips_faces/00001", True, id="clips-faces"),
            pytest.param("data/frames/frames_crop_align_224/00001/a.jpg", None, True, id="crops-in-frames"),
            pytest.param("data/frames/1/a.png", "data/frames/1", False, id="unpadded"),
        ],
    )
    def test_each_form_is_found(self, tmp_path: Path, file: str, found: str | None, aligned: bool) -> None:
        write_mafw(tmp_path)
        touch(tmp_path, file)
        dataset = read_dataset("mafw", tmp_path)
        assert sources(dataset, tmp_path)["00001"] == (found or file.rpartition("/")[0])
        assert dataset.clips[0].aligned is aligned
        assert (dataset.clips[0].label_name, dataset.clips[1].label_name) == ("angry", "anxiety")

    def test_the_archive_s_own_folder_names(self, tmp_path: Path) -> None:
        write_mafw(tmp_path)
        (tmp_path / "split").rename(tmp_path / "Train & Test Set")
        assert len(read_dataset("mafw", tmp_path).clips) == 2

    def test_compound_lists_are_ignored(self, tmp_path: Path) -> None:
        write_mafw(tmp_path)
        write(tmp_path / "split/compound/no_caption/set_1/train.txt", "00003.mp4 anger_disgust\n")
        assert len(read_dataset("mafw", tmp_path).clips) == 2

    @pytest.mark.parametrize(
        ("row", "what"),
        [
            pytest.param("00001.mp4 0", "the label is the number 0, which is ambiguous", id="number"),
            pytest.param("00001.mp4 bored", "unknown emotion 'bored'", id="unknown"),
            pytest.param("clip.mp4 anger", "expected 00001.mp4 and an emotion", id="name"),
            pytest.param("00001.mp4", "expected two fields", id="no-label"),
        ],
    )
    def test_labels_must_be_names(self, tmp_path: Path, row: str, what: str) -> None:
        write_mafw(tmp_path, train=f"00003.mp4 anger\n{row}\n")
        with pytest.raises(DataError, match=what) as caught:
            read_dataset("mafw", tmp_path)
        assert str(caught.value.where).endswith("train.txt, line 2")
