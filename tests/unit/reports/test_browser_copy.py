"""Copies of videos and images for the browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfer.drawing.hide import HIDE_STYLES, HideStyle
from dfer.records import Prediction
from dfer.reports import browser_copy
from dfer.reports.browser_copy import write_browser_copy, write_hidden_copy, write_image_copy
from dfer.video import FrameSource, open_frames
from tests.results import face_with, predicted
from tests.unit.video.videos import beep_times, make_frames, read_all, write_video, write_with_sound


def copy(source: FrameSource, path: Path) -> FrameSource:
    done: list[float] = []
    write_browser_copy(source, path, done.append)
    assert done == sorted(done)
    result = open_frames(path)
    assert result.media is not None
    assert result.media.is_played(path)
    assert result.times_s == pytest.approx(source.times_s, abs=2e-3)
    return result


def test_a_video_that_is_played_is_copied_byte_by_byte(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", make_frames(5))
    copy(open_frames(path), tmp_path / "new" / "b.mp4")
    assert (tmp_path / "new" / "b.mp4").read_bytes() == path.read_bytes()


def test_h264_in_another_container_is_repacked(tmp_path: Path) -> None:
    source = open_frames(write_with_sound(tmp_path / "a.mkv", make_frames(25), codec="libopus"))
    result = copy(source, tmp_path / "b.mp4")
    assert np.array_equal(read_all(result)[1], read_all(source)[1])
    assert beep_times(tmp_path / "b.mp4") == pytest.approx((0.5, 0.6), abs=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: write_with_sound(folder / "a.avi", make_frames(25), codec="libmp3lame"),
        lambda folder: write_video(folder / "a.mp4", make_frames(25), pix_fmt="yuv444p"),
    ],
    ids=["mpeg4", "444"],
)
def test_other_videos_are_encoded_again(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = open_frames(make(tmp_path))
    result = copy(source, tmp_path / "b.mp4")
    assert np.abs(read_all(result)[1] - read_all(source)[1]).mean() < 5
    if source.sound:
        assert beep_times(tmp_path / "b.mp4") == pytest.approx((0.5, 0.6), abs=0.06)


def test_a_repacking_that_fails_is_followed_by_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfer.errors import VideoError

    def fail(*_: object) -> None:
        raise VideoError("cannot hold it")

    monkeypatch.setattr(browser_copy, "repack", fail)
    copy(open_frames(write_video(tmp_path / "a.mkv", make_frames(5))), tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mp4"]


def test_a_frame_folder_becomes_a_video(tmp_path: Path) -> None:
    import cv2

    for number, frame in enumerate(make_frames(6)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    result = copy(open_frames(tmp_path, fps=5), tmp_path / "out" / "b.mp4")
    assert result.num_frames == 6


def striped(tmp_path: Path) -> tuple[FrameSource, Prediction]:
    frame = np.full((120, 160, 3), 120, np.uint8)
    frame[10:60, 10:60:6], frame[10:60, 13:60:6] = 255, 0
    source = open_frames(write_video(tmp_path / "a.mp4", [frame] * 12, options={"crf": "4"}))
    return source, predicted([face_with([(0.0, 0.4, "sad")])], duration=0.4, num_frames=12)


def contrast(frame: np.ndarray) -> float:
    return float(np.abs(np.diff(frame[16:54, 16:54].astype(float), axis=1)).mean())


@pytest.mark.parametrize("style", HIDE_STYLES)
def test_faces_are_hidden_and_there_is_no_sound(
    tmp_path: Path, style: HideStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_copy, "cover_faces", lambda frames, _times: [*frames] and {})
    source, prediction = striped(tmp_path)
    done: list[float] = []
    write_hidden_copy(source, prediction, tmp_path / "b.mp4", style, done.append)
    result = open_frames(tmp_path / "b.mp4")
    assert result.sound is None
    hidden = [contrast(frame) for _, frame in result.iter_frames()]
    assert len(hidden) == 12
    assert max(hidden) < 8
    assert (done[-1], done) == (pytest.approx(1), sorted(done))


def test_an_image_is_copied_with_or_without_its_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.setattr(browser_copy, "cover_faces", lambda frames, _times: [*frames] and {})
    source, prediction = striped(tmp_path)
    (frame,) = (frame for _, frame in source.iter_frames([0]))
    cv2.imwrite(str(tmp_path / "a.tiff"), frame[..., ::-1])
    for style, low, high in ((None, 20, 300), ("blur", 0, 8)):
        write_image_copy(open_frames(tmp_path / "a.tiff"), prediction, tmp_path / "b.jpg", style)
        image = cv2.imread(str(tmp_path / "b.jpg"))
        assert image is not None
        assert low < contrast(image) < high
