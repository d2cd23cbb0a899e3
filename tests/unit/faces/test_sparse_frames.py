"""Faces in frames that lie far apart: slow videos, pauses, stray timestamps, sampled frames, albums."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.faces.tracking.clock import Clock
from dfer.faces.tracking.track import track_faces, track_main_face
from dfer.records import FaceTrack
from tests.scenes import SIZE_HW, Scene, centres, steady


def tracks_of(scene: Scene, clock: Clock) -> list[FaceTrack]:
    return track_faces(scene.frames(), scene.oracle, clock)


def main_of(scene: Scene, clock: Clock) -> FaceTrack:
    track = track_main_face(scene.frames(), scene.oracle, clock, SIZE_HW)
    assert track is not None
    return track


def untimed(count: int) -> Clock:
    return Clock(np.arange(count) / 25, count / 25, timed=False)


@pytest.mark.parametrize("fps", [7, 5, 1, 0.5, 0.2, 0.1, 1 / 3600])
@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_a_face_in_every_frame_of_a_slow_video(fps: float, count: int) -> None:
    (track,) = tracks_of(Scene([[(0, 60 + n, 60)] for n in range(count)]), steady(count, fps))
    assert track.frames.tolist() == list(range(count))
    assert track.detected.all()
    assert centres(track)[:, 0] == pytest.approx(60 + np.arange(count), abs=0.01)


@pytest.mark.parametrize("clock", [steady(8, 5), steady(8, 0.1), untimed(8)], ids=["5", "0.1", "folder"])
@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_face_in_one_of_sampled_frames_counts(clock: Clock, at: int) -> None:
    scene = Scene([[(0, 80, 60)] if n == at else [] for n in range(8)])
    assert main_of(scene, clock).frames.tolist() == [at]


@pytest.mark.parametrize("clock", [steady(40, 25), steady(40, 12), untimed(40)], ids=["25", "12", "folder"])
def test_a_false_face_in_one_frame_of_dense_video_does_not(clock: Clock) -> None:
    scene = Scene([[(0, 80, 60)] if n == 20 else [] for n in range(40)])
    assert tracks_of(scene, clock) == []
    scene = Scene([[(0, 80, 60), *([(1, 20, 20)] if n == 20 else [])] for n in range(40)])
    assert [centres(track)[0, 0] for track in tracks_of(scene, clock)] == pytest.approx([80], abs=0.01)


def test_positions_of_a_slow_video_are_not_smoothed_and_gaps_not_filled() -> None:
    places = [40, 52, 44, 58, 40, 50, 61, 47]
    (track,) = tracks_of(Scene([[] if n == 4 else [(0, x, 60)] for n, x in enumerate(places)]), steady(8, 1))
    assert track.frames.tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert centres(track)[:, 0] == pytest.approx(np.delete(places, 4), abs=0.01)


@pytest.mark.parametrize("pause_s", [1.5, 40.0, 60.0])
def test_a_face_is_the_same_one_after_a_pause(pause_s: float) -> None:
    times = np.arange(60) / 30
    times[25:] += pause_s
    (track,) = tracks_of(Scene([[(0, 80, 60)]] * 60), Clock(times, times[-1] + 1 / 30))
    assert track.frames.tolist() == list(range(60))


@pytest.mark.parametrize("pause_s", [3.0, 40.0, 60.0])
def test_another_person_after_a_pause_is_another(pause_s: float) -> None:
    times = np.arange(60) / 30
    times[25:] += pause_s
    scene = Scene([[(int(n >= 25), 80, 60)] for n in range(60)])
    first, second = tracks_of(scene, Clock(times))
    assert first.frames.tolist() == list(range(25))
    assert second.frames.tolist() == list(range(25, 60))
    assert main_of(scene, Clock(times)).frames.tolist() == list(range(25, 60))


def test_a_cut_after_a_pause() -> None:
    times = np.arange(60) / 30
    times[25:] += 40
    scene = Scene([[(0, 80 if n < 25 else 30, 60)] for n in range(60)], [60] * 25 + [160] * 35)
    (track,) = tracks_of(scene, Clock(times))
    assert track.frames.tolist() == list(range(60))
    assert track.shots is not None
    assert track.shots.tolist() == [0] * 25 + [1] * 35


@pytest.mark.parametrize("stray", [0, 30, 59])
@pytest.mark.parametrize("jump_s", [5.0, 100.0])
def test_one_frame_far_from_all_others(stray: int, jump_s: float) -> None:
    """A wrong timestamp puts a frame at the video's end or, with all others behind it, at its beginning."""
    times = np.arange(60) / 25
    times[stray:] += jump_s
    times[stray + 1 :] += jump_s
    (track,) = tracks_of(Scene([[(0, 80, 60)]] * 60), Clock(times))
    assert track.frames.tolist() == list(range(60))


class TestMainFaceOfPictures:
    """Which nobody can be followed through by place."""

    def test_album_of_different_people(self) -> None:
        count = 30
        people = [[] if n % 10 == 9 else [(n, 40 + 3 * n, 60)] for n in range(count)]
        scene = Scene(people, [40 + 97 * n % 190 for n in range(count)])
        track = main_of(scene, untimed(count))
        assert track.frames.tolist() == [n for n in range(count) if n % 10 != 9]
        assert track.people is not None
        assert len(set(track.people.tolist())) > 20
        assert centres(track)[:, 0] == pytest.approx([40 + 3 * n for n in track.frames], abs=0.01)
        assert len(tracks_of(scene, untimed(count))) == len(set(track.people.tolist()))

    def test_slides_of_different_people(self) -> None:
        scene = Scene([[(n, 40 + 9 * n, 60)] for n in range(8)])
        assert main_of(scene, steady(8, 0.2)).frames.tolist() == list(range(8))

    def test_one_person_is_no_mixture(self) -> None:
        track = main_of(Scene([[(0, 40 + 9 * n, 60)] for n in range(8)]), untimed(8))
        assert track.frames.tolist() == list(range(8))
        assert track.people is None

    def test_somebody_seen_beside_the_main_face_does_not_stand_in_for_it(self) -> None:
        people = [[(0, 80, 60)] * (n < 6) + [(1, 20, 20)] * (n > 3) for n in range(8)]
        track = main_of(Scene(people), untimed(8))
        assert track.frames.tolist() == list(range(6))
        assert track.people is None

    def test_somebody_who_is_seen_for_long_in_a_slow_video_is_another(self) -> None:
        scene = Scene([[(0, 50, 60)] if n < 10 else [(1, 110, 60)] for n in range(20)])
        assert main_of(scene, steady(20, 1)).frames.tolist() == list(range(10))
        assert len(tracks_of(scene, steady(20, 1))) == 2
