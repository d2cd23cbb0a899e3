"""Data sets without lists, whose names say what each clip is: RAVDESS, CREMA-D, eNTERFACE'05, AFEW, CAER."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

import pytest

from dfer.datasets import RawDataset, read_dataset
from dfer.datasets.ravdess import _performances
from dfer.errors import DataError
from dfer.labels import CREMA_D_LABELS, DFEW_LABELS, ENTERFACE_LABELS, RAVDESS_LABELS
from dfer.records import OtherForm
from tests.unit.datasets.raw_datasets import notice, sources, touch, write

JUNK = ("__MACOSX/Actor_01/._01-01-01-01-01-01-01.mp4", "Actor_01/.DS_Store", "@eaDir/x.mp4", "Thumbs.db")
SPEECH = [f"01-{clip.clip_id}" for clip in _performances() if clip.clip_id.startswith("01")]
SONG = [f"01-{clip.clip_id}" for clip in _performances() if clip.clip_id.startswith("02")]


def labels_of(dataset: RawDataset) -> dict[str, str]:
    return {clip.clip_id: clip.label_name for clip in dataset.clips}


def require_disjoint(dataset: RawDataset, num_folds: int = 5) -> None:
    """Check that each subject is tested in one fold, and trained on in all others."""
    assert dataset.num_folds == num_folds
    tested: dict[str, set[int]] = defaultdict(set)
    for clip in dataset.clips:
        assert clip.subject
        assert sorted(clip.folds) == list(range(1, num_folds + 1))
        tested[clip.subject] |= {fold for fold, split in clip.folds.items() if split == "test"}
    assert {len(folds) for folds in tested.values()} == {1}


class TestRavdess:
    def test_the_whole_data_set(self, tmp_path: Path) -> None:
        for name in (*SPEECH, *SONG):
            touch(tmp_path, f"Actor_{name[-2:]}/{name}.mp4", f"Actor_{name[-2:]}/02{name[2:]}.mp4")
        dataset = read_dataset("ravdess", tmp_path)
        assert dataset.labels == RAVDESS_LABELS
        assert (len(SPEECH), len(SONG), len(dataset.clips)) == (1440, 1012, 2452)
        assert Counter(clip.label_name for clip in dataset.clips) == {
            "neutral": 188, "calm": 376, "happy": 376, "sad": 376, "angry": 376, "fear": 376, "disgust": 192,
            "surprise": 192,
        }  # fmt: skip
        require_disjoint(dataset)
        sizes = Counter(fold for clip in dataset.clips for fold, split in clip.folds.items() if split == "test")
        assert max(sizes.values()) - min(sizes.values()) <= 104  # of one actor
        assert [line for line in dataset.notices if "subjects" not in line] == []

    @pytest.mark.parametrize(
        "folder",
        [
            pytest.param("Actor_{actor}", id="unpacked together"),
            pytest.param("Video_Speech_Actor_{actor}/Actor_{actor}", id="unpacked by archive"),
            pytest.param("RAVDESS/video/ACTOR {actor}", id="renamed"),
            pytest.param(".", id="flat"),
        ],
    )
    def test_names_count_and_not_folders(self, folder: str, tmp_path: Path) -> None:
        for name in ("01-01-02-01-02-01-12", "02-01-08-02-01-01-07", "01-02-06-01-01-01-07"):
            touch(tmp_path, f"{folder.format(actor=name[-2:])}/{name}.MP4")
        found = {clip.clip_id: clip for clip in read_dataset("ravdess", tmp_path).clips if clip.source}
        assert {name: (clip.label_name, clip.subject) for name, clip in found.items()} == {
            "01-02-01-02-01-12": ("calm", "12"),
            "01-08-02-01-01-07": ("surprise", "07"),
            "02-06-01-01-01-07": ("fear", "07"),
        }

    def test_with_and_without_sound_is_one_performance(self, tmp_path: Path) -> None:
        touch(tmp_path, "Actor_01/02-01-05-01-02-01-01.mp4", "Actor_01/01-01-05-01-02-01-01.mp4")
        touch(tmp_path, "Actor_01/02-01-04-01-02-01-01.mp4", "copy/01-01-05-01-02-01-01.mp4")
        dataset = read_dataset("ravdess", tmp_path)
        by_id = {clip.clip_id: clip for clip in dataset.clips if clip.source}
        assert by_id["01-05-01-02-01-01"].source == tmp_path / "Actor_01/01-01-05-01-02-01-01.mp4"
        assert by_id["01-05-01-02-01-01"].others == (OtherForm(tmp_path / "Actor_01/02-01-05-01-02-01-01.mp4"),)
        assert by_id["01-04-01-02-01-01"].source == tmp_path / "Actor_01/02-01-04-01-02-01-01.mp4"
        notice(dataset, "clips found more than once: 1, such as Actor_01/01-01-05-01-02-01-01.mp4")

    def test_missing_files_have_a_row_and_actors_that_are_not_there_none(self, tmp_path: Path) -> None:
        names = [name for name in SPEECH if name.endswith("-01")]
        touch(tmp_path, *(f"Actor_01/{name}.mp4" for name in names[3:]))
        dataset = read_dataset("ravdess", tmp_path)
        assert len(dataset.clips) == 60
        lost = [clip for clip in dataset.clips if clip.source is None]
        assert [f"01-{clip.clip_id}" for clip in lost] == names[:3]
        assert lost[0].missing == f"no Actor_01/{names[0]}.mp4 in this or another form"
        notice(dataset, "missing recordings of these actors: 3")
        notice(dataset, "speech: 1 of 24 actors are on disk, not 02, 03, 04, 05, 06, 07 and 17 more")
        notice(dataset, "song: 0 of 23 actors are on disk")

    def test_the_folds_do_not_depend_on_what_is_there(self, tmp_path: Path) -> None:
        touch(tmp_path / "one", "01-01-01-01-01-01-07.mp4")
        for name in SPEECH:
            touch(tmp_path / "all", f"{name}.mp4")
        one = read_dataset("ravdess", tmp_path / "one").clips[0]
        same = next(c for c in read_dataset("ravdess", tmp_path / "all").clips if c.subject == "07")
        assert one.folds == same.folds

    def test_archives_sounds_and_junk(self, tmp_path: Path) -> None:
        touch(tmp_path, *JUNK, "Video_Speech_Actor_02.zip", "Actor_01/03-01-01-01-01-01-01.wav")
        touch(tmp_path, "Actor_01/01-01-01-01-01-01-01.mp4", "Actor_01/demo.mp4", "Actor_01/01-01-09-01-01-01-01.mp4")
        touch(tmp_path, "Actor_99/01-01-01-01-01-01-99.mp4")
        dataset = read_dataset("ravdess", tmp_path)
        assert [clip.clip_id for clip in dataset.clips if clip.source] == ["01-01-01-01-01-01"]
        notice(dataset, "names are not those of RAVDESS: 3, such as Actor_01/01-01-09-01-01-01-01.mp4")
        assert "1 .zip (such as Video_Speech_Actor_02.zip)" in notice(dataset, "files left out")

    def test_frames(self, tmp_path: Path) -> None:
        touch(tmp_path, "frames/01-01-03-01-01-01-01/0001.png", "frames/01-01-03-01-01-01-01/0002.png")
        clip = next(clip for clip in read_dataset("ravdess", tmp_path).clips if clip.source)
        assert (clip.clip_id, clip.aligned) == ("01-03-01-01-01-01", False)

    def test_archives_only(self, tmp_path: Path) -> None:
        touch(tmp_path, "Video_Speech_Actor_01.zip", "Video_Song_Actor_01.zip")
        with pytest.raises(DataError, match=r"no clips of RAVDESS.*2 \.zip") as caught:
            read_dataset("ravdess", tmp_path)
        assert "archives must be unpacked first" in str(caught.value.hint)


class TestCremaD:
    def test_names(self, tmp_path: Path) -> None:
        touch(tmp_path, "VideoFlash/1001_DFA_ANG_XX.flv", "VideoFlash/1091_IEO_HAP_HI.FLV", "mp4/1002_iwl_neu_x.mp4")
        dataset = read_dataset("crema-d", tmp_path)
        assert dataset.labels == CREMA_D_LABELS
        assert {clip.clip_id: (clip.label_name, clip.subject) for clip in dataset.clips} == {
            "1001_DFA_ANG_XX": ("angry", "1001"),
            "1002_IWL_NEU_X": ("neutral", "1002"),
            "1091_IEO_HAP_HI": ("happy", "1091"),
        }
        require_disjoint(dataset)
        notice(dataset, "not the whole data set: 3 clips in all, officially 7,442; happy 1, officially 1,271")
        notice(dataset, "no SentenceFilenames.csv")

    def test_folds_of_all_actors_are_even(self, tmp_path: Path) -> None:
        touch(tmp_path, *(f"{actor}_DFA_ANG_XX.flv" for actor in range(1001, 1092)))
        dataset = read_dataset("crema-d", tmp_path)
        require_disjoint(dataset)
        sizes = Counter(fold for clip in dataset.clips for fold, split in clip.folds.items() if split == "test")
        assert sorted(sizes.values()) == [18, 18, 18, 18, 19]

    @pytest.mark.parametrize("place", ["SentenceFilenames.csv", "CREMA-D-master/SentenceFilenames.csv"])
    def test_the_list_gives_every_clip_a_row(self, place: str, tmp_path: Path) -> None:
        write(tmp_path / place, '"Stimulus_Number","Filename"\n1,"1001_DFA_ANG_XX"\n2,"1001_DFA_SAD_XX"\n')
        touch(tmp_path, "CREMA-D-master/VideoFlash/1001_DFA_ANG_XX.flv")
        dataset = read_dataset("crema-d", tmp_path)
        assert {clip.clip_id: clip.missing for clip in dataset.clips} == {
            "1001_DFA_ANG_XX": "",
            "1001_DFA_SAD_XX": "no VideoFlash/1001_DFA_SAD_XX.flv in this or another form",
        }

    def test_the_original_comes_before_a_conversion_and_frames(self, tmp_path: Path) -> None:
        names = ("frames/1001_DFA_ANG_XX/1.jpg", "mp4/1001_DFA_ANG_XX.mp4", "VideoFlash/1001_DFA_ANG_XX.flv")
        touch(tmp_path, *names)
        (clip,) = read_dataset("crema-d", tmp_path).clips
        assert clip.source == tmp_path / names[2]
        assert clip.others == (OtherForm(tmp_path / names[1]), OtherForm(tmp_path / "frames/1001_DFA_ANG_XX"))

    def test_sounds_only(self, tmp_path: Path) -> None:
        touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
        with pytest.raises(DataError, match=r"no clips of CREMA-D.*1 \.wav"):
            read_dataset("crema-d", tmp_path)

    def test_pointers_of_git_lfs(self, tmp_path: Path) -> None:
        text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        write(tmp_path / "VideoFlash/1001_DFA_ANG_XX.flv", text)
        with pytest.raises(DataError, match="are pointers of Git LFS") as caught:
            read_dataset("crema-d", tmp_path)
        assert "git lfs pull" in str(caught.value.hint)
        touch(tmp_path, "VideoFlash/1001_DFA_SAD_XX.flv")
        notice(read_dataset("crema-d", tmp_path), "some files are pointers of Git LFS")


class TestEnterface:
    def test_names(self, tmp_path: Path) -> None:
        touch(
            tmp_path,
            "enterface database/subject 1/anger/sentence 1/s1_an_1.avi",
            "enterface database/subject 1/happiness/sentence 2/s1_ha_2.avi",
            "enterface database/subject 3/sadness/sentence 5/s_3_sa_5.avi",
            "enterface database/subject 6/surprise/s6_su_4.avi",  # has no folders of sentences
            "enterface database/Subject 10/Fear/Sentence 1/S10_FE_1.AVI",
            "enterface database/subject 1/Thumbs.db",
        )
        dataset = read_dataset("enterface", tmp_path)
        assert dataset.labels == ENTERFACE_LABELS
        assert labels_of(dataset) == {
            "subject 1/anger/sentence 1": "angry",
            "subject 1/happiness/sentence 2": "happy",
            "subject 3/sadness/sentence 5": "sad",
            "subject 6/surprise/sentence 4": "surprise",
            "subject 10/fear/sentence 1": "fear",
        }
        assert [clip.subject for clip in dataset.clips][-1] == "subject 10"
        require_disjoint(dataset)
        notice(dataset, "not the whole archive: 5 of 1,293 clips, 4 of 44 subjects")
        assert not any("contradict" in line for line in dataset.notices)

    @pytest.mark.parametrize("name", ["s1_an_1.avi", "all/S1_an_1.avi", "subject-1/anger/sentence-1/x.avi"])
    def test_other_structures(self, name: str, tmp_path: Path) -> None:
        touch(tmp_path, name)
        (clip,) = read_dataset("enterface", tmp_path).clips
        assert (clip.clip_id, clip.subject, clip.label_name) == ("subject 1/anger/sentence 1", "subject 1", "angry")

    def test_folders_count_where_names_contradict_them(self, tmp_path: Path) -> None:
        touch(tmp_path, "subject 11/fear/sentence 4/s12_fe_4.avi", "subject 12/fear/sentence 4/s12_fe_4.avi")
        dataset = read_dataset("enterface", tmp_path)
        assert [clip.clip_id for clip in dataset.clips] == ["subject 11/fear/sentence 4", "subject 12/fear/sentence 4"]
        notice(dataset, "names that contradict their folders, which count: 1, such as subject 11/fear/sentence 4/s12")

    def test_two_files_of_a_sentence_and_strays(self, tmp_path: Path) -> None:
        folder = "subject 2/disgust/sentence 3"
        touch(tmp_path, f"{folder}/a.avi", f"{folder}/b.avi", "subject 2/trailer.avi", "subject 45/anger/s45_an_1.avi")
        dataset = read_dataset("enterface", tmp_path)
        assert sources(dataset, tmp_path) == {folder: f"{folder}/a.avi"}
        notice(dataset, "clips found more than once: 1")
        notice(dataset, "names are not those of eNTERFACE'05: 2")

    def test_all_subjects(self, tmp_path: Path) -> None:
        grid = product(range(1, 45), ("anger", "disgust", "fear", "happiness", "sadness", "surprise"), range(1, 6))
        touch(tmp_path, *(f"subject {who}/{what}/sentence {n}/x.avi" for who, what, n in grid))
        dataset = read_dataset("enterface", tmp_path)
        require_disjoint(dataset)
        assert len(dataset.clips) == 1320


AFEW_TRAIN = {"Angry": 133, "Disgust": 74, "Fear": 81, "Happy": 150, "Neutral": 144, "Sad": 117, "Surprise": 74}
AFEW_VAL = {"Angry": 64, "Disgust": 40, "Fear": 46, "Happy": 63, "Neutral": 63, "Sad": 61, "Surprise": 46}


class TestAfew:
    def test_the_whole_data_set(self, tmp_path: Path) -> None:
        for folder, counts in (("Train_AFEW", AFEW_TRAIN), ("Val_AFEW", AFEW_VAL)):
            touch(tmp_path, *(f"{folder}/{name}/{n:09d}.avi" for name, count in counts.items() for n in range(count)))
        touch(tmp_path, "Test_AFEW/000000001.avi", "Test_AFEW/000000002.avi")
        dataset = read_dataset("afew", tmp_path)
        assert dataset.labels == DFEW_LABELS
        assert Counter(clip.folds[1] for clip in dataset.clips) == {"train": 773, "test": 383}
        notice(dataset, "test clips without a label, left out: 2")
        notice(dataset, "the validation clips are the test list")
        assert not any("official" in line for line in dataset.notices)

    @pytest.mark.parametrize(
        "paths",
        [
            pytest.param(("Train_AFEW/{}/1.avi", "Val_AFEW/{}/1.avi"), id="official"),
            pytest.param(("AFEW/Train_AFEW/Train_AFEW/{}/1.avi", "AFEW/Val_AFEW/Val_AFEW/{}/1.avi"), id="zipped twice"),
            pytest.param(("train/{}/1/0.png", "VALIDATION/{}/1/0.png"), id="frames"),
        ],
    )
    @pytest.mark.parametrize("spelling", ["Angry", "angry", "Anger"])
    def test_layouts(self, paths: tuple[str, str], spelling: str, tmp_path: Path) -> None:
        touch(tmp_path, *(path.format(spelling) for path in paths), "__MACOSX/Train_AFEW/Angry/._1.avi")
        dataset = read_dataset("afew", tmp_path)
        assert [(clip.label_name, clip.folds) for clip in dataset.clips] == [
            ("angry", {1: "train"}),
            ("angry", {1: "test"}),
        ]
        notice(dataset, "not the official split sizes: 2 clips in all, officially 1,156")

    def test_face_crops_beside_videos(self, tmp_path: Path) -> None:
        crops = "Train_AFEW/AlignedFaces_LBPTOP_Points/AlignedFaces_LBPTOP_Points/Sad"
        touch(tmp_path, "Train_AFEW/Sad/7.avi", f"{crops}/7/0001.jpg", f"{crops}/8/0001.jpg")
        dataset = read_dataset("afew", tmp_path)
        both, only = dataset.clips
        assert both.source == tmp_path / "Train_AFEW/Sad/7.avi"
        assert both.others == (OtherForm(tmp_path / crops / "7", aligned=True),)
        assert only.aligned
        notice(dataset, "forms are mixed")

    def test_labelled_test_clips_leave_validation_as_it_is(self, tmp_path: Path) -> None:
        touch(tmp_path, *(f"{split}_AFEW/Sad/1.avi" for split in ("Train", "Val", "Test")))
        assert [clip.folds[1] for clip in read_dataset("afew", tmp_path).clips] == ["test", "train", "val"]

    def test_classes_without_a_split(self, tmp_path: Path) -> None:
        touch(tmp_path, "Angry/1.avi")
        with pytest.raises(DataError, match="no clips of AFEW: looked for Train_AFEW"):
            read_dataset("afew", tmp_path)


class TestCaer:
    def test_official_split(self, tmp_path: Path) -> None:
        touch(tmp_path, *(f"CAER/{split}/Anger/0001.avi" for split in ("train", "validation", "test")))
        touch(tmp_path, "CAER/train/Surprise/0001.avi", "CAER/README.txt", "CAER/extra/0001.avi")
        dataset = read_dataset("caer", tmp_path)
        assert {clip.clip_id: (clip.label_name, clip.folds) for clip in dataset.clips} == {
            "test/Anger/0001": ("angry", {1: "test"}),
            "train/Anger/0001": ("angry", {1: "train"}),
            "train/Surprise/0001": ("surprise", {1: "train"}),
            "val/Anger/0001": ("angry", {1: "val"}),
        }
        notice(dataset, "clips on disk: train 2, val 1, test 1")
        notice(dataset, "names are not those of CAER: 1, such as CAER/extra/0001.avi")

    def test_a_missing_list_is_reported(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/Happy/0001.avi", "train/Sad/0001.avi")
        dataset = read_dataset("caer", tmp_path)
        notice(dataset, "there is no folder of val clips")
        notice(dataset, "there is no folder of test clips")

    def test_the_stills_of_caer_s_are_no_clips(self, tmp_path: Path) -> None:
        touch(tmp_path, "train/Happy/0001.png", "test/Happy/0001.png")
        with pytest.raises(DataError, match="no clips of CAER"):
            read_dataset("caer", tmp_path)
