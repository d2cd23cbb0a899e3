"""FER+ from its two tables: the votes of fer2013new.csv, and the pixels in the rows of fer2013.csv."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.datasets import read_dataset
from dfer.datasets.ferplus import VOTES
from dfer.errors import DataError
from dfer.faces.detectors import build_detector
from dfer.preprocessing import Settings
from dfer.preprocessing.clip import open_clip, process_clip
from dfer.store import read_clip
from tests.unit.datasets.raw_datasets import notice, touch, write

HEADER = f"Usage,Image name,{','.join(VOTES[:-1])},NF\r\n"
HAPPY, SAD = "0,8,2,0,0,0,0,0,0,0", "0,0,0,9,1,0,0,0,0,0"
USAGES = ("Training", "Training", "PublicTest", "PrivateTest")
GREY = np.random.default_rng(0).integers(0, 256, (len(USAGES), 48, 48), np.uint8)


def pixels(number: int) -> str:
    return " ".join(map(str, GREY[number].ravel()))


def write_pixels(root: Path, rows: list[str] | None = None, *, quoted: bool = False) -> Path:
    mark = '"' if quoted else ""
    rows = rows or [f"3,{mark}{pixels(number)}{mark},{usage}" for number, usage in enumerate(USAGES)]
    return write(root / "fer2013.csv", "".join(f"{row}\n" for row in ["emotion,pixels,Usage", *rows]))


def write_votes(root: Path, *rows: str) -> Path:
    lines = rows or [f"{usage},fer{number:07d}.png,{HAPPY}" for number, usage in enumerate(USAGES)]
    return write(root / "fer2013new.csv", HEADER + "".join(f"{line}\r\n" for line in lines))


@pytest.mark.parametrize(("where", "quoted"), [("", False), ("fer2013", True)], ids=["beside", "below, quoted"])
def test_the_pixels_of_both_tables_become_clips(tmp_path: Path, where: str, quoted: bool) -> None:
    raw, out = tmp_path / "raw", tmp_path / "store"
    write_pixels(raw / where, quoted=quoted)
    write_votes(raw)
    dataset = read_dataset("ferplus", raw)
    assert [(clip.clip_id, clip.folds[1]) for clip in dataset.clips] == [
        ("fer0000000", "train"), ("fer0000001", "train"), ("fer0000002", "val"), ("fer0000003", "test"),
    ]  # fmt: skip
    notice(dataset, "images read from the pixels in fer2013.csv: 4")
    for number, clip in enumerate(dataset.clips):
        ((_, frame),) = open_clip(clip).iter_frames()
        assert np.array_equal(frame, np.repeat(GREY[number][..., None], 3, axis=2))
    row = process_clip(dataset.clips[2], raw, out, Settings(48, "none"), build_detector("none"))
    assert (row.status, row.num_frames, row.source) == ("ok", 1, f"{where}/fer2013.csv".lstrip("/"))
    crop = cv2.cvtColor(read_clip(out / "crops" / "fer0000002.zip")[0], cv2.COLOR_RGB2GRAY)
    assert np.abs(crop.astype(int) - GREY[2]).mean() < 5  # of a JPEG


def test_an_image_that_is_not_on_disk_is_read_from_the_table(tmp_path: Path) -> None:
    write_pixels(tmp_path)
    rows = "".join(f'fer{number:07d}.png,"(0, 0, 48, 48)",{SAD}\n' for number in (0, 1))
    write(tmp_path / "FER2013Train" / "label.csv", rows)
    touch(tmp_path, "FER2013Train/fer0000000.png")
    one, two = read_dataset("ferplus", tmp_path).clips
    assert (one.source, one.pixels) == (tmp_path / "FER2013Train" / "fer0000000.png", None)
    assert two.source == tmp_path / "fer2013.csv"
    assert open_clip(two).num_frames == 1


def test_votes_without_pixels_are_missing_clips_and_rows_without_a_name_are_counted(tmp_path: Path) -> None:
    write_votes(tmp_path, f"Training,fer0000000.png,{HAPPY}", "Training,,0,0,0,0,0,0,0,0,0,10")
    dataset = read_dataset("ferplus", tmp_path)
    assert [clip.source for clip in dataset.clips] == [None]
    notice(dataset, "rows of fer2013new.csv without an image, which its authors left out: 1")
    notice(dataset, "images of the lists that are not on disk: 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "expected 2,304 grey values from 0 to 255, got 3"),
        (" ".join(["7"] * 2305), "got 2,305"),
        (" ".join(["256"] * 2304), "up to 256"),
        ("", "expected grey values"),
        ("70 80 x", "got '70 80 x'"),
        ("-1 " * 2304, "expected grey values"),
        ("7" * 3000, "expected grey values"),
        ("7 " * 400_000, "got 800,000 bytes of text"),
        ("\xff" * 40, "expected grey values"),
    ],
    ids=["few", "one more", "too bright", "none", "a word", "negative", "one number", "800 kB", "no digits"],
)
def test_broken_pixels_cost_one_clip(tmp_path: Path, text: str, message: str) -> None:
    write_pixels(tmp_path, [f"3,{text},Training", f"3,{pixels(1)},Training"])
    write_votes(tmp_path, *(f"Training,fer{number:07d}.png,{HAPPY}" for number in (0, 1)))
    clips = read_dataset("ferplus", tmp_path).clips
    rows = [
        process_clip(clip, tmp_path, tmp_path / "s", Settings(48, "none"), build_detector("none")) for clip in clips
    ]
    assert [row.status for row in rows] == ["unreadable", "ok"]
    assert message in rows[0].detail


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        (lambda raw: write_pixels(raw, ["3,1 2"]), "expected 3 fields, got 2", "fer2013.csv, line 2"),
        (lambda raw: write_pixels(raw, ["3,1 2,Tuning"]), "unknown usage 'Tuning'", "fer2013.csv, line 2"),
        (lambda raw: write_pixels(raw, ["3," + "1 " * 600_000 + ",Training"]), "more than 1,000,000 bytes", "line 2"),
        (lambda raw: write(raw / "fer2013.csv", "emotion,Usage\n3,Training\n"), "no column pixels", "fer2013.csv"),
        (lambda raw: write(raw / "fer2013.csv", ""), "0 images here, 4 in fer2013new.csv", "fer2013.csv"),
        (lambda raw: write_pixels(raw, ["3,1 2,Training"]), "1 images here, 4 in fer2013new.csv", "fer2013.csv"),
        (
            lambda raw: write_pixels(raw, [f"3,{pixels(n)},Training" for n in range(4)]),
            "line 4 is an image for train, the votes of fer0000002 are for val",
            "fer2013.csv",
        ),
        (lambda raw: write_votes(raw, "Training,fer0000000.png,1,2"), "expected an image", "fer2013new.csv, line 2"),
        (lambda raw: write_votes(raw, f"Tuning,a.png,{SAD}"), "unknown usage 'Tuning'", "fer2013new.csv, line 2"),
        (lambda raw: (raw / "fer2013new.csv").unlink(), "fer2013.csv holds no votes", ""),
    ],
    ids=[
        "fields", "usage", "a long line", "columns", "empty", "another length", "another order", "votes",
        "usage of votes", "no votes",
    ],
)  # fmt: skip
def test_tables_that_do_not_fit_are_one_clear_error(tmp_path: Path, change, message: str, where: str) -> None:  # type: ignore[no-untyped-def]
    write_pixels(tmp_path)
    write_votes(tmp_path)
    change(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read_dataset("ferplus", tmp_path)
    assert where in str(caught.value.where)
