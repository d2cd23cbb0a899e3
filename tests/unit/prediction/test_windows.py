"""Cells and windows of a timeline, and the crops of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.batches.sampling import sample_frames
from dfer.faces.tracking.clock import Clock
from dfer.prediction.windows import (
    Cell,
    Sampling,
    Window,
    cut_cells,
    default_stride_s,
    default_window_s,
    iter_crops,
    iter_window_crops,
)
from dfer.records import FaceTrack


def _track(*stretches: range) -> FaceTrack:
    frames = np.array([frame for stretch in stretches for frame in stretch], np.int64)
    count = len(frames)
    return FaceTrack(
        0, frames, np.zeros((count, 4), np.float32), np.zeros((count, 5, 2), np.float32), np.ones(count, np.bool_), 1.0
    )


def _cut(track: FaceTrack, clock: Clock, *, stride_s: float, window_s: float) -> list[Cell]:
    return cut_cells(track, clock, stride_s=stride_s, sampling=Sampling(window_s, num_frames=16, segments=8))


def _cells(track: FaceTrack, clock: Clock, **lengths: float) -> list[tuple[float, float, int, int, int, int]]:
    """Return of each cell its start and end, its first and last frame, and those of its window."""
    frames = track.frames
    return [
        (
            round(cell.start, 6),
            round(cell.end, 6),
            *(
                int(frames[place])
                for place in (cell.places[0], cell.places[-1], cell.window.places[0], cell.window.places[-1])
            ),
        )
        for cell in _cut(track, clock, **lengths)
    ]


def _steady(count: int, fps: float) -> Clock:
    return Clock(np.arange(count) / fps, count / fps)


@pytest.mark.parametrize(
    ("stretches", "stride", "window", "expected"),
    [
        pytest.param([range(32)], 16, 16, [(0, 15, 0, 15), (16, 31, 16, 31)], id="windows that are their cells"),
        pytest.param([range(40)], 16, 16, [(0, 15, 0, 15), (16, 31, 16, 31), (32, 39, 24, 39)], id="a short rest"),
        pytest.param([range(10)], 16, 16, [(0, 9, 0, 9)], id="shorter than a cell"),
        pytest.param([range(1)], 16, 16, [(0, 0, 0, 0)], id="one frame"),
        pytest.param([range(20, 36)], 16, 16, [(20, 31, 20, 35), (32, 35, 20, 35)], id="a face that comes late"),
        pytest.param([range(8), range(50, 56)], 8, 16, [(0, 7, 0, 7), (50, 55, 50, 55)], id="no window over a gap"),
        pytest.param([range(48)], 16, 32, [(0, 15, 0, 31), (16, 31, 8, 39), (32, 47, 16, 47)], id="wide windows"),
        pytest.param([range(32)], 8, 75, [(n, n + 7, 0, 31) for n in (0, 8, 16, 24)], id="a clip as in training"),
        pytest.param([range(48)], 24, 8, [(0, 23, 8, 15), (24, 47, 32, 39)], id="cells longer than windows"),
    ],
)
@pytest.mark.parametrize("fps", [1, 25, 30000 / 1001, 240])
def test_cells_and_windows(
    stretches: list[range], stride: int, window: int, expected: list[tuple[int, int, int, int]], fps: float
) -> None:
    """Whose lengths are those of so many frames."""
    cells = _cells(_track(*stretches), _steady(60, fps), stride_s=stride / fps, window_s=window / fps)
    assert [cell[2:] for cell in cells] == expected


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(np.arange(75) / 25, id="25"),
        pytest.param(np.arange(72) * 1001 / 24000, id="23.976"),
        pytest.param(np.arange(90) * 1001 / 30000, id="29.97"),
        pytest.param(np.arange(90) / 30, id="30"),
        pytest.param(np.round(np.arange(90) / 30, 3), id="30, in milliseconds"),
        pytest.param(np.arange(720) / 240, id="240"),
        pytest.param(np.arange(3000) / 1000, id="1000"),
        pytest.param(np.arange(15) / 5, id="5"),
        pytest.param(np.arange(3.0), id="1"),
        pytest.param(np.cumsum(np.random.default_rng(0).uniform(0.001, 0.08, 75)), id="variable"),
    ],
)
def test_cells_of_a_tenth_of_a_second_are_the_same_at_any_rate(times: NDArray[np.float64]) -> None:
    if times[0] > 0:
        times = (times - times[0]) * 2.96 / np.ptp(times)
    cells = _cut(_track(range(len(times))), Clock(times, 3.0), stride_s=0.1, window_s=1.0)
    edges = np.array([cell.start for cell in cells] + [cells[-1].end])
    assert edges[:-1] == pytest.approx(0.1 * np.arange(len(cells)), abs=1e-9)
    assert edges[-1] == pytest.approx(3.0, abs=0.05)
    assert len(cells) in (30, 31)
    for cell in cells:
        shown = times[list(cell.places)]
        assert (shown < cell.end).all()
        assert len(shown) == 1 or (shown >= cell.start - 1e-6).all()


@pytest.mark.parametrize(("fps", "cells_each"), [(0.1, 20), (0.5, 4), (1, 2)])
def test_a_frame_that_is_shown_for_long_fills_all_its_cells(fps: float, cells_each: int) -> None:
    cells = _cells(_track(range(2)), _steady(2, fps), stride_s=0.5, window_s=0.3)
    assert [cell[2] for cell in cells] == [0] * cells_each + [1] * cells_each
    assert all(cell[2:4] == cell[4:6] for cell in cells)


@pytest.mark.parametrize("pause_s", [0.6, 40.0, 60.0])
def test_no_cell_and_no_window_reaches_over_a_pause(pause_s: float) -> None:
    times = np.arange(100) / 25
    times[30:] += pause_s
    clock = Clock(times, times[-1] + 0.04)
    cells = _cut(_track(range(100)), clock, stride_s=0.64, window_s=3.0)
    assert not [cell for cell in cells if cell.end > 1.2 + 1e-6 and cell.start < 1.2 + pause_s - 1e-6]
    assert sum(cell.end - cell.start for cell in cells) == pytest.approx(4.0)
    assert {place < 30 for cell in cells for place in cell.window.places if cell.start < 1.2} == {True}
    assert {place >= 30 for cell in cells for place in cell.window.places if cell.start > 1.2} == {True}


def test_a_cell_ends_at_a_cut_and_its_window_may_see_the_same_face_beyond() -> None:
    track = replace(_track(range(50)), shots=np.repeat([0, 1], [20, 30]))
    assert _cells(track, _steady(50, 25), stride_s=0.64, window_s=5.0) == [
        (0.0, 0.64, 0, 15, 0, 49),
        (0.64, 0.8, 16, 19, 0, 49),
        (0.8, 1.28, 20, 31, 0, 49),
        (1.28, 1.92, 32, 47, 0, 49),
        (1.92, 2.0, 48, 49, 0, 49),
    ]


def test_no_window_shows_two_people() -> None:
    track = replace(_track(range(6)), people=np.array([0, 0, 1, 0, 2, 2]))
    cells = _cells(track, _steady(6, 25), stride_s=1.0, window_s=5.0)
    assert [cell[2:] for cell in cells] == [(0, 1, 0, 1), (2, 2, 2, 2), (3, 3, 3, 3), (4, 5, 4, 5)]


def test_no_cell_is_so_short_that_its_start_is_its_end() -> None:
    times = np.arange(60) * 1001 / 30000  # the fourth frame is at 0.1001 s
    track = replace(_track(range(60)), shots=np.repeat([0, 1], [3, 57]))
    cells = _cut(track, Clock(times, 60 * 1001 / 30000), stride_s=0.1, window_s=1.0)
    assert all(round(cell.start, 3) < round(cell.end, 3) for cell in cells)
    assert cells[0].end == pytest.approx(0.1001)


@pytest.mark.parametrize("start", [5.0, -3.0])
def test_the_grid_begins_at_0_wherever_the_video_does(start: float) -> None:
    clock = Clock(start + 0.02 + np.arange(25) / 25, 1.0)
    cells = _cut(_track(range(25)), clock, stride_s=0.5, window_s=1.0)
    assert [cell.start for cell in cells] == pytest.approx([start + 0.02, start + 0.5, start + 1.0])
    assert cells[-1].end == pytest.approx(start + 1.02)


@pytest.mark.parametrize("stride_s", [0.01, 0.2, 0.64, 5.0])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 33, 100])
def test_cells_cover_the_time_of_every_frame_once_and_windows_keep_their_order(length: int, stride_s: float) -> None:
    cells = _cut(_track(range(length)), _steady(length, 25), stride_s=stride_s, window_s=0.64)
    assert {place for cell in cells for place in cell.places} == set(range(length))
    assert [cell.end for cell in cells[:-1]] == [cell.start for cell in cells[1:]]
    assert (cells[0].start, cells[-1].end) == pytest.approx((0.0, length / 25))
    bounds = [(cell.window.places[0], cell.window.places[-1]) for cell in cells]
    assert bounds == sorted(bounds)
    assert [last for _, last in bounds] == sorted(last for _, last in bounds)
    assert all(abs(len(cell.window.places) - min(16, length)) <= 1 for cell in cells)
    assert len(set(bounds)) <= length


@pytest.mark.parametrize("stride_s", [0.04, 0.1, 0.64])
@pytest.mark.parametrize("fps", [16, 24, 25, 30000 / 1001, 50, 60, 240])
def test_windows_that_overlap_see_the_same_frames(fps: float, stride_s: float) -> None:
    """So the model's work grows with the time, neither with the frame rate nor with the number of windows."""
    count = round(20 * fps)
    cells = _cut(_track(range(count)), _steady(count, fps), stride_s=stride_s, window_s=1.0)
    assert len({place for cell in cells for place in cell.window.sampled}) == 20 * 16
    for cell in cells:
        assert len(set(cell.window.sampled)) == 16
        assert set(cell.window.sampled) <= set(cell.window.places)
        middle = (cell.window.places[0] + cell.window.places[-1] + 1) / 2 / fps
        assert middle == pytest.approx(min(max((cell.start + cell.end) / 2, 0.5), 19.5), abs=0.0626 + 1 / fps)


