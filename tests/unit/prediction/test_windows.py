"""Cells and windows of a timeline, and the crops of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from dfer.prediction.windows import cut_cells, iter_window_crops
from dfer.records import FaceTrack


def _track(*stretches: range) -> FaceTrack:
    frames = np.array([frame for stretch in stretches for frame in stretch], np.int64)
    count = len(frames)
    return FaceTrack(
        0, frames, np.zeros((count, 4), np.float32), np.zeros((count, 5, 2), np.float32), np.ones(count, np.bool_), 1.0
    )


@pytest.mark.parametrize(
    ("stretches", "stride", "window", "expected"),
    [
        pytest.param([range(32)], 16, 16, [(0, 15, 0, 15), (16, 31, 16, 31)], id="windows that are their cells"),
        pytest.param([range(40)], 16, 16, [(0, 15, 0, 15), (16, 31, 16, 31), (32, 39, 24, 39)], id="a half cell stays"),
        pytest.param([range(36)], 16, 16, [(0, 15, 0, 15), (16, 35, 18, 33)], id="a short rest joins the one before"),
        pytest.param([range(10)], 16, 16, [(0, 9, 0, 9)], id="shorter than a cell"),
        pytest.param([range(1)], 16, 16, [(0, 0, 0, 0)], id="one frame"),
        pytest.param([range(20, 36)], 16, 16, [(20, 35, 20, 35)], id="a face that comes late"),
        pytest.param([range(8), range(50, 58)], 8, 16, [(0, 7, 0, 7), (50, 57, 50, 57)], id="no window over a gap"),
        pytest.param([range(48)], 16, 32, [(0, 15, 0, 31), (16, 31, 8, 39), (32, 47, 16, 47)], id="wide windows"),
        pytest.param([range(32)], 8, 75, [(n, n + 7, 0, 31) for n in (0, 8, 16, 24)], id="a clip as in training"),
        pytest.param([range(48)], 24, 8, [(0, 23, 8, 15), (24, 47, 32, 39)], id="cells longer than windows"),
    ],
)
def test_cells_and_windows(
    stretches: list[range], stride: int, window: int, expected: list[tuple[int, int, int, int]]
) -> None:
    track = _track(*stretches)
    cells = cut_cells(track, stride=stride, window=window)
    places = [(cell[0], cell[-1], of_window[0], of_window[-1]) for cell, of_window in cells]
    assert [tuple(int(track.frames[place]) for place in four) for four in places] == expected


@pytest.mark.parametrize("stride", [1, 5, 16])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 33, 100])
def test_cells_hold_every_frame_once_and_windows_keep_their_order(length: int, stride: int) -> None:
    cells = cut_cells(_track(range(length)), stride=stride, window=16)
    assert [place for cell, _ in cells for place in cell] == list(range(length))
    ends = [window[-1] for _, window in cells]
    assert ends == sorted(ends)
    assert all(len(window) == min(16, length) for _, window in cells)


def test_windows_get_their_crops_from_one_pass_over_the_frames_they_need() -> None:
    read: list[int] = []

    def iter_frames(indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        for index in indices:
            read.append(index)
            yield index, np.full((4, 4, 3), index, np.uint8)

    tracks = [_track(range(20)), _track(range(5, 25))]
    windows = [(0, range(8)), (0, range(4, 12)), (1, range(3)), (1, range(16, 20))]
    source = SimpleNamespace(iter_frames=iter_frames)
    crops = dict(iter_window_crops(source, tracks, windows, lambda frame, _landmarks: frame[:1, :1]))
    assert read == [*range(12), *range(21, 25)]
    assert set(crops) == set(windows)
    for (face, places), images in crops.items():
        assert images[:, 0, 0, 0].tolist() == tracks[face].frames[places].tolist()
