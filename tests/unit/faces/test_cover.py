"""What is hidden of a video: faces between their detections, before, after, small, and half out of the frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.faces.tracking.cover import HOLD_S, EveryFaceDetector, cover_faces
from dfer.records import Face
from dfer.video import open_frames
from tests.unit.faces.test_tracking import Oracle, make_face, make_video

FPS = 25


def cover(
    count: int, faces_at: Callable[[int], list[Face]], *, cuts: tuple[int, ...] = (), fps: float = FPS
) -> tuple[dict[int, NDArray[np.float64]], Oracle]:
    oracle = Oracle(faces_at)
    return cover_faces(make_video(count, cuts), np.arange(count) / fps, oracle), oracle


def test_a_moving_face_is_covered_in_every_frame_though_not_every_one_is_searched() -> None:
    boxes, oracle = cover(50, lambda n: [make_face(30 + 2 * n, 60)])
    assert len(set(oracle.keyframes)) < 25
    assert sorted(boxes) == list(range(50))
    for n, found in boxes.items():
        assert found == pytest.approx(make_face(30 + 2 * n, 60).box_xyxy[None], abs=0.6)


def test_every_frame_is_searched_where_frames_are_far_apart() -> None:
    _, oracle = cover(6, lambda _: [], fps=1)
    assert oracle.keyframes == list(range(6))


def test_a_face_that_is_missed_for_two_seconds_is_covered_on_its_way() -> None:
    boxes, _ = cover(100, lambda n: [] if 20 < n < 70 else [make_face(40 + 0.3 * n, 60)])
    assert sorted(boxes) == list(range(100))
    assert boxes[45] == pytest.approx(make_face(40 + 0.3 * 45, 60).box_xyxy[None], abs=1.5)


def test_a_face_that_is_found_once_is_covered_before_and_after() -> None:
    boxes, _ = cover(60, lambda n: [make_face(80, 60)] if n == 30 else [])
    assert sorted(boxes) == list(range(30 - int(HOLD_S * FPS), 31 + int(HOLD_S * FPS)))


def test_a_cut_ends_the_cover() -> None:
    boxes, _ = cover(60, lambda n: [make_face(80, 60)] if 20 <= n < 40 else [], cuts=(20, 40))
    assert sorted(boxes) == list(range(20, 40))


def test_all_faces_of_a_frame_are_covered() -> None:
    boxes, _ = cover(20, lambda _: [make_face(30, 40), make_face(80, 60), make_face(130, 80)])
    assert {len(found) for found in boxes.values()} == {3}


def test_a_video_without_frames_or_faces_has_nothing_to_cover() -> None:
    assert cover(10, lambda _: [])[0] == {}
    assert cover_faces([], np.zeros(1), Oracle(lambda _: [])) == {}


def test_small_and_half_visible_faces_are_found_beside_a_large_one(real_clips: Path) -> None:
    """The usual search stops at the size that finds the large face."""
    _, frame = next(open_frames(real_clips / "single_face.mp4").iter_frames([0]))
    person = frame[:, 150:450]
    scene = np.full((720, 1280, 3), 90, np.uint8)
    scene[:360, :300] = person
    small = cv2.resize(person, (50, 60), interpolation=cv2.INTER_AREA)
    scene[400:460, 900:950] = small
    scene[:, 1130:] = cv2.resize(person, (600, 720))[:, :150]  # the frame's edge cuts it
    found = [((face.box_xyxy[:2] + face.box_xyxy[2:]) / 2).tolist() for face in EveryFaceDetector().detect(scene)]
    assert len(found) == len({(round(x / 100), round(y / 100)) for x, y in found})
    for left, right, top, bottom in ((0, 300, 0, 360), (900, 950, 400, 460)):
        assert sum(left < x < right and top < y < bottom for x, y in found) == 1