@pytest.mark.parametrize("stride_s", [0.1, 0.64, 2.0])
@pytest.mark.parametrize("window_s", [0.64, 1.0, 3.0, 20.0])
def test_a_window_lies_around_its_cell(window_s: float, stride_s: float) -> None:
    cells = _cut(_track(range(1500)), _steady(1500, 25), stride_s=stride_s, window_s=window_s)
    for cell in cells:
        middle = (cell.window.places[0] + cell.window.places[-1] + 1) / 2 / 25
        wanted = min(max((cell.start + cell.end) / 2, window_s / 2), 60 - window_s / 2)
        assert middle == pytest.approx(wanted, abs=max(stride_s, 0.125) / 2 + 1 / 25)
        assert len(cell.window.places) / 25 == pytest.approx(window_s, abs=1 / 25)
    steps = 60 / window_s * 8 * max(1, np.ceil(window_s / 8 / max(stride_s, 0.125)))
    assert len({cell.window for cell in cells}) <= min(len(cells), steps)


@pytest.mark.parametrize("count", [16, 17, 25, 31, 48, 240])
def test_the_model_sees_of_a_window_what_it_sees_of_a_clip_in_testing(count: int) -> None:
    (window,) = {cell.window for cell in _cut(_track(range(count)), _steady(count, 25), stride_s=0.5, window_s=10.0)}
    assert window.places == range(count)
    assert window.sampled == tuple(sample_frames(count, 16, 8).tolist())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mean_s", [0.02, 0.04, 0.06, 0.2])
