"""Tracks of a detector that knows the truth, and of real detectors on real clips."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.faces.detectors import Detector, build_detector, find_detector_weights
from dfer.faces.detectors.scrfd import ScrfdDetector
from dfer.faces.tracking.clock import Clock
from dfer.faces.tracking.track import choose_main_track, track_faces
from dfer.records import Face, FaceTrack
from dfer.video import open_frames
from tests.scenes import SIZE_HW, Oracle, centres, make_face, steady

EVERY = 4  # frames from keyframe to keyframe, at 25 a second


class CloseUpOracle(Oracle):
    """An oracle that looks closely: near a box it gives the true faces, in the whole frame it is 3 pixels off."""

    uses_around = True

    def __init__(self, faces_at: Callable[[int], list[Face]]) -> None:
        super().__init__(faces_at)
        self.searched: list[int] = []

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:
        faces = super().detect(frame_rgb)
        if around is None:
            self.searched.append(self.keyframes[-1])
            return [replace(face, box_xyxy=face.box_xyxy + 3, landmarks=face.landmarks + 3) for face in faces]
        distances = [float(np.abs(face.box_xyxy - around).sum()) for face in faces]
        return [faces[n] for n in np.argsort(distances) if distances[n] < 80]


def make_video(count: int, cuts: tuple[int, ...] = ()) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames of noise on a grey that changes at each cut."""
    rng = np.random.default_rng(0)
    for n in range(count):
        grey = 40 + 70 * (sum(n >= cut for cut in cuts) % 3)
        frame = (grey + rng.integers(0, 12, (*SIZE_HW, 3))).astype(np.uint8)
        frame[0, 0] = n // 256, n % 256, 0
        yield n, frame


def test_moving_face_is_followed_through_every_frame() -> None:
    def path(n: int) -> tuple[float, float]:
        return 40 + 0.8 * n, 60 + 12 * np.sin(n / 15)

    oracle = Oracle(lambda n: [make_face(*path(n), size=30 + 0.1 * n)])
    (track,) = track_faces(make_video(100), oracle, steady(100))

    assert track.frames.tolist() == list(range(100))
    assert track.frames.dtype == np.int64
    assert track.detected.all()
    assert track.boxes_xyxy.shape == (100, 4)
    assert track.landmarks.shape == (100, 5, 2)
    truth = np.array([path(n) for n in range(100)])
    assert np.abs(centres(track) - truth).max() < 0.5
    expected = np.stack([make_face(*path(n), size=30 + 0.1 * n).landmarks for n in range(100)])
    assert np.abs(track.landmarks - expected).max() < 0.5
    assert track.score == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("fps", "count", "expected"),
    [
        (24, 12, [0, 4, 8, 11]),
        (25, 12, [0, 4, 8, 11]),
        (30000 / 1001, 12, [0, 4, 8, 11]),
        (12.5, 7, [0, 2, 4, 6]),
        (60, 24, [0, 8, 16, 23]),
        (240, 80, [0, 32, 64, 79]),
        (1000, 300, [0, 131, 262, 299]),
        (5, 4, [0, 1, 2, 3]),
        (0.1, 4, [0, 1, 2, 3]),
    ],
)
def test_detector_runs_several_times_a_second_and_in_the_last_frame(
    fps: float, count: int, expected: list[int]
) -> None:
    oracle = Oracle(lambda _: [])
    assert track_faces(make_video(count), oracle, steady(count, fps)) == []
    assert oracle.keyframes == expected


def test_smoothing_takes_jitter_away_without_lag() -> None:
    count = 4 * EVERY * 20 + 1
    noise = np.random.default_rng(1).normal(0, 1, count)
    truth = 80 + 30 * np.sin(np.arange(count) / 25)
    measured = truth + noise
    (track,) = track_faces(make_video(count), Oracle(lambda n: [make_face(measured[n], 60)]), steady(count))
    (backwards,) = track_faces(make_video(count), Oracle(lambda n: [make_face(measured[::-1][n], 60)]), steady(count))

    keyframes = np.arange(0, count, EVERY)
    assert (centres(track)[keyframes, 0] - truth[keyframes]).std() < 0.8 * noise[keyframes].std()
    # What lags behind in one direction would run ahead in the other.
    assert centres(backwards)[::-1] == pytest.approx(centres(track), abs=1e-3)


