"""What the structure of folders says: sequences or stills, classes or subjects, and the user's decisions."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from dfer.datasets import FolderOptions, RawDataset, read_dataset
from dfer.datasets.folder.options import parse_names
from dfer.errors import DataError, UsageError
from tests.unit.datasets.raw_datasets import notice, touch, write


def ids(dataset: RawDataset) -> list[str]:
    return [clip.clip_id for clip in dataset.clips]


class TestSequences:
    @pytest.mark.parametrize(
        "tree",
        [
            pytest.param("{subject}/{label}", id="oulu-casia"),
            pytest.param("OriginalImg/VL/Strong/{subject}/{label}", id="oulu-casia in its archive"),
            pytest.param("train/{subject}/{label}", id="within a split"),
        ],
    )
    @pytest.mark.parametrize("name", ["{:03d}.jpeg", "frame{}.png", "{:.2f}.jpg"])
    def test_images_below_subject_and_class_are_the_frames_of_one_clip(
        self, tree: str, name: str, tmp_path: Path
    ) -> None:
        folders = [
            tree.format(subject=who, label=label) for who in ("P001", "P002") for label in ("Anger", "Happiness")
        ]
        touch(tmp_path, *(f"{folder}/{name.format(n)}" for folder in folders for n in range(5)))
        dataset = read_dataset("folder", tmp_path)
        assert ids(dataset) == folders
        assert [clip.subject for clip in dataset.clips] == ["P001", "P001", "P002", "P002"]
        assert [clip.source for clip in dataset.clips] == [tmp_path / folder for folder in folders]
        assert "--images still" in notice(dataset, "each folder of a class is one clip")

    @pytest.mark.parametrize("name", ["{:03d}.jpeg", "img_{}.png", "{}.tiff"])
    def test_images_in_a_class_are_stills(self, name: str, tmp_path: Path) -> None:
        touch(tmp_path, *(f"{label}/{name.format(n)}" for label in ("happy", "sad") for n in range(3)))
        dataset = read_dataset("folder", tmp_path)
        assert len(dataset.clips) == 6
        assert "--images sequence" in notice(dataset, "a clip of one still: 6 images")

    @pytest.mark.parametrize(
        "names", [("a.jpg", "b.jpg", "c.jpg"), ("KA.AN1.39.jpg", "KA.AN2.40.jpg"), ("10.jpg", "99.jpg", "731.jpg")]
    )
    def test_images_below_a_subject_that_are_not_counted_are_stills(
        self, names: tuple[str, ...], tmp_path: Path
    ) -> None:
        touch(
            tmp_path, *(f"{who}/{label}/{name}" for who in ("KA", "KL") for label in ("sad", "fear") for name in names)
        )
        dataset = read_dataset("folder", tmp_path)
        assert len(dataset.clips) == 4 * len(names)
        notice(dataset, "a clip of one still")

    def test_the_user_decides(self, tmp_path: Path) -> None:
        touch(
            tmp_path, *(f"{who}/{label}/{n}.jpg" for who in ("P1", "P2") for label in ("sad", "fear") for n in range(3))
        )
        stills = read_dataset("folder", tmp_path, options=FolderOptions(images="still"))
        assert len(stills.clips) == 12
        touch(tmp_path / "b", "sad/1.jpg", "sad/x.jpg", "fear/1.jpg")
        sequences = read_dataset("folder", tmp_path / "b", options=FolderOptions(images="sequence"))
        assert ids(sequences) == ["fear", "sad"]
        assert not any("--images" in line for line in [*stills.notices, *sequences.notices])

    def test_sessions_with_labels_from_a_table_as_in_ck(self, tmp_path: Path) -> None:
        touch(tmp_path, *(f"images/S010/00{s}/S010_00{s}_0000000{n}.png" for s in (2, 4) for n in range(1, 4)))
        write(
            tmp_path / "labels.csv", "path,label,subject\nimages/S010/002,surprise,S010\nimages/S010/004,anger,S010\n"
        )
        dataset = read_dataset("folder", tmp_path)
        assert [clip.source for clip in dataset.clips] == [tmp_path / "images/S010/002", tmp_path / "images/S010/004"]

    def test_sessions_without_labels_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "S010/002/1.png", "S010/004/1.png", "S011/001/1.png")
        with pytest.raises(DataError, match="no folder names the class: S010, S011 look like subjects") as caught:
            read_dataset("folder", tmp_path)
        assert "labels.csv" in str(caught.value.hint)


class TestClasses:
    @pytest.mark.parametrize(
        ("folders", "labels"),
        [
            pytest.param(("Happy", "happy", "Pain"), ("Pain", "happy"), id="case beside an unknown class"),
            pytest.param(("Pain", "PAIN", "No Pain"), ("No Pain", "Pain"), id="case of unknown classes"),
            pytest.param(("caf\u00e9", "cafe\u0301", "tea"), ("caf\u00e9", "tea"), id="forms of Unicode"),
            pytest.param(("anger", "Angry", "Pain"), ("Pain", "angry"), id="two words for an emotion"),
        ],
    )
    def test_spellings_are_one_class_and_reported(
        self, folders: tuple[str, ...], labels: tuple[str, ...], tmp_path: Path
    ) -> None:
        touch(tmp_path, *(f"{folder}/{n}.mp4" for n, folder in enumerate(folders)), f"{folders[0]}/9.mp4")
        dataset = read_dataset("folder", tmp_path)
        assert dataset.labels == labels
        notice(dataset, "become one class")

    @pytest.mark.parametrize("folders", [("1", "2"), ("0", "1.0"), ("-1", "1"), ("01", "happy"), ("\u2460", "\u2461")])
    def test_folders_that_are_numbers_need_names(self, folders: tuple[str, ...], tmp_path: Path) -> None:
        touch(tmp_path, *(f"{folder}/1.mp4" for folder in folders))
        with pytest.raises(DataError, match="folders that are numbers do not say which class they are") as caught:
            read_dataset("folder", tmp_path)
        assert "--labels 1=happy,2=sad" in str(caught.value.hint)

    @pytest.mark.parametrize("label", ["0", "0.0", "-1", "1e0", "1,0", "\u0663", "nan"])
    def test_labels_that_are_numbers_need_names(self, label: str, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", f"path;label\na.mp4;happy\nb.mp4;{label}\n")
        with pytest.raises(DataError, match="is the number") as caught:
            read_dataset("folder", tmp_path)
        assert "line 3" in str(caught.value)
        assert "--labels" in str(caught.value.hint)

    @pytest.mark.parametrize("written", ["1", "01", "1.0"])
    def test_names_for_numbers(self, written: str, tmp_path: Path) -> None:
        options = FolderOptions(parse_names("1=Happiness, 2=sad"))
        touch(tmp_path, f"{written}/a.mp4", "2/b.mp4")
        assert read_dataset("folder", tmp_path, options=options).labels == ("happy", "sad")
        write(tmp_path / "labels.csv", f"path,label\na.mp4,{written}\nb.mp4,2\n")
        assert read_dataset("folder", tmp_path, options=options).labels == ("happy", "sad")

    @pytest.mark.parametrize("text", ["happy,sad", "1=", "=happy", "1=2", "1=happy,1.0=sad"])
    def test_names_that_cannot_be_read(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"expected CLASS=NAME|has two names"):
            parse_names(text)

    def test_names_for_a_class_that_is_not_there_or_another_data_set(self, tmp_path: Path) -> None:
        touch(tmp_path, "1/a.mp4", "2/b.mp4")
        options = FolderOptions(parse_names("1=happy,2=sad,3=fear"))
        with pytest.raises(UsageError, match="no clip has the class 3"):
            read_dataset("folder", tmp_path, options=options)
        with pytest.raises(UsageError, match="are for the data set folder, not for dfew"):
            read_dataset("dfew", tmp_path, options=options)


class TestNames:
    @pytest.mark.parametrize("name", ["\u00e9t\u00e9.mp4", "d\u00e9j\u00e0/vu.mp4", "\u1ec7/\u00fc.avi"])
    @pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
    def test_both_forms_of_unicode_match(self, name: str, on_disk: str, tmp_path: Path) -> None:
        other = "NFD" if on_disk == "NFC" else "NFC"
        there = unicodedata.normalize(on_disk, name)
        touch(tmp_path, there)
        write(tmp_path / "labels.csv", f"path,label\n{unicodedata.normalize(other, name)},happy\n")
        (clip,) = read_dataset("folder", tmp_path).clips
        assert clip.source == tmp_path / there
        assert clip.clip_id == unicodedata.normalize("NFC", name)

    def test_ids_are_composed_unless_two_files_differ_in_nothing_else(self, tmp_path: Path) -> None:
        touch(tmp_path, "happy/e\u0301.mp4", "happy/a\u0300.mp4", "sad/\u00e0.mp4", "sad/a\u0300.mp4")
        found = ids(read_dataset("folder", tmp_path))
        assert set(found) > {"happy/\u00e9.mp4", "happy/\u00e0.mp4"}
        assert len(set(found)) == 4

    @pytest.mark.parametrize("name", ["\u2460.jpg", "\u0661.png", "\u00bd.jpg", "\u2468\u2460.tiff"])
    def test_odd_digits(self, name: str, tmp_path: Path) -> None:
        touch(tmp_path, f"happy/{name}", f"sad/clip/{name}", "sad/clip/2.jpg")
        assert len(read_dataset("folder", tmp_path).clips) == 2

    @pytest.mark.parametrize(
        ("written", "there", "near"),
        [
            pytest.param("videos/1.mp4", "videos/1.MP4", "the nearest that exists is videos/1.MP4", id="case"),
            pytest.param("videos/1.mp4", "videos/00001.avi", "the nearest that exists is videos/00001.avi", id="form"),
            pytest.param("videos/anna_happy.mp4", "videos/anna_hapy.mp4", "videos/anna_hapy.mp4", id="slip"),
            pytest.param("vids/1.mp4", "videos/1.mp4", "the nearest that exists is videos/1.mp4", id="folder"),
            pytest.param("A/B/c.mp4", "a/b/d/c.mp4", "the nearest that exists is a/b", id="folders"),
            pytest.param("videos/x/y/1.mp4", "videos/2.mp4", "of this path, videos exists", id="folder missing"),
            pytest.param("frames/1", "frames/1/notes.txt", "no images in the folder frames/1", id="empty folder"),
        ],
    )
    def test_missing_names_the_path_and_the_nearest(self, written: str, there: str, near: str, tmp_path: Path) -> None:
        touch(tmp_path, there)
        write(tmp_path / "labels.csv", f"path,label\n{written},happy\n")
        (clip,) = read_dataset("folder", tmp_path).clips
        assert clip.source is None
        assert written in clip.missing
        assert near in clip.missing

    @pytest.mark.parametrize(
        ("written", "there", "source"),
        [
            pytest.param('" a.mp4"', [" a.mp4"], " a.mp4", id="quoted"),
            pytest.param(" a.mp4", [" a.mp4"], " a.mp4", id="before"),
            pytest.param("a.mp4 ", ["a.mp4 "], "a.mp4 ", id="after"),
            pytest.param(" a.mp4 ", ["a.mp4"], "a.mp4", id="of the table"),
            pytest.param('" a.mp4"', [" a.mp4", "a.mp4"], " a.mp4", id="both, quoted"),
            pytest.param("a.mp4", [" a.mp4", "a.mp4"], "a.mp4", id="both, without"),
            pytest.param("d/a.mp4", ["d /a.mp4"], "d /a.mp4", id="of a folder"),
            pytest.param("a.mp4", [" a.mp4", "a.mp4 "], None, id="two that differ in them only"),
        ],
    )
    def test_spaces_around_a_name(self, written: str, there: list[str], source: str | None, tmp_path: Path) -> None:
        touch(tmp_path, *there)
        write(tmp_path / "labels.csv", f"path,label\n{written},happy\n")
        (clip,) = read_dataset("folder", tmp_path).clips
        assert clip.source == (source and tmp_path / source)

    @pytest.mark.parametrize("path", ["a\x00b.mp4", "x" * 300, "../" * 40 + "etc/none.mp4", "\ud800.mp4"])
    def test_paths_that_cannot_exist_are_missing(self, path: str, tmp_path: Path) -> None:
        (tmp_path / "labels.csv").write_bytes(f"path,label\n{path},happy\n".encode("utf-8", "replace"))
        (clip,) = read_dataset("folder", tmp_path).clips
        assert clip.source is None
        assert clip.missing


class TestCoverage:
    @pytest.mark.parametrize(
        ("rows", "line"),
        [
            ("a,happy,train\nb,happy,test\nc,sad,test\n", "sad has test clips but no training clips in fold 1"),
            ("a,happy,train\nb,happy,test\nc,sad,train\n", "sad has training clips but no test clips in fold 1"),
            ("a,happy,train\nb,happy,test\nc,sad,test\nd,sad,val\n", "sad has test clips but no training clips"),
        ],
    )
    def test_a_class_on_one_side_only_is_reported(self, rows: str, line: str, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", f"path,label,split\n{rows}")
        notice(read_dataset("folder", tmp_path), line)

    def test_folds_are_joined_and_whole_data_sets_are_quiet(self, tmp_path: Path) -> None:
        text = "path,label,fold_1,fold_2\na,happy,train,test\nb,happy,test,train\nc,sad,test,test\n"
        write(tmp_path / "labels.csv", text)
        notice(read_dataset("folder", tmp_path), "sad has test clips but no training clips in folds 1, 2")
        write(tmp_path / "labels.csv", "path,label,split\na,happy,train\nb,happy,test\n")
        assert not any("fold 1" in line for line in read_dataset("folder", tmp_path).notices)
