"""Frames in memory as a source: arrays, lists, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import UsageError, VideoError
from dfer.video import frames_source


def shades(count: int, height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    return np.stack([np.full((height, width, 3), n, np.uint8) for n in range(count)])


@pytest.mark.parametrize("form", [lambda array: array, list, lambda array: tuple(array[::-1][::-1])])
def test_frames_come_back_as_they_were(form: Any) -> None:
    source = frames_source(form(shades(5)), fps=10)
    assert (source.num_frames, source.fps, source.duration, source.size_hw) == (5, 10, 0.5, (24, 32))
    assert source.times_s == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert not source.fps_assumed
    for _ in range(2):
        assert [(index, int(frame[0, 0, 0])) for index, frame in source.iter_frames([3, 1])] == [(1, 1), (3, 3)]


def test_without_a_rate_25_is_assumed_and_a_single_frame_is_a_still() -> None:
    assert frames_source(shades(2)).fps_assumed
    still = frames_source(shades(1)[0])
    assert (still.num_frames, still.fps, still.fps_assumed) == (1, 25, False)


def test_frames_of_other_sizes_are_resized_to_the_first() -> None:
    source = frames_source([shades(1)[0], shades(2, 48, 64)[1]])
    assert [frame.shape for _, frame in source.iter_frames()] == [(24, 32, 3)] * 2


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "no frames"),
        (np.zeros((0, 24, 32, 3), np.uint8), "no frames"),
        (np.zeros((2, 24, 32, 3)), r"frame 0: expected uint8 \[H, W, 3\], got float64 \[24, 32, 3\]"),
        (np.zeros((2, 3, 24, 32), np.uint8), r"frame 0: .* got uint8 \[3, 24, 32\]"),
        (np.zeros((24, 32), np.uint8), r"expected frames \[N, H, W, 3\], got uint8 \[24, 32\]"),
        ([shades(1)[0], shades(1)[0, ..., 0]], r"frame 1: .* got uint8 \[24, 32\]"),
        ([shades(1)[0], None], "frame 1"),
        (np.zeros((2, 8, 8, 3), np.uint8), "too small"),
        (np.broadcast_to(np.uint8(0), (1, 20_000, 20_000, 3)), "too large"),
    ],
)
def test_what_is_no_rgb_video_is_refused(frames: Any, words: str) -> None:
    with pytest.raises(VideoError, match=words):
        frames_source(frames)


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_a_rate_that_is_none(fps: float) -> None:
    with pytest.raises(UsageError, match="the rate must be"):
        frames_source(shades(2), fps=fps)