def test_crossing_faces_keep_their_identity() -> None:
    """Two faces pass each other at different heights, overlapping half way."""
    oracle = Oracle(
        lambda n: sorted([make_face(30 + n, 55), make_face(130 - n, 65)], key=lambda face: float(face.box_xyxy[0]))
    )
    tracks = track_faces(make_video(100), oracle, steady(100))

    assert len(tracks) == 2
    for track, (start, end) in zip(tracks, [(30, 129), (130, 31)], strict=True):
        assert centres(track)[[0, -1], 0] == pytest.approx([start, end], abs=1)
        assert np.ptp(centres(track)[:, 1]) < 1


def test_cut_ends_association_by_position() -> None:
    """Another person appears in the same place: two tracks that meet at the cut, no frame lost between keyframes."""
    oracle = Oracle(lambda n: [make_face(80, 60, size=30 if n < 50 else 32)])
    first, second = track_faces(make_video(99, cuts=(50,)), oracle, steady(99))

    assert first.frames.tolist() == list(range(50))
    assert second.frames.tolist() == list(range(50, 99))
    assert (first.boxes_xyxy[:, 2] - first.boxes_xyxy[:, 0]).max() == pytest.approx(30, abs=1e-3)
    assert [first.track_id, second.track_id] == [0, 1]
    assert first.shots is not None
    assert second.shots is not None
    assert {*first.shots} == {0}
    assert {*second.shots} == {1}
    assert {49, 50} <= set(oracle.keyframes)


def test_short_gap_is_filled_and_marked() -> None:
    oracle = Oracle(lambda n: [] if 40 < n <= 48 else [make_face(40 + n / 2, 60)])
    (track,) = track_faces(make_video(100), oracle, steady(100))

    assert track.frames.tolist() == list(range(100))
    assert np.flatnonzero(~track.detected).tolist() == list(range(41, 52))
    assert centres(track)[:, 0] == pytest.approx(40 + np.arange(100) / 2, abs=0.5)


def test_long_gap_is_left_out() -> None:
    oracle = Oracle(lambda n: [] if 40 < n <= 70 else [make_face(80, 60)])
    (track,) = track_faces(make_video(120), oracle, steady(120))

    assert track.frames.tolist() == [*range(41), *range(72, 120)]
    assert track.detected.all()


def test_gap_is_measured_in_seconds() -> None:
    oracle = Oracle(lambda n: [] if 40 < n <= 60 else [make_face(80, 60)])
    (dense,) = track_faces(make_video(120), oracle, steady(120, fps=100))
    (usual,) = track_faces(make_video(120), oracle, steady(120))

    assert dense.frames.tolist() == list(range(120))
    assert usual.frames.tolist() == [*range(41), *range(64, 120)]


def test_face_that_comes_back_late_is_another() -> None:
    oracle = Oracle(lambda n: [] if 40 < n <= 140 else [make_face(80, 60)])
    tracks = track_faces(make_video(200), oracle, steady(200))

    assert [track.frames[[0, -1]].tolist() for track in tracks] == [[0, 40], [144, 199]]


def test_single_false_detection_is_no_track() -> None:
    oracle = Oracle(lambda n: [make_face(80, 60)] + ([make_face(20, 20, 20)] if n == 40 else []))
    (track,) = track_faces(make_video(100), oracle, steady(100))

    assert centres(track).mean(0) == pytest.approx([80, 60], abs=0.1)


def test_false_detections_in_different_places_are_no_track() -> None:
    oracle = Oracle(lambda n: [make_face(15 + n * 37 % 130, 15 + n * 53 % 90, 12)] if n % 8 == 0 else [])
    assert track_faces(make_video(60), oracle, steady(60)) == []


def test_known_faces_are_looked_at_closely_and_the_frame_is_searched_now_and_then() -> None:
    oracle = CloseUpOracle(lambda n: [make_face(80, 60)] + ([make_face(30, 30)] if n >= 20 else []))
    first, second = track_faces(make_video(100), oracle, steady(100))

    assert oracle.searched[:3] == [0, 4 * EVERY, 8 * EVERY]
    assert second.frames[0] == 8 * EVERY  # the first search after the face appeared
    assert centres(first) == pytest.approx(np.tile([80, 60], (100, 1)), abs=0.01)  # the close-ups' landmarks count
    assert centres(second)[0] == pytest.approx([30, 30], abs=0.01)


def test_frame_is_searched_when_a_known_face_is_lost() -> None:
    oracle = CloseUpOracle(lambda n: [make_face(80 if n < 22 else 20, 60)])
    assert len(track_faces(make_video(60), oracle, steady(60))) == 2
    assert 24 in oracle.searched


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_videos(count: int) -> None:
    (track,) = track_faces(make_video(count), Oracle(lambda _: [make_face(80, 60)]), steady(count))
    assert track.frames.tolist() == list(range(count))


def test_no_frames() -> None:
    assert track_faces(iter(()), Oracle(lambda _: []), steady(1)) == []


