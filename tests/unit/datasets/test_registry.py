"""The registry, the official lists, and folders that are not a raw data set."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dfer.datasets import DATASETS, DatasetEntry, RawDataset, official_sizes, read_dataset
from dfer.errors import DataError, UsageError
from dfer.labels import DFEW_LABELS, FERV39K_LABELS, MAFW_LABELS
from dfer.records import IMAGE_SUFFIXES, STATUSES, VIDEO_SUFFIXES
from tests.unit.datasets.raw_datasets import DFEW_TRAIN, touch, write, write_mafw


@pytest.fixture(scope="module")
def dfew(annotations: Path) -> RawDataset:
    return read_dataset("dfew", annotations / "dfew")


@pytest.fixture(scope="module")
def ferv39k(annotations: Path) -> RawDataset:
    return read_dataset("ferv39k", annotations / "ferv39k")


@pytest.fixture(scope="module")
def mafw(annotations: Path) -> RawDataset:
    return read_dataset("mafw", annotations / "mafw")


def test_dfew_has_its_split_sizes_and_class_counts(dfew: RawDataset) -> None:
    assert dfew.labels == DFEW_LABELS
    assert len({clip.clip_id for clip in dfew.clips}) == len(dfew.clips) == 11_697
    sizes = Counter(slot for clip in dfew.clips for slot in clip.folds.items())
    assert [(sizes[fold, "train"], sizes[fold, "test"]) for fold in range(1, dfew.num_folds + 1)] == [
        (9356, 2341),
        (9356, 2341),
        (9357, 2340),
        (9358, 2339),
        (9361, 2336),
    ]
    tested = Counter(clip.label for clip in dfew.clips for split in clip.folds.values() if split == "test")
    assert [tested[label] for label in range(7)] == [2445, 1894, 2669, 2173, 1469, 145, 902]


def test_dfew_keeps_the_order_of_the_lists(dfew: RawDataset, annotations: Path) -> None:
    lines = (annotations / "dfew" / DFEW_TRAIN / "set_1.csv").read_text().split()[1:]
    assert [clip.clip_id for clip in dfew.clips[:9356]] == [line.split(",")[0] for line in lines]
    assert dfew.clips[0].label_name == "disgust"  # 2522,6


def test_ferv39k_has_its_split_sizes_and_class_counts(ferv39k: RawDataset) -> None:
    assert ferv39k.labels == FERV39K_LABELS
    assert ferv39k.num_folds == 1
    assert Counter(clip.folds[1] for clip in ferv39k.clips) == {"train": 31_088, "test": 7_847}
    assert len({clip.clip_id for clip in ferv39k.clips}) == 38_935
    assert Counter(clip.label_name for clip in ferv39k.clips if clip.folds[1] == "test") == {
        "neutral": 1958,
        "angry": 1487,
        "happy": 1473,
        "sad": 1393,
        "surprise": 638,
        "disgust": 467,
        "fear": 431,
    }


def test_mafw_has_its_split_sizes_and_class_counts(mafw: RawDataset) -> None:
    assert mafw.labels == MAFW_LABELS
    assert len({clip.clip_id for clip in mafw.clips}) == len(mafw.clips) == 9_172
    sizes = Counter(slot for clip in mafw.clips for slot in clip.folds.items())
    assert [sizes[fold, "test"] for fold in range(1, 6)] == [1839, 1837, 1833, 1832, 1831]
    assert [sizes[fold, "train"] for fold in range(1, 6)] == [7333, 7335, 7339, 7340, 7341]
    counts = Counter(clip.label_name for clip in mafw.clips)
    assert (counts["sad"], counts["angry"], counts["disappointment"]) == (1470, 1390, 182)


@pytest.mark.parametrize("name", ["dfew", "ferv39k", "mafw"])
def test_lists_only_give_every_clip_as_missing_and_one_notice(name: str, request: pytest.FixtureRequest) -> None:
    dataset: RawDataset = request.getfixturevalue(name)
    assert all(clip.source is None for clip in dataset.clips)
    assert len(dataset.notices) == 1
    assert dataset.notices[0].startswith(f"none of the {len(dataset.clips):,} clips is on disk")


def test_a_permuted_numbering_of_the_real_lists_is_refused(annotations: Path, tmp_path: Path) -> None:
    swap = {"1": "2", "2": "1"}
    for file in (annotations / "dfew").rglob("set_*.csv"):
        rows = [line.split(",") for line in file.read_text().split()]
        text = "\n".join(f"{clip},{swap.get(label, label)}" for clip, label in rows)
        write(tmp_path / file.relative_to(annotations / "dfew"), text)
    with pytest.raises(
        DataError, match="numbered in a different order: 1,894 clips are labelled happy, officially 2,445"
    ):
        read_dataset("dfew", tmp_path)


def test_the_real_lists_numbered_from_0_are_read_and_reported(annotations: Path, tmp_path: Path) -> None:
    for file in (annotations / "dfew").rglob("set_*.csv"):
        rows = [line.split(",") for line in file.read_text().split()[1:]]
        text = "\n".join(f"{clip},{int(label) - 1}" for clip, label in rows)
        write(tmp_path / file.relative_to(annotations / "dfew"), f"video_name,label\n{text}")
    dataset = read_dataset("dfew", tmp_path)
    assert Counter(clip.label_name for clip in dataset.clips)["happy"] == 2445
    assert "number the emotions 0-6" in dataset.notices[0]
    assert not any("official split sizes" in line for line in dataset.notices)


class TestRegistry:
    @pytest.mark.parametrize("name", ["dfew", "ferv39k", "mafw", "afew"])
    def test_help_and_official_sizes_agree(self, name: str) -> None:
        entry, sizes = DATASETS[name], official_sizes(name)
        assert sizes is not None
        assert f"{sizes.num_clips:,} " in entry.help
        assert f"{len(sizes.emotions)} emotions" in entry.help
        assert f"{max(fold for fold, _ in sizes.lists)} " in entry.help

    def test_sizes_are_none_where_clips_are_left_out_of_the_lists(self) -> None:
        assert official_sizes("ferplus") is official_sizes("folder") is None

    def test_the_page_of_layouts_agrees_with_the_code(self, checkout: Path) -> None:
        text = (checkout / "docs" / "data_layouts.md").read_text(encoding="utf-8").replace(",", "")
        for name in ("dfew", "ferv39k", "mafw", "afew"):
            sizes = official_sizes(name)
            assert sizes is not None
            for fold in {fold for fold, _ in sizes.lists}:
                assert f"{sizes.lists[fold, 'train']}/{sizes.lists[fold, 'test']}" in text
        words = set(text.replace("`", "").split()) | {word.rstrip(".") for word in text.split()}
        assert words >= IMAGE_SUFFIXES | VIDEO_SUFFIXES
        assert words >= set(STATUSES)

    def test_one_line_adds_a_data_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        empty = RawDataset("mine", ("happy",), [], 0, [])
        monkeypatch.setitem(DATASETS, "mine", DatasetEntry(lambda _raw, _report: empty, "my own data set"))
        assert read_dataset("mine", tmp_path) == empty
        with pytest.raises(UsageError) as caught:
            read_dataset("min", tmp_path)
        assert str(caught.value.hint).startswith("did you mean mine? known data sets: dfew")


class TestRaw:
    @pytest.mark.parametrize("name", list(DATASETS))
    def test_a_folder_that_does_not_exist(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no such folder.*looked for") as caught:
            read_dataset(name, tmp_path / "nowhere")
        assert caught.value.where == str(tmp_path / "nowhere")
        assert caught.value.hint

    @pytest.mark.parametrize("name", list(DATASETS))
    def test_an_archive_in_place_of_the_folder(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"folder.*looked for") as caught:
            read_dataset(name, write(tmp_path / "raw.zip", "PK"))
        assert caught.value.hint

    @pytest.mark.parametrize("name", list(DATASETS))
    def test_an_empty_folder(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="looked for") as caught:
            read_dataset(name, tmp_path)
        assert caught.value.hint
        assert "RAW" in caught.value.hint

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            pytest.param("dfwe", "did you mean dfew?", id="swapped"),
            pytest.param("FERV39K", "did you mean ferv39k?", id="case"),
            pytest.param("ckplus2", f"known data sets: {', '.join(DATASETS)}", id="unlike-any"),
            pytest.param("cremad", "did you mean crema-d?", id="without its hyphen"),
        ],
    )
    def test_an_unknown_name(self, name: str, hint: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="unknown data set") as caught:
            read_dataset(name, tmp_path)
        assert hint in str(caught.value.hint)

    @pytest.mark.parametrize("name", sorted(DATASETS))
    @pytest.mark.parametrize("part", ["", "crops", "contact_sheets", "manifest.csv"])
    def test_a_store_is_never_raw_data(self, name: str, part: str, tmp_path: Path) -> None:
        touch(tmp_path, "store/crops/happy/1.mp4", "store/contact_sheets/worst.png")
        write(tmp_path / "store/manifest.csv", "path,label\n1.mp4,happy\n")
        write(tmp_path / "store/dataset.json", '{"format": "dfer.store/1"}')
        with pytest.raises(DataError, match="this is a store"):
            read_dataset(name, tmp_path / "store" / part)

    def test_raw_data_may_lie_in_the_folder_of_a_store(self, tmp_path: Path) -> None:
        touch(tmp_path, "store/raw/happy/1.mp4", "store/raw/sad/1.mp4")
        write(tmp_path / "store/dataset.json", '{"format": "dfer.store/1"}')
        assert len(read_dataset("folder", tmp_path / "store/raw").clips) == 2

    def test_progress_is_reported(self, tmp_path: Path) -> None:
        write_mafw(tmp_path)
        lines: list[str] = []
        read_dataset("mafw", tmp_path, report=lines.append)
        assert lines[-1] == "found 0 of 2 clips"

    def test_reading_needs_no_heavy_package(self) -> None:
        code = "import sys, dfer.datasets; print(sorted({'torch', 'cv2', 'pandas', 'numpy'} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
