"""When frames are shown, where a recording pauses, and how far apart frames without timestamps are."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.faces.tracking.clock import FEW_FRAMES, KEYFRAME_S, MAX_GAP_S, Clock


@pytest.mark.parametrize("fps", [0.1, 0.2, 0.5, 1, 5, 23.976, 30, 240, 1000, 1 / 3600])
def test_at_a_steady_rate_each_frame_is_shown_until_the_next_one(fps: float) -> None:
    times = np.arange(40) / fps
    clock = Clock(times, 40 / fps)
    assert clock.ends_s == pytest.approx(np.arange(1, 41) / fps)
    assert not clock.pauses.any()
    assert clock.usual_s == pytest.approx(1 / fps)


@pytest.mark.parametrize("pause_s", [0.7, 40.0, 60.0, 86400.0])
@pytest.mark.parametrize("at", [1, 2, 50, 98, 99])
def test_a_pause_is_no_time_of_the_frame_before_it(pause_s: float, at: int) -> None:
    times = np.arange(100) / 30
    times[at:] += pause_s
    clock = Clock(times, times[-1] + 1 / 30)
    assert np.flatnonzero(clock.pauses).tolist() == [at - 1]
    assert clock.ends_s - clock.starts_s == pytest.approx(np.full(100, 1 / 30))


def test_two_pauses_around_one_frame() -> None:
    times = np.concatenate([np.arange(20) / 25, [40.0], 80 + np.arange(20) / 25])
    clock = Clock(times, 80.8)
    assert np.flatnonzero(clock.pauses).tolist() == [19, 20]
    assert (clock.ends_s - clock.starts_s).max() == pytest.approx(0.04)


def test_a_rate_that_changes_is_no_pause() -> None:
    times = np.cumsum([0.0, *[1 / 30] * 30, *[1.0] * 30, *[1 / 30] * 30])
    clock = Clock(times)
    assert not clock.pauses[35:55].any()
    assert clock.pauses.sum() <= 1


def test_a_lost_frame_is_no_pause() -> None:
    times = np.delete(np.arange(60) / 2, [20, 40])
    assert not Clock(times, 30.0).pauses.any()


@pytest.mark.parametrize("start", [5.0, -3.0, 1e6])
def test_the_first_frame_need_not_be_at_0(start: float) -> None:
    clock = Clock(start + np.arange(10) / 25, 0.4)
    assert clock.starts_s[0] == start
    assert clock.ends_s[-1] == pytest.approx(start + 0.4)


@pytest.mark.parametrize(
    ("duration", "end"),
    [(0.4, 0.4), (0.39, 0.39), (60.0, 0.4), (0.1, 0.4), (None, 0.4)],
    ids=["as it should be", "a short last frame", "longer than the video", "shorter than it", "not known"],
)
def test_the_last_frame_ends(duration: float | None, end: float) -> None:
    assert Clock(np.arange(10) / 25, duration).ends_s[-1] == pytest.approx(end)


def test_one_frame() -> None:
    clock = Clock(np.zeros(1), 0.04)
    assert (clock.starts_s.tolist(), clock.ends_s.tolist(), clock.pauses.tolist()) == ([0.0], [0.04], [False])


def test_two_frames_an_hour_apart() -> None:
    clock = Clock(np.array([0.0, 3600.0]), 7200.0)
    assert clock.ends_s.tolist() == [3600.0, 7200.0]
    assert not clock.pauses.any()


@pytest.mark.parametrize("times", [[0.0, 0.04, 0.04, 0.12], [0.0, 0.04, -5.0, 0.12], [0.0, 0.0, 0.0, 0.0]])
def test_times_that_do_not_increase_are_kept_in_order(times: list[float]) -> None:
    clock = Clock(np.array(times), 0.16)
    assert (np.diff(clock.starts_s) > 0).all()
    assert (clock.ends_s > clock.starts_s).all()
    assert clock.starts_s == pytest.approx(np.maximum.accumulate(times), abs=1e-5)


class TestWithoutTimestamps:
    def test_a_few_frames_are_far_apart(self) -> None:
        assert Clock(np.arange(FEW_FRAMES) / 25, timed=False).step_s(3, 4, change=0.0) > MAX_GAP_S

    def test_a_folder_of_video_is_not(self) -> None:
        clock = Clock(np.arange(100) / 25, timed=False)
        assert clock.step_s(3, 4, change=1.5) == pytest.approx(0.04)
        assert clock.step_s(3, 4, change=6.0) < KEYFRAME_S

    def test_pictures_that_have_little_in_common_are(self) -> None:
        assert Clock(np.arange(100) / 25, timed=False).step_s(3, 4, change=50.0) > MAX_GAP_S

    def test_timestamps_count_more_than_pictures(self) -> None:
        assert Clock(np.arange(100) / 25).step_s(3, 4, change=50.0) == pytest.approx(0.04)
        assert Clock(np.arange(3) / 25).step_s(1, 2, change=50.0) == pytest.approx(0.04)
