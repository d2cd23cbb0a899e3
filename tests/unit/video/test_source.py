"""Videos, frame folders and images as sources of frames: damaged ones, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.errors import VideoError
from dfer.video import open_frames
from tests.places import NO_FILES
from tests.unit.video.videos import (
    COUNT,
    FPS,
    frame_number,
    make_frames,
    noisy_frames,
    plain_video,
    read_all,
    write_audio,
    write_video,
)


def test_frames_are_read_by_index(tmp_path: Path) -> None:
    source = open_frames(plain_video(tmp_path))

    assert [index for index, _ in source.iter_frames([7, 3, 7, 30])] == [3, 7, 30]
    assert list(source.iter_frames([])) == []
    with pytest.raises(IndexError):
        list(source.iter_frames([COUNT]))
    with pytest.raises(IndexError):
        list(source.iter_frames([-1]))


class TestImages:
    def test_folder_is_read_in_natural_order(self, tmp_path: Path) -> None:
        frames = make_frames(12)
        for n, frame in enumerate(frames):
            cv2.imwrite(str(tmp_path / f"frame{n}.png"), frame[..., ::-1])
        (tmp_path / "._frame3.png").write_bytes(b"x")
        (tmp_path / "notes.txt").write_text("x")
        source = open_frames(tmp_path)

        assert (source.num_frames, source.fps, source.size_hw) == (12, 25.0, (96, 128))
        assert source.duration == pytest.approx(12 / 25)
        assert source.times_s[-1] == pytest.approx(11 / 25)
        assert np.array_equal(read_all(source)[1], np.stack(frames))
        assert [index for index, _ in source.iter_frames([10, 2])] == [2, 10]

    def test_broken_frame_is_left_out(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for n, frame in enumerate(make_frames(4)):
            cv2.imwrite(str(tmp_path / f"{n:05d}.jpg"), frame)
        (tmp_path / "00001.jpg").write_bytes(b"x")
        source = open_frames(tmp_path)

        assert read_all(source)[0] == [0, 2, 3]
        assert source.warnings == ["only 3 of 4 frames could be decoded"]
        assert "only 3 of 4" in caplog.text

    def test_frames_take_the_first_ones_size(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "1.png"), make_frames(1)[0])
        cv2.imwrite(str(tmp_path / "2.png"), make_frames(1, 60, 60)[0])

        assert read_all(open_frames(tmp_path))[1].shape == (2, 96, 128, 3)

    def test_image_is_a_video_of_one_frame(self, tmp_path: Path) -> None:
        frame = make_frames(1)[0]
        cv2.imwrite(str(tmp_path / "a.PNG"), frame[..., ::-1])
        source = open_frames(tmp_path / "a.PNG")

        assert (source.num_frames, source.duration) == (1, 0.04)
        assert np.array_equal(read_all(source)[1][0], frame)


class TestDamaged:
    """A damaged video can be used as far as it goes, with a warning."""

    def test_truncated_mp4(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = write_video(tmp_path / "clip.mp4", noisy_frames(), container={"movflags": "faststart"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

        source = open_frames(path)
        numbers = {index: frame_number(frame) for index, frame in source.iter_frames()}

        assert 10 <= len(numbers) <= source.num_frames < COUNT
        assert list(numbers.values()) == pytest.approx(source.times_s[list(numbers)] * FPS, abs=0.4)
        assert "truncated" in source.warnings[0]
        assert str(path) in caplog.text

    def test_mp4_without_index(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mp4", make_frames())
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

        with pytest.raises(VideoError, match=r"clip\.mp4"):
            open_frames(path)

    @pytest.mark.parametrize("seed", range(6))
    def test_flipped_bytes(self, seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        path = write_video(
            tmp_path / "clip.mp4", make_frames(), container={"movflags": "faststart"}, options={"crf": "10", "g": "10"}
        )
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        rng = np.random.default_rng(seed)
        body = bytes(data).index(b"mdat") + 2000
        data[rng.integers(body, len(data), 200)] = rng.integers(0, 256, 200)
        path.write_bytes(data.tobytes())

        source = open_frames(path)
        indices = [index for index, _ in source.iter_frames()]

        assert indices == sorted(set(indices))
        assert len(indices) >= 1
        assert (len(indices) == source.num_frames) != bool(source.warnings)
        assert capfd.readouterr() == ("", "")


def _write(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _folder(*names: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "clip").mkdir()
        for name in names:
            (folder / "clip" / name).write_bytes(b"x")
        return folder / "clip"

    return make


def _put(kind: str, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        NO_FILES[kind](folder / name)
        return folder / name

    return make


def _tiny_image(folder: Path) -> Path:
    cv2.imwrite(str(folder / "a.png"), np.zeros((1, 1, 3), np.uint8))
    return folder / "a.png"


def _no_samples(folder: Path) -> Path:
    """An MP4 without a single byte of its frames."""
    path = write_video(folder / "clip.mp4", make_frames(), container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") + 4])
    return path


BAD_INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "gone.mp4", "no such file"),
    "empty": (_write("a.mp4", b""), "empty"),
    "text as mp4": (_write("a.mp4", b"hello\n" * 100), "cannot read"),
    "text": (_write("notes.txt", b"hello\n" * 100), "not a video"),
    "playlist": (_write("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "cannot read|no frame"),
    "zeros": (_write("a.avi", bytes(5000)), "cannot read"),
    "audio only": (lambda folder: write_audio(folder / "a.wav"), "audio only"),
    "zero frames": (_no_samples, "no frame|cannot read"),
    "pipe": (_put("pipe", "a.mp4"), "cannot read: not a regular file"),
    "pipe as image": (_put("pipe", "a.jpg"), "cannot read: not a regular file"),
    "device": (_put("device", "a.gif"), "cannot read: not a regular file"),
    "socket": (_put("socket", "a.mkv"), "cannot read: not a regular file"),
    "link to itself": (_put("link to itself", "a.avi"), "no such file"),
    "empty folder": (_folder(), "no images"),
    "folder without images": (_folder("a.txt", "._0001.jpg", "Thumbs.db"), "no images"),
    "folder of broken images": (_folder("0001.jpg"), "cannot be read"),
    "broken image": (_write("a.jpg", b"\xff\xd8\xff\xe0 no"), "cannot be read"),
    "1x1 image": (_tiny_image, "too small"),
    "2x2 video": (
        lambda folder: write_video(folder / "a.mp4", make_frames(3, 2, 2), codec="mpeg4"),
        "too small",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_bad_input_is_one_clear_error(
    make: Callable[[Path], Path], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path)
    capfd.readouterr()

    with pytest.raises(VideoError, match=message) as caught:
        open_frames(path)

    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_among_frames_is_left_out_and_counted(tmp_path: Path, kind: str) -> None:
    for number in (1, 3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), make_frames(1)[0])
    for number in (0, 2):
        NO_FILES[kind](tmp_path / f"{number}.png")
    source = open_frames(tmp_path)
    assert [index for index, _ in source.iter_frames()] == [1, 3]
    assert source.warnings == ["only 2 of 4 frames could be decoded"]
