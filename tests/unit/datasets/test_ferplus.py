"""FER+'s votes: the real lists, the majority rule case by case, and broken lists."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pytest

from dfer.datasets import read_dataset
from dfer.datasets.ferplus import VOTES, majority
from dfer.errors import DataError
from dfer.labels import DFEW_LABELS
from tests.unit.datasets.raw_datasets import notice, touch, write

HAPPY = "0,8,2,0,0,0,0,0,0,0"
SAD = "0,0,0,9,1,0,0,0,0,0"
CONTEMPT = "0,0,0,0,0,0,0,10,0,0"
UNDECIDED = "5,5,0,0,0,0,0,0,0,0"


def row(name: str, votes: str) -> str:
    return f'{name},"(0, 0, 48, 48)",{votes}\n'


def write_ferplus(root: Path, train: str, valid: str = "", test: str = "") -> None:
    for folder, rows in (("FER2013Train", train), ("FER2013Valid", valid), ("FER2013Test", test)):
        if rows:
            write(root / folder / "label.csv", rows)


def votes_for(**counts: int) -> tuple[int, ...]:
    return tuple(counts.get(name.replace("-", "_"), 0) for name in VOTES)


def test_the_real_lists(annotations: Path, tmp_path: Path) -> None:
    archive = annotations.parent / "ferplus.zip"
    if not archive.exists():
        pytest.skip("the shared assets hold no ferplus.zip")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path, [name for name in opened.namelist() if name.endswith("label.csv")])
    dataset = read_dataset("ferplus", tmp_path)
    sizes = {"train": 24_925, "val": 3_175, "test": 3_122, "soft": 3_373}
    assert Counter(clip.folds[1] for clip in dataset.clips) == sizes
    assert "kept for training on soft labels only: 3,373" in dataset.notices[1]
    left_out = 35_710 - len(dataset.clips)
    assert f"left out because of their votes: {left_out:,}" in dataset.notices[0]
    for reason in ("contempt", "no majority", "not-a-face", "unknown"):
        assert reason in dataset.notices[0]
    for clip in dataset.clips:
        assert clip.votes[clip.label] == max(clip.votes)
        assert sum(clip.votes) <= 10
    # The list has 5 for neutral, 3 for sadness, and single votes, which are left out.
    votes = {clip.clip_id: clip.votes for clip in dataset.clips}
    assert votes["fer0000002"] == (0, 3, 5, 0, 0, 0, 0)
    assert not any("official" in line for line in dataset.notices)


@pytest.mark.parametrize(
    ("votes", "winner"),
    [
        pytest.param(votes_for(happiness=10), "happiness", id="all"),
        pytest.param(votes_for(happiness=6, neutral=4), "happiness", id="more-than-half"),
        pytest.param(votes_for(happiness=5, neutral=5), None, id="half"),
        pytest.param(votes_for(happiness=4, neutral=3, sadness=3), None, id="most-but-under-half"),
        pytest.param(votes_for(happiness=4, neutral=3, anger=1, fear=1, surprise=1), "happiness", id="single-votes"),
        pytest.param(votes_for(unknown=6, neutral=4), "unknown", id="unknown"),
        pytest.param(votes_for(not_a_face=9, neutral=1), "not-a-face", id="not-a-face"),
        pytest.param(tuple(1 for _ in VOTES), None, id="single-votes-alone"),
        pytest.param(votes_for(), None, id="no-votes"),
    ],
)
def test_majority(votes: tuple[int, ...], winner: str | None) -> None:
    assert majority(votes) == winner


def test_images_labels_and_splits(tmp_path: Path) -> None:
    write_ferplus(
        tmp_path,
        train=row("fer1.png", HAPPY) + row("fer2.png", CONTEMPT),
        valid=row("fer4.jpg", SAD) + row("fer3.png", UNDECIDED),
        test=row("fer5.jpg", SAD),
    )
    touch(tmp_path, "FER2013Train/fer1.jpg", "FER2013Valid/fer4.jpg")  # re-encoded: another suffix than listed
    dataset = read_dataset("ferplus", tmp_path)
    assert dataset.labels == DFEW_LABELS
    assert [(clip.clip_id, clip.label, clip.label_name, clip.folds) for clip in dataset.clips] == [
        ("fer1", 0, "happy", {1: "train"}),
        ("fer4", 1, "sad", {1: "val"}),
        ("fer5", 1, "sad", {1: "test"}),
    ]
    assert [clip.source and clip.source.name for clip in dataset.clips] == ["fer1.jpg", "fer4.jpg", None]
    assert not any(clip.aligned for clip in dataset.clips)
    assert "1 contempt, 1 no majority" in notice(dataset, "images left out because of their votes: 2")
    assert "train 2 of 28,558, val 2 of 3,579" in notice(dataset, "not the official split sizes")
    notice(dataset, "images of the lists that are not on disk: 1")


@pytest.mark.parametrize(
    ("votes", "kept"),
    [
        pytest.param({"happiness": 5, "neutral": 5}, (5, 0, 5, 0, 0, 0, 0), id="two emotions"),
        pytest.param({"sadness": 3, "neutral": 3, "unknown": 3, "fear": 1}, (0, 3, 3, 0, 0, 0, 0), id="two of three"),
        pytest.param({"anger": 4, "contempt": 4}, (0, 0, 0, 4, 0, 0, 0), id="half"),
        pytest.param({"anger": 3, "unknown": 3, "contempt": 3}, None, id="a third"),
        pytest.param({"anger": 1, "unknown": 1}, None, id="single votes"),
        pytest.param({"unknown": 8, "anger": 2}, None, id="unknown"),
    ],
)
def test_training_images_without_a_majority_keep_their_votes(
    tmp_path: Path, votes: dict[str, int], kept: tuple[int, ...] | None
) -> None:
    line = row("fer1.png", ",".join(map(str, votes_for(**votes))))
    write_ferplus(tmp_path, train=line, valid=row("fer2.png", SAD), test=line.replace("fer1", "fer3"))
    clips = [clip for clip in read_dataset("ferplus", tmp_path).clips if clip.clip_id != "fer2"]
    if kept is None:
        assert not clips
        return
    (clip,) = clips  # those of the test list stay out
    assert (clip.clip_id, clip.folds, clip.votes) == ("fer1", {1: "soft"}, kept)
    assert clip.label == kept.index(max(kept))


def test_one_level_down_and_with_a_header(tmp_path: Path) -> None:
    header = f"image,box,{','.join(VOTES)}\n".replace("not-a-face", "NF")
    write_ferplus(tmp_path / "data", train=header + row("fer1.png", HAPPY))
    assert [clip.clip_id for clip in read_dataset("ferplus", tmp_path).clips] == ["fer1"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param('fer2.png,"(0, 0, 48, 48)",4,0,0\n', "its box or usage, and 10 votes", id="short"),
        pytest.param(row("fer2.png", HAPPY.replace("8", "eight")), "expected an image", id="word"),
        pytest.param(row("fer2.png", HAPPY.replace("8", "-8")), "expected an image", id="negative"),
        pytest.param(row("fer1.png", SAD), "image fer1 has two rows with different votes", id="contradiction"),
    ],
)
def test_broken_rows_name_file_and_line(tmp_path: Path, line: str, what: str) -> None:
    write_ferplus(tmp_path, train=row("fer1.png", HAPPY) + line)
    with pytest.raises(DataError, match=what) as caught:
        read_dataset("ferplus", tmp_path)
    assert str(caught.value.where).endswith("label.csv, line 2")


def test_an_image_in_two_splits_is_refused(tmp_path: Path) -> None:
    write_ferplus(tmp_path, train=row("fer1.png", HAPPY), test=row("fer1.png", HAPPY))
    with pytest.raises(DataError, match="image fer1 is in both train and test"):
        read_dataset("ferplus", tmp_path)
