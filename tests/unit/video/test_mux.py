"""Sound that is put to pictures, and recordings that are repacked."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.errors import VideoError
from dfer.video import VideoWriter, open_frames
from dfer.video.mux import Sound, repack
from tests.unit.video.videos import beep_times, make_frames, read_all, rotate_mp4, write_with_sound

FRAMES = make_frames(25)


def codecs(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [str(stream.codec_context.codec.canonical_name) for stream in container.streams]


@pytest.mark.parametrize(
    ("source", "codec", "written", "kept"),
    [
        ("in.mp4", "aac", "out.mp4", "aac"),
        ("in.mkv", "libopus", "out.mp4", "aac"),
        ("in.mkv", "libopus", "out.mkv", "opus"),
        ("in.mkv", "pcm_s16le", "out.mov", "aac"),
        ("in.mp4", "aac", "out.avi", "mp3"),
        ("in.avi", "libmp3lame", "out.mp4", "mp3"),
    ],
)
def test_sound_is_heard_when_it_was(tmp_path: Path, source: str, codec: str, written: str, kept: str) -> None:
    given = open_frames(write_with_sound(tmp_path / source, FRAMES, codec=codec))
    with VideoWriter(tmp_path / written, fps=25, size_hw=(96, 128), sound=given.sound) as writer:
        for index, frame in given.iter_frames():
            writer.write(frame, float(given.times_s[index]))
    assert codecs(tmp_path / written)[1:] == [kept]
    result = open_frames(tmp_path / written)
    assert result.num_frames == 25
    assert result.times_s[:-1] == pytest.approx(given.times_s[:-1], abs=2e-3)  # AVI has no time for its last frame
    assert beep_times(tmp_path / written) == pytest.approx((0.5, 0.6), abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source, written])


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"], ids=["copied", "encoded"])
def test_sound_before_the_first_frame_and_after_the_last_is_left_out(tmp_path: Path, codec: str) -> None:
    path = write_with_sound(tmp_path / "in.mkv", FRAMES, codec=codec, late_s=0.8, seconds=5.0)
    given = open_frames(path)
    assert given.sound is not None
    assert given.sound.start_s == pytest.approx(0.8, abs=0.01)
    with VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128), sound=given.sound) as writer:
        for index, frame in given.iter_frames():
            writer.write(frame, float(given.times_s[index]))
    assert beep_times(tmp_path / "out.mp4") == pytest.approx((0.5, 0.6), abs=0.05)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(1.0, abs=0.1)


def test_sound_that_cannot_be_read_leaves_the_pictures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING, logger="dfer"),
        VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128), sound=Sound(tmp_path / "gone.mp4", 0.0)) as writer,
    ):
        writer.write(FRAMES[0])
    assert open_frames(tmp_path / "out.mp4").num_frames == 1
    assert "the video has no sound" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_damaged_sound_is_copied_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write_with_sound(tmp_path / "in.mkv", FRAMES, codec="aac")
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: int(0.9 * len(data))])
    given = open_frames(path)
    with VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128), sound=given.sound) as writer:
        for frame in FRAMES:
            writer.write(frame)
    assert open_frames(tmp_path / "out.mp4").num_frames == 25


@pytest.mark.parametrize("turned", [0, 90])
def test_a_recording_is_repacked_as_it_is(tmp_path: Path, turned: int) -> None:
    path = write_with_sound(tmp_path / "in.mov", FRAMES, codec="pcm_s16le", late_s=0.4)
    if turned:
        rotate_mp4(path, turned)
    given = open_frames(path)
    assert given.media is not None
    repack(path, given.media.start_s, tmp_path / "out.mp4")
    result = open_frames(tmp_path / "out.mp4")
    assert result.media is not None
    assert result.media.is_played(result.path)
    assert result.media.offset_s == pytest.approx(0.0, abs=0.03)
    assert result.times_s == pytest.approx(given.times_s, abs=2e-3)
    assert np.array_equal(read_all(result)[1], read_all(given)[1])
    assert beep_times(tmp_path / "out.mp4") == pytest.approx((0.5, 0.6), abs=0.05)


def test_what_is_no_recording_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"nothing" * 99)
    with pytest.raises(VideoError, match="cannot copy the sound"):
        repack(tmp_path / "a.mkv", 0.0, tmp_path / "out.mp4")
