"""The search for clips on disk, and the one list of suffixes."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.datasets.media import find_images, find_media
from dfer.errors import DataError
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from dfer.video import open_frames
from tests.unit.datasets.raw_datasets import touch


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
    assert places == {"records.py", "video/writer.py"}  # the writer lists the containers that it can write


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_images_that_are_found_can_be_opened(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "happy" / "1").mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(tmp_path / "happy" / "1" / f"{number}{suffix}"), np.full((32, 32), 90, np.uint8))
    ((item,), _) = find_media(tmp_path, lambda _line: None)
    assert len(list(open_frames(item.path).iter_frames())) == 2
    assert open_frames(item.path / f"0{suffix}").num_frames == 1


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
