"""The search for clips on disk, and the one list of suffixes."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dfer.datasets.media import find_images, find_media
from dfer.errors import DataError
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from dfer.video import open_frames
from tests.unit.datasets.raw_datasets import touch, write


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.mp4", "raw/Clip/2.mp4")
    (tmp_path / "raw/Clip/original").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "raw/Clip/self").symlink_to(tmp_path / "raw/Clip")
    (tmp_path / "raw/Clip/up").symlink_to("../..")
    (tmp_path / "raw/Clip/endless").symlink_to("endless")
    media, notices = find_media(tmp_path / "raw", lambda _line: None)
    assert [item.path.relative_to(tmp_path).as_posix() for item in media] == [
        "raw/Clip/2.mp4",
        "raw/Clip/original/1.mp4",
    ]
    assert notices == []


def test_media_are_sorted_by_path(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.mp4", "b/10.mp4", "a/9.mp4", "c.mp4", "b/0/x.jpg")
    media, _ = find_media(tmp_path, lambda _line: None)
    assert [(item.folders, item.name, item.is_video) for item in media] == [
        ((), "c", True),
        (("a",), "9", True),
        (("b",), "0", False),
        (("b",), "10", True),
        (("b",), "2", True),
    ]


def test_a_folder_that_may_not_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    _fail_to_list(monkeypatch, tmp_path / "b", PermissionError(13, "Permission denied"))
    media, notices = find_media(tmp_path, lambda _line: None)
    assert [item.name for item in media] == ["1"]
    assert notices == [f"no permission to read {tmp_path / 'b'}: its clips count as missing"]


def test_a_disk_that_goes_away_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.mp4", "b/2.mp4")
    _fail_to_list(monkeypatch, tmp_path / "b", OSError(116, "Stale file handle"))
    with pytest.raises(DataError, match="the disk failed: stale file handle") as caught:
        find_media(tmp_path, lambda _line: None)
    assert caught.value.where == str(tmp_path / "b")


def test_images_of_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a/2.JPG", "a/1.png", "a/.3.jpg", "a/notes.txt", "a/b/4.jpg")
    assert [image.name for image in find_images(tmp_path / "a")] == ["1.png", "2.JPG"]
    assert find_images(tmp_path / "nowhere") == []
    assert find_images(tmp_path / "a/1.png") == []


def test_suffixes_are_listed_in_one_place_only(checkout: Path) -> None:
    """Two lists once disagreed: frames that `preprocess` found could not be opened."""
    places = set()
    for path in (checkout / "dfer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
                texts = {item.value for item in node.elts if isinstance(item, ast.Constant)}
                if len(texts & IMAGE_SUFFIXES) > 1 or len(texts & VIDEO_SUFFIXES) > 1:
                    places.add(path.relative_to(checkout / "dfer").as_posix())
    assert places == {"records/__init__.py", "video/writer.py"}  # the writer lists the containers that it can write


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_images_that_are_found_can_be_opened(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "happy" / "1").mkdir(parents=True)
    written_as = {".jfif": ".jpg", ".apng": ".png"}.get(suffix, suffix)
    encoded = cv2.imencode(written_as, np.full((32, 32, 1 if suffix in (".pbm", ".pgm") else 3), 90, np.uint8))[1]
    for number in range(2):
        (tmp_path / "happy" / "1" / f"{number}{suffix}").write_bytes(encoded.tobytes())
    ((item,), _) = find_media(tmp_path, lambda _line: None)
    assert len(list(open_frames(item.path).iter_frames())) == 2
    assert open_frames(item.path / f"0{suffix}").num_frames == 1


# Suffixes whose container or codec is not that of a usual MP4.
_CONTAINERS = {
    ".apng": ("apng", "apng", "rgb24"),
    ".asf": ("asf", "wmv2", "yuv420p"),
    ".avi": ("avi", "mpeg4", "yuv420p"),
    ".divx": ("avi", "mpeg4", "yuv420p"),
    ".dv": ("dv", "dvvideo", "yuv420p"),
    ".flv": ("flv", "flv", "yuv420p"),
    ".gif": ("gif", "gif", "rgb8"),
    ".m1v": ("mpeg1video", "mpeg1video", "yuv420p"),
    ".m2v": ("mpeg2video", "mpeg2video", "yuv420p"),
    ".mjpeg": ("mjpeg", "mjpeg", "yuvj420p"),
    ".mjpg": ("mjpeg", "mjpeg", "yuvj420p"),
    ".mkv": ("matroska", "mpeg4", "yuv420p"),
    ".mpe": ("mpeg", "mpeg1video", "yuv420p"),
    ".mpeg": ("mpeg", "mpeg1video", "yuv420p"),
    ".mpg": ("mpeg", "mpeg1video", "yuv420p"),
    ".mxf": ("mxf", "mpeg2video", "yuv420p"),
    ".ogm": ("ogg", "vp8", "yuv420p"),
    ".ogv": ("ogg", "vp8", "yuv420p"),
    ".rm": ("rm", "rv10", "yuv420p"),
    ".rmvb": ("rm", "rv20", "yuv420p"),
    ".vob": ("vob", "mpeg2video", "yuv420p"),
    ".webm": ("webm", "vp8", "yuv420p"),
    ".wmv": ("asf", "wmv2", "yuv420p"),
    ".y4m": ("yuv4mpegpipe", "rawvideo", "yuv420p"),
    **dict.fromkeys((".m2t", ".m2ts", ".mts", ".ts"), ("mpegts", "mpeg2video", "yuv420p")),
}


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_videos_that_are_found_can_be_opened(suffix: str, tmp_path: Path) -> None:
    container, codec, pixels = _CONTAINERS.get(suffix, ("mov", "mpeg4", "yuv420p"))
    path = tmp_path / "happy" / f"1{suffix.upper()}"
    path.parent.mkdir()
    width, height = (720, 576) if codec == "dvvideo" else (176, 144)
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixels)
        for number in range(3):
            picture = np.full((height, width, 3), 60 * number, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixels)))
        output.mux(stream.encode(None))
    ((item,), _) = find_media(tmp_path, lambda _line: None)
    assert item.is_video
    assert len(list(open_frames(item.path).iter_frames())) == 3


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            ["happy/1.mp3", "happy/2.WAV", "b.wav"], "2 .wav (such as b.wav), 1 .mp3 (such as happy/1.mp3)", id="sound"
        ),
        pytest.param(["happy.zip", "sad.zip"], "2 .zip (such as happy.zip)", id="archives"),
        pytest.param(["happy/IMG_1.HEIC"], "1 .heic (such as happy/IMG_1.HEIC)", id="a format that is not read"),
        pytest.param(["happy/clip"], "1 without a suffix (such as happy/clip)", id="no suffix"),
    ],
)
def test_files_that_are_left_out_are_counted_by_suffix(files: list[str], expected: str, tmp_path: Path) -> None:
    touch(tmp_path, "happy/1.mp4", "README", "list.csv", "paper.PDF", *files)
    media, (notice,) = find_media(tmp_path, lambda _line: None)
    assert len(media) == 1
    assert notice.endswith(f"by their suffix: {expected}")


def test_images_beside_videos_and_deep_folders_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "happy/1.mp4", "happy/2.jpg", "happy/3.jpg", "1/2/3/4/5/6/7/8/9/1.mp4")
    media, notices = find_media(tmp_path, lambda _line: None)
    assert len(media) == 1
    assert sorted(notices) == [
        "folders more than 8 levels deep, left out: 1, such as 1/2/3/4/5/6/7/8/9",
        "images beside videos, left out: 2, such as happy/2.jpg",
    ]


@pytest.mark.parametrize(
    "leftover",
    [
        "@eaDir/1.mp4/SYNOVIDEO.jpg", ".AppleDouble/1.mp4", "__MACOSX/happy/1.mp4", "Thumbs.db", ".DS_Store", "._2.mp4",
        "#recycle/1.mp4", "$RECYCLE.BIN/1.mp4", "desktop.ini", "@EADIR/1.jpg", "lost+found/1.mp4",
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "happy", "happy/deep"])
def test_leftovers_of_network_drives_and_archivers_are_no_data(folder: str, leftover: str, tmp_path: Path) -> None:
    touch(tmp_path, "happy/1.mp4", f"{folder}/{leftover}")
    media, notices = find_media(tmp_path, lambda _line: None)
    assert [item.path for item in media] == [tmp_path / "happy/1.mp4"]
    assert notices == []


@pytest.mark.parametrize("place", ["data/folder", "happy/store", "a/b/c"])
@pytest.mark.parametrize("finished", [True, False])
def test_a_store_inside_the_raw_data_is_not_data(place: str, finished: bool, tmp_path: Path) -> None:
    touch(tmp_path, "happy/1.mp4", f"{place}/contact_sheets/random.png", f"{place}/crops/happy/1/0.jpg")
    write(tmp_path / place / "dataset.json", '{"name": "x", "format": "dfer.store/1"}' if not finished else "{}")
    if finished:
        touch(tmp_path, f"{place}/manifest.csv")
    media, notices = find_media(tmp_path, lambda _line: None)
    assert [item.path for item in media] == [tmp_path / "happy/1.mp4"]
    assert notices == [f"stores of dfer, which are never read as data: 1, such as {place}"]


def test_a_run_is_not_data_and_another_dataset_json_is(tmp_path: Path) -> None:
    touch(tmp_path, "runs/x/fold1/curves.png", "runs/x/fold1/run.json", "runs/x/fold1/recipe.yaml", "happy/1/0.jpg")
    write(tmp_path / "happy/1/dataset.json", '{"images": 1}')
    media, notices = find_media(tmp_path, lambda _line: None)
    assert [item.path for item in media] == [tmp_path / "happy/1"]
    assert notices == ["runs of dfer, which are never read as data: 1, such as runs/x/fold1"]


@pytest.mark.parametrize(("name", "is_frame"), [("_0.png", True), ("._0.png", False), (".0.png", False)])
def test_finding_and_opening_agree_on_hidden_frames(name: str, is_frame: bool, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    for file in ("1.png", name):
        cv2.imwrite(str(tmp_path / "1" / file), np.full((32, 32), 90, np.uint8))
    assert len(find_images(tmp_path / "1")) == open_frames(tmp_path / "1").num_frames == 1 + is_frame


def _fail_to_list(monkeypatch: pytest.MonkeyPatch, folder: Path, error: OSError) -> None:
    scandir = os.scandir

    def failing(path: str) -> object:
        if os.fspath(path) == os.fspath(folder):
            raise error
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