def test_frames_that_do_not_decode_are_in_no_track() -> None:
    gone = {10, 11, 30}
    frames = ((n, frame) for n, frame in make_video(60) if n not in gone)
    (track,) = track_faces(frames, Oracle(lambda n: [make_face(40 + n, 60)]), steady(60))

    assert track.frames.tolist() == [n for n in range(60) if n not in gone]
    assert centres(track)[:, 0] == pytest.approx(40 + track.frames, abs=0.5)


def test_frames_are_not_kept() -> None:
    """At no time do more than a few frames exist: a long video takes no more memory than a short one."""
    alive: list[weakref.ref[NDArray[np.uint8]]] = []
    most = 0

    def watched() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        nonlocal most
        for n, frame in make_video(60):
            alive.append(weakref.ref(frame))
            yield n, frame
            del frame
            most = max(most, sum(ref() is not None for ref in alive))

    track_faces(watched(), Oracle(lambda _: [make_face(80, 60)]), steady(60))
    assert most <= 3


class TestMainTrack:
    @staticmethod
    def track(x: float, y: float, size: float, count: int = 100, score: float = 0.9) -> FaceTrack:
        face = make_face(x, y, size, score)
        return FaceTrack(
            0,
            np.arange(count),
            np.tile(face.box_xyxy, (count, 1)),
            np.tile(face.landmarks, (count, 1, 1)),
            np.ones(count, np.bool_),
            score,
        )

    @pytest.mark.parametrize(
        ("main", "other"),
        [
            ((80, 60, 50), (80, 60, 20)),
            ((80, 60, 30), (15, 15, 30)),
            ((80, 60, 30, 100), (80, 60, 40, 30)),
            ((80, 60, 30, 100, 0.9), (80, 60, 30, 100, 0.4)),
        ],
        ids=["larger", "more central", "longer there", "more confident"],
    )
    def test_prefers(self, main: tuple[float, ...], other: tuple[float, ...]) -> None:
        first, second = self.track(*main), self.track(*other)  # type: ignore[arg-type]
        assert choose_main_track([first, second], SIZE_HW, steady(100)) is first
        assert choose_main_track([second, first], SIZE_HW, steady(100)) is first

    def test_none_and_ties(self) -> None:
        assert choose_main_track([], SIZE_HW, steady(100)) is None
        first = self.track(80, 60, 30)
        assert choose_main_track([first, replace(first, track_id=1)], SIZE_HW, steady(100)) is first


@pytest.fixture(scope="module", params=["scrfd", "haar"])
def real_detector(request: pytest.FixtureRequest, scrfd_weights: Path) -> Detector:
    return build_detector(request.param, scrfd_weights)


class TestRealClips:
    @pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "single_face.mp4"])
    def test_one_person_is_one_track(self, name: str, real_clips: Path, real_detector: Detector) -> None:
        source = open_frames(real_clips / name)
        clock = Clock(source.times_s, source.duration)
        tracks = track_faces(source.iter_frames(), real_detector, clock)
        main = choose_main_track(tracks, source.size_hw, clock)

        assert main is not None
        assert len(tracks) == 1
        assert len(main.frames) > 0.95 * source.num_frames

    def test_no_face_is_no_track(self, real_clips: Path, real_detector: Detector) -> None:
        source = open_frames(real_clips / "no_face.mp4")
        assert track_faces(source.iter_frames(), real_detector, Clock(source.times_s)) == []

    @pytest.mark.parametrize("name", ["WolfgangLanger_Pexels.mp4", "single_face.mp4"])
    def test_landmarks_are_those_of_detection_in_every_frame(
        self, name: str, real_clips: Path, scrfd_weights: Path
    ) -> None:
        """Of detection at insightface's usual 640x640, at several times the cost; the speed is not bought with it."""
        weights = find_detector_weights(scrfd_weights)
        assert weights is not None
        every_frame = ScrfdDetector(weights, input_sides=(640,))
        source = open_frames(real_clips / name)
        detector, clock = build_detector("scrfd", scrfd_weights), Clock(source.times_s)
        (track,) = track_faces(source.iter_frames(), detector, clock)
        places = range(0, len(track.frames), 3)
        frames = dict(source.iter_frames(track.frames[::3]))
        detected = np.stack([every_frame.detect(frames[int(track.frames[n])])[0].landmarks for n in places])

        distance = np.linalg.norm(detected[:, 1] - detected[:, 0], axis=1)
        errors = np.linalg.norm(track.landmarks[::3] - detected, axis=2).mean(1) / distance
        assert np.median(errors) < 0.03
        assert np.percentile(errors, 90) < 0.07
