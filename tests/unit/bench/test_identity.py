"""Errors of identities, counted in clips of known people."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.bench import identity
from dfer.bench.identity import FACE_SIDES, SIZE_WH, Recording, bench_identity, count_errors, draw_shots, plan_shots
from dfer.errors import VideoError
from dfer.faces.detectors import Detector
from dfer.records import Face, FaceTrack
from dfer.reports.prediction_benchmarks import identity_bench_table
from tests.results import printed


def track(frames: list[int], x: float) -> FaceTrack:
    boxes = np.tile(np.array([x - 10, 0, x + 10, 20], np.float32), (len(frames), 1))
    count = len(frames)
    return FaceTrack(0, np.array(frames), boxes, np.zeros((count, 5, 2), np.float32), np.ones(count, np.bool_), 1.0)


@pytest.mark.parametrize("people", [2, 3, 8])
def test_people_return_and_no_shot_is_like_the_one_before(people: int) -> None:
    plan = plan_shots(people, 24, seed=people)
    shown = [{panel.person for panel in shot.panels} for shot in plan]
    assert len(plan) == 24
    assert set().union(*shown) == set(range(people))
    assert all(one != two for one, two in pairwise(shown))
    assert {len(one) for one in shown} == {1, 2}
    assert all(sum(person in one for one in shown) > 1 for person in range(people))
    assert plan == plan_shots(people, 24, seed=people)
    assert plan != plan_shots(people, 24, seed=people + 1)
    sizes = [panel.face_side for shot in plan for panel in shot.panels]
    assert FACE_SIDES[0] <= min(sizes) < max(sizes) / 2


TRUTH = [*[(0,)] * 10, *[(0, 1)] * 10, *[(1,)] * 10]


def test_without_an_error_nothing_is_counted() -> None:
    first, second = track([*range(20)], 25.0), track([*range(10, 30)], 75.0)
    counted = count_errors(TRUTH, [first, second], 100)
    assert counted == {
        "people": 2, "tracks": 2, "switches": 0, "splits": 0, "merges": 0, "found": 1.0, "idf1": 1.0,
    }  # fmt: skip


def test_a_new_number_is_a_switch_and_a_split() -> None:
    parts = [track([*range(10)], 50.0), track([*range(10, 20)], 25.0), track([*range(10, 30)], 75.0)]
    counted = count_errors(TRUTH, parts, 100)
    assert (counted["switches"], counted["splits"], counted["merges"]) == (1, 1, 0)
    assert counted["idf1"] == pytest.approx(30 / 40)


def test_one_number_for_two_people_is_a_merge() -> None:
    counted = count_errors(TRUTH, [track([*range(30)], 50.0 - 25)], 100)
    assert (counted["switches"], counted["splits"], counted["merges"]) == (0, 0, 1)
    assert counted["found"] == pytest.approx(30 / 40)


class BrightestSquare(Detector):
    """Finds white squares; the face stands in the middle of each."""

    name = "squares"

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
        white = np.asarray((frame_rgb.min(2) > 130).astype(np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(white)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area > 100]
        points = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7]])
        return [
            Face(
                np.array(box, np.float32),
                (np.array(box[:2]) + points * (np.array(box[2:]) - box[:2])).astype(np.float32),
                1.0,
            )
            for box in boxes
        ]


@pytest.fixture
def squares(tmp_path: Path) -> list[Path]:
    """Images of a white square, each with another pattern on it."""
    paths = []
    for number in range(2):
        image = np.full((200, 300, 3), 60, np.uint8)
        image[60:140, 100:180] = 255
        image[80 + 20 * number : 88 + 20 * number, 110:170] = 150
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths


def test_faces_stand_where_and_as_large_as_the_plan_says(squares: list[Path]) -> None:
    plan = plan_shots(2, 4, seed=1)
    detector = BrightestSquare()
    drawn = list(draw_shots(plan, [Recording(path, detector) for path in squares]))
    assert len(drawn) == sum(shot.frames for shot in plan)
    place = 0
    for shot in plan:
        frame, shown = drawn[place]
        place += shot.frames
        assert frame.shape == (*SIZE_WH[::-1], 3)
        assert shown == tuple(panel.person for panel in shot.panels)
        faces = sorted(detector.detect(frame), key=lambda face: face.box_xyxy[0])
        for panel, face in zip(shot.panels, faces, strict=True):
            assert face.box_xyxy[2] - face.box_xyxy[0] == pytest.approx(panel.face_side, rel=0.12)


def test_the_bench_tracks_and_counts(squares: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "build_detector", lambda *_: BrightestSquare())
    result = bench_identity(squares, shots=2, seeds=2, recognition_weights="none")
    assert result["all"]["people"] == 4
    assert result["all"]["found"] > 0.9
    assert result["all"]["tracks"] == sum(clip["tracks"] for clip in result["clips"])
    text = printed(identity_bench_table(result))
    assert "switches" in text
    assert "2 shots a clip, cut from 2 inputs" in text


def test_an_input_without_a_face_is_named(squares: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "build_detector", lambda *_: BrightestSquare())
    cv2.imwrite(str(tmp_path / "empty.png"), np.full((200, 300, 3), 60, np.uint8))
    with pytest.raises(VideoError, match=r"no face to cut a shot from .*empty\.png"):
        bench_identity([squares[0], tmp_path / "empty.png"], shots=4, recognition_weights="none")


def test_the_shipped_clips_are_never_one_person(real_clips: Path, scrfd_weights: Path) -> None:
    people = [real_clips / "WolfgangLanger_Pexels.mp4", real_clips / "single_face.mp4"]
    result = bench_identity(
        people, shots=6, detector="scrfd", detector_weights=scrfd_weights, recognition_weights="none"
    )
    assert result["all"]["merges"] == 0
    assert result["all"]["splits"] <= 2  # a few shots do not show all that a face can do
    assert result["all"]["found"] > 0.95