def test_irregular_frames_are_seen_in_order(mean_s: float, seed: int) -> None:
    times = np.cumsum(np.random.default_rng(seed).exponential(mean_s, 300))
    track = replace(_track(range(10, 310)), frames=np.arange(300))
    cells = _cut(track, Clock(times, times[-1] - times[0] + mean_s), stride_s=0.3, window_s=1.0)
    windows = list(dict.fromkeys(cell.window for cell in cells))
    for window in windows:
        assert len(window.sampled) == 16
        assert list(window.sampled) == sorted(window.sampled)
        assert set(window.sampled) <= set(window.places)
        assert len(window.places) > 16 or set(window.sampled) == set(window.places)
    for one, two in pairwise(windows):
        assert one.places[0] <= two.places[0]
        assert one.sampled[0] <= two.sampled[0]
        assert one.sampled[-1] <= two.sampled[-1]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (25, 0.64),
        (30, 16 / 30),
        (24000 / 1001, 16 * 1001 / 24000),
        (60, 16 / 30),
        (1000, 16 / 30),
        (10, 0.8),
        (0.1, 10),
    ],
)
def test_default_length_of_a_cell(fps: float, expected: float) -> None:
    assert default_stride_s(_steady(50, fps), 16) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("clip_s", "stride_s", "expected"), [(2.4, 0.64, 2.4), (0.5, 0.64, 0.64), (0.04, 0.64, 1.0), (0.0, 5.0, 5.0)]
)
def test_a_window_is_as_long_as_a_clip_in_training_but_a_still_has_no_length(
    clip_s: float, stride_s: float, expected: float
) -> None:
    assert default_window_s(clip_s, stride_s) == expected


def test_a_pause_does_not_change_the_default_length_of_a_cell() -> None:
    times = np.arange(50) / 25
    times[20:] += 60
    assert default_stride_s(Clock(times, 63.0), 16) == pytest.approx(0.64)


def test_windows_get_their_crops_from_one_pass_over_the_frames_they_need() -> None:
    read: list[int] = []

    def iter_frames(indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        for index in indices:
            read.append(index)
            yield index, np.full((4, 4, 3), index, np.uint8)

    def crop(frame: NDArray[np.uint8], _face: int, _place: int) -> NDArray[np.uint8]:
        return frame[:1, :1]

    tracks = [_track(range(20)), _track(range(5, 25))]
    spans = [(0, range(8)), (0, range(4, 12)), (1, range(3)), (1, range(16, 20))]
    source = SimpleNamespace(iter_frames=iter_frames)
    crops = list(iter_crops(source, tracks, ((face, tuple(places[::2])) for face, places in spans), crop))
    assert read == [0, 2, 4, 5, 6, 7, 8, 10, 21, 23]
    wanted = {(face, place) for face, places in spans for place in places[::2]}
    assert {(face, place) for face, place, _ in crops} == wanted
    assert len(crops) == len(wanted)
    for face, place, image in crops:
        assert image[0, 0, 0] == tracks[face].frames[place]
    for face in (0, 1):
        places = [place for other, place, _ in crops if other == face]
        assert places == sorted(places)
    windows = [(face, Window(places, tuple(places[::2]))) for face, places in spans]
    whole = dict(iter_window_crops(source, tracks, windows, crop))
    assert read[10:] == [*range(12), *range(21, 25)]
    assert set(whole) == set(windows)
    for (face, seen), images in whole.items():
        assert images[:, 0, 0, 0].tolist() == tracks[face].frames[seen.places].tolist()
