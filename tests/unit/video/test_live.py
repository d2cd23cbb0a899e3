"""Frames as they come: a file that plays as a camera would, slow readers, and sources that are none."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import VideoError
from dfer.video import VideoWriter
from dfer.video.live import LiveSource, drop_share
from tests.rtsp import playing

FRAMES, FPS = 30, 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    with VideoWriter(path, fps=FPS, size_hw=(48, 64), crf=10) as writer:
        for number in range(FRAMES):
            writer.write(np.full((48, 64, 3), 8 * number, np.uint8))
    return path


@pytest.mark.parametrize("is_camera", [True, False])
def test_a_file_plays_in_real_time(clip: Path, is_camera: bool) -> None:
    begun = time.monotonic()
    with LiveSource(str(clip), is_camera=is_camera) as source:
        frames = list(source.frames())
    assert time.monotonic() - begun >= (FRAMES - 1) / FPS
    assert source.name == str(clip)
    assert source.came == FRAMES
    assert len(frames) == source.taken
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx((FRAMES - 1) / FPS, abs=1e-3)
    for frame in frames:  # each frame is what was shown then
        assert frame.rgb.mean() == pytest.approx(8 * frame.time_s * FPS, abs=4)
        assert frame.came_s - begun >= frame.time_s - 0.01


def test_a_stream_comes_as_it_is_sent(clip: Path) -> None:
    with playing(clip, pause_s=0.01) as url, LiveSource(url, is_camera=False) as source:
        frames = list(source.frames())
    assert source.name == url
    assert source.came == FRAMES
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))


def test_who_is_slow_gets_the_latest_frame(clip: Path) -> None:
    with LiveSource(str(clip), is_camera=True) as source:
        taken = []
        for frame in source.frames():
            taken.append(frame.time_s)
            time.sleep(0.2)
    assert len(taken) < FRAMES / 2
    assert min(np.diff(taken)[:-1]) > 3 / FPS
    assert drop_share(source.came, source.taken) == pytest.approx(1 - len(taken) / FRAMES)


def test_a_block_that_ends_early_ends_the_reading(clip: Path) -> None:
    with LiveSource(str(clip), is_camera=True) as source:
        next(source.frames())
    assert not source._thread.is_alive()
    assert source.came < FRAMES


@pytest.mark.parametrize("content", [b"", b"no video" * 100])
def test_a_source_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with LiveSource(str(tmp_path / "a.mp4"), is_camera=False) as source, pytest.raises(VideoError, match="cannot read"):
        list(source.frames())


@pytest.mark.skipif(sys.platform != "linux", reason="names of devices")
def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    with LiveSource("99", is_camera=True) as source, pytest.raises(VideoError, match="camera 99") as caught:
        list(source.frames())
    assert "plugged in" in (caught.value.hint or "")
