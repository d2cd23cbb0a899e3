"""What a user names becomes recordings: folders, patterns, frame folders and albums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from dfer.datasets.outputs import REPORT_MARK
from dfer.errors import UsageError
from dfer.prediction.inputs import Input, find_inputs
from tests.unit.datasets.raw_datasets import touch

_TAKEN = 0x9003


def picture(path: Path, size: tuple[int, int] = (32, 24), *, taken: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[_TAKEN] = "2024:05:01 12:00:00"
    Image.new("RGB", size).save(path, exif=exif)


def names(*given: str | Path, images: str = "auto") -> list[str]:
    return [found.name for found in find_inputs(given, images=images)[0]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_searched_at_any_depth_and_named_relative_to_itself(here: Path) -> None:
    touch(here, "study/b/2.MOV", "study/a/x/1.mp4", "study/3.mkv", "study/notes.txt", "study/c/1.jpg", "study/c/2.jpg")
    found, notices = find_inputs([here / "study"])
    assert [item.name for item in found] == ["3.mkv", "c", "a/x/1.mp4", "b/2.MOV"]
    assert [item.stem for item in found] == ["3", "c", "a/x/1", "b/2"]
    assert all(item.path.exists() for item in found)
    assert notices == []


def test_of_several_folders_the_names_tell_which(here: Path) -> None:
    touch(here, "one/1.mp4", "two/1.mp4")
    assert names("one", "two") == ["one/1.mp4", "two/1.mp4"]


def test_hidden_files_leftovers_and_own_outputs_are_no_inputs(here: Path) -> None:
    touch(here, "study/._1.mp4", "study/.cache/2.mp4", "study/@eaDir/3.mp4", "study/4.mp4", "study/4.srt")
    touch(here, "study/store/dataset.json", "study/store/manifest.csv", "study/store/contact_sheets/1.jpg")
    touch(here, "study/fold1/run.json", "study/fold1/recipe.yaml", "study/fold1/1.png")
    touch(here, "study/report/media/4.mp4")
    (here / "study/report/index.html").write_bytes(b"<meta " + REPORT_MARK + b">")
    found, notices = find_inputs(["study"])
    assert [item.name for item in found] == ["4.mp4"]
    text = "\n".join(notices)
    assert all(what in text for what in (".srt", "stores of dfer", "runs of dfer", "reports of dfer"))
    with pytest.raises(UsageError, match="this is a store"):
        find_inputs(["study/store"])


def test_a_pattern_matches_media_only_and_folders_as_what_they_are(here: Path) -> None:
    touch(here, "a2.mp4", "a1.mp4", "a.txt", "._a3.mp4", "b.mp4", "afolder/9.mp4", "x/y/deep.avi")
    found, notices = find_inputs(["a*"])
    assert [item.name for item in found] == ["a1.mp4", "a2.mp4", "afolder/9.mp4"]
    assert "1 file" in notices[0]
    assert names("**/*.avi") == ["x/y/deep.avi"]
    assert sorted(names("**")) == ["a1.mp4", "a2.mp4", "afolder/9.mp4", "b.mp4", "x/y/deep.avi"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(here: Path) -> None:
    touch(here, "take [1].mp4", "take 1.mp4")
    assert names("take [1].mp4") == ["take [1].mp4"]


@pytest.mark.parametrize("given", ["nosuch.mp4", "nosuch*.mp4", "empty"])
def test_what_is_not_there_fails_when_it_is_opened(here: Path, given: str) -> None:
    (here / "empty").mkdir()
    assert find_inputs([given])[0] == [Input(Path(given), given, Path(given).stem)]


def test_what_was_found_is_answered_once_and_what_was_named_as_often(here: Path) -> None:
    touch(here, "study/1.mp4", "study/2.mp4")
    (here / "link").symlink_to("study")
    assert names("study", "study/*.mp4", "link") == ["study/1.mp4", "study/2.mp4"]
    assert names("study/1.mp4", "study/1.mp4", "study") == ["study/1.mp4", "study/1.mp4", "study/2.mp4"]


def test_numbered_frames_are_one_video_at_any_depth(here: Path) -> None:
    for number in (3, 1, 2):
        picture(here / "clip" / f"frame_{number:04d}.png")
        picture(here / "study" / "s1" / f"{number}.jpg")
    assert names("clip") == ["clip"]
    assert names("study") == ["s1"]
    assert names("clip", images="still") == [f"frame_000{number}.png" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("why", "make"),
    [
        ("their names do not count them", lambda folder: [picture(folder / f"{who}.jpg") for who in ("anna", "ben")]),
        ("their sizes differ", lambda folder: [picture(folder / f"{n}.jpg", (32, 24 + n)) for n in (1, 2)]),
        ("a camera has dated them", lambda folder: [picture(folder / f"IMG_{n}.jpg", taken=True) for n in (8, 9)]),
    ],
)
def test_an_album_is_a_picture_each(here: Path, why: str, make: Callable[[Path], object]) -> None:
    make(here / "album")
    found, notices = find_inputs(["album"])
    assert len(found) == 2
    assert all(item.path.is_file() and item.name == item.path.name for item in found)
    assert why in notices[0]
    assert names("album", images="sequence") == ["album"]
    assert names("album", "album/nosuch")[0].startswith("album/")


def test_a_folder_of_one_image_is_that_image_under_its_own_name(here: Path) -> None:
    picture(here / "one" / "anna.jpg")
    assert names("one") == ["one"]
    assert names("one", images="still") == ["anna.jpg"]


def test_images_beside_videos_are_left_out_and_said_so(here: Path) -> None:
    touch(here, "study/1.mp4", "study/1.jpg")
    found, notices = find_inputs(["study"])
    assert [item.name for item in found] == ["1.mp4"]
    assert "images beside videos, left out: 1, such as 1.jpg" in notices[0]
