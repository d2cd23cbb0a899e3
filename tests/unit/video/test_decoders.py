"""Two decoders that give the same frames, and the choice between them."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import dfer.video.source as video
from dfer.errors import UsageError, VideoError
from dfer.video import open_frames
from tests.unit.video.videos import (
    COUNT,
    FPS,
    frame_number,
    make_frames,
    plain_video,
    read_all,
    rotate_mp4,
    write_video,
)


@pytest.mark.parametrize("name", ["single_face.mp4", "no_face.mp4"])
def test_decoders_agree_on_real_clips(real_clips: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_DECODER", "decord")
    indices, frames = read_all(open_frames(real_clips / name))
    monkeypatch.setenv("DFER_DECODER", "pyav")
    other_indices, others = read_all(open_frames(real_clips / name))

    assert indices == other_indices == list(range(len(frames)))
    assert np.abs(frames - others).max() <= 2


def _key_frames(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", make_frames(), options={"g": "8", "bf": "2"})


def _rotated(clockwise: int) -> Callable[[Path], Path]:
    return lambda folder: rotate_mp4(plain_video(folder), clockwise)


CRAFTED: dict[str, Callable[[Path], Path]] = {
    "mp4": plain_video,
    "mp4 with many key frames": _key_frames,
    "mkv": lambda folder: write_video(folder / "clip.mkv", make_frames()),
    "webm": lambda folder: write_video(folder / "clip.webm", make_frames(), codec="libvpx"),
    "avi, MPEG-4 with B-frames": lambda folder: write_video(
        folder / "clip.avi", make_frames(), codec="mpeg4", options={"bf": "2", "qmax": "2"}
    ),
    "avi, H.264": lambda folder: write_video(folder / "clip.avi", make_frames()),
    "motion JPEG, full range": lambda folder: write_video(
        folder / "clip.avi", make_frames(), codec="mjpeg", pix_fmt="yuvj420p"
    ),
    "odd size": lambda folder: write_video(folder / "clip.mp4", make_frames(height=97, width=131), pix_fmt="yuv444p"),
    "one frame": lambda folder: write_video(folder / "clip.mp4", make_frames(1)),
    "colon in the name": lambda folder: write_video(folder / "a:b.mp4", make_frames()),
    "rotated 90": _rotated(90),
    "rotated 180": _rotated(180),
    "rotated 270": _rotated(270),
}


@pytest.mark.parametrize("make", CRAFTED.values(), ids=CRAFTED.keys())
def test_decoders_agree(
    make: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = make(tmp_path)
    monkeypatch.setenv("DFER_DECODER", "decord")
    source = open_frames(path)
    indices, frames = read_all(source)
    every_third = dict(source.iter_frames(range(0, source.num_frames, 3)))
    monkeypatch.setenv("DFER_DECODER", "pyav")
    other_indices, others = read_all(open_frames(path))

    assert indices == other_indices == list(range(source.num_frames))
    assert frames.shape[1:3] == source.size_hw
    assert np.abs(frames - others).max() <= 2
    assert list(every_third) == list(range(0, source.num_frames, 3))
    assert all(np.array_equal(frame, frames[index]) for index, frame in every_third.items())
    assert np.all(np.diff(source.times_s) > 0)
    assert "PyAV" not in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["mp4", "mp4 with many key frames", "mkv", "avi, MPEG-4 with B-frames", "avi, H.264"])
def test_frames_come_in_display_order(name: str, tmp_path: Path) -> None:
    source = open_frames(CRAFTED[name](tmp_path))

    assert source.num_frames == COUNT
    assert source.fps == FPS
    numbers = [frame_number(frame) for _, frame in source.iter_frames()]
    assert numbers == pytest.approx(list(range(COUNT)), abs=0.4)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotation_is_applied(clockwise: int, decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_DECODER", decoder)
    upright = read_all(open_frames(plain_video(tmp_path)))[1]
    source = open_frames(rotate_mp4(tmp_path / "clip.mp4", clockwise))
    turned = read_all(source)[1]

    assert source.size_hw == ((128, 96) if clockwise != 180 else (96, 128))
    assert np.abs(turned - np.rot90(upright, -clockwise // 90, axes=(1, 2))).max() <= 2


class TestChoiceOfDecoder:
    def test_pyav_takes_over_where_decord_fails(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = write_video(tmp_path / "clip.mkv", make_frames())
        data = bytearray(path.read_bytes())
        struct.pack_into(">d", data, data.index(b"\x44\x89\x88") + 3, 1e18)  # the duration, which decord counts by
        path.write_bytes(data)
        source = open_frames(path)

        for _ in range(2):  # it is tried, and reported, once
            numbers = [frame_number(frame) for _, frame in source.iter_frames()]
            assert numbers == pytest.approx(list(range(COUNT)), abs=0.4)

        assert [text for text in source.warnings if not text.startswith("truncated")] == []
        (record,) = [record for record in caplog.records if "decord" in record.getMessage()]
        assert record.levelno == logging.WARNING
        assert str(path) in record.getMessage()
        assert "\n" not in record.getMessage()

    def test_decord_s_error_is_reported_without_its_source_lines(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = plain_video(tmp_path)
        damaged = bytearray(path.read_bytes())
        middle = len(damaged) // 2
        damaged[middle : middle + 100] = bytes(100)
        path.write_bytes(damaged)
        read_all(open_frames(path))

        (message,) = [record.getMessage() for record in caplog.records if "PyAV" in record.getMessage()]
        assert ": decord cannot decode frame " in message
        assert ".cc" not in message
        assert "Check failed" not in message

    def test_pyav_takes_over_half_way(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = plain_video(tmp_path)
        expected = read_all(open_frames(path))[1]
        real = video.decode_decord

        def failing(*args: object) -> object:
            decode = real(*args)  # type: ignore[arg-type]

            def broken(wanted: NDArray[np.int64]) -> object:
                for index, frame in decode(wanted):
                    if index >= 12:
                        raise VideoError("decord cannot decode frame 12", where=path)
                    yield index, frame

            return broken

        monkeypatch.setattr(video, "decode_decord", failing)
        indices, frames = read_all(open_frames(path))

        assert indices == list(range(COUNT))
        assert np.array_equal(frames, expected)

    @pytest.mark.parametrize("reason", ["not installed", "video too long for it"])
    def test_decord_is_not_used(self, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = plain_video(tmp_path)
        if reason == "not installed":
            monkeypatch.setattr(video, "decord_available", lambda: False)
        else:
            # decord reads ahead without bound, and memory must stay flat.
            monkeypatch.setattr(video, "DECORD_MAX_BYTES", COUNT * 96 * 128 * 3 - 1)

        def refuse(*_: object) -> None:
            raise AssertionError("decord was used")

        monkeypatch.setattr(video, "decode_decord", refuse)
        assert len(read_all(open_frames(path))[0]) == COUNT

    def test_unknown_decoder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DFER_DECODER", "opencv")
        with pytest.raises(UsageError, match="DFER_DECODER"):
            open_frames(plain_video(tmp_path))

    def test_pyav_takes_over_from_forced_decord_and_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("DFER_DECODER", "decord")
        source = open_frames(write_video(tmp_path / "clip.ts", make_frames()))
        assert len(read_all(source)[0]) == COUNT
        assert "PyAV decodes it" in caplog.text
