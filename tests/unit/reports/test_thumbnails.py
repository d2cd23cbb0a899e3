"""The small pictures of faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.records import Quality
from dfer.reports.thumbnails import SIDE, clearest_segment, cut_square, face_pictures, jpeg_bytes
from dfer.video import open_frames
from tests.results import face_with, predicted
from tests.unit.video.videos import write_video

GOOD = Quality(80.0, 0.1, 0.5, 0.0, 0.0, 0.0, 0.9, 1.0)
WINDOWS = [(0.0, 0.2, "sad"), (0.2, 0.4, "sad"), (0.4, 0.6, "sad")]


@pytest.mark.parametrize(
    "worse",
    [
        replace(GOOD, size=20.0),
        replace(GOOD, sharpness=0.01),
        replace(GOOD, brightness=0.05),
        replace(GOOD, yaw=-60.0),
        replace(GOOD, detected=0.2),
        replace(GOOD, score=0.3),
    ],
)
def test_a_face_is_shown_where_it_is_seen_best(worse: Quality) -> None:
    face = face_with(WINDOWS)
    qualities = (worse, GOOD, worse)
    face = replace(face, segments=[replace(s, quality=q) for s, q in zip(face.segments, qualities, strict=True)])
    assert clearest_segment(face).start == 0.2


def test_long_videos_are_looked_at_in_their_first_minute() -> None:
    face = face_with([(float(n), n + 1.0, "sad") for n in range(300)])
    segments = [replace(s, quality=replace(GOOD, score=0.5 if n < 200 else 1.0)) for n, s in enumerate(face.segments)]
    assert clearest_segment(replace(face, segments=segments)).start <= 61


def test_each_face_gets_the_square_around_its_box(tmp_path: Path) -> None:
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[20:60, 20:60], frame[60:100, 100:140] = (220, 30, 30), (30, 30, 220)
    source = open_frames(write_video(tmp_path / "two.mp4", [frame] * 10))
    boxes = ((20.0, 20.0, 60.0, 60.0), (100.0, 60.0, 140.0, 100.0))
    faces = []
    for number, box in enumerate(boxes):
        face = face_with([(0.0, 0.3, "sad")], number)
        faces.append(replace(face, segments=[replace(face.segments[0], box=box)]))
    found = face_pictures(predicted(faces, duration=0.33, num_frames=10), source)
    assert list(found) == [0, 1]
    for number, channel in ((0, 0), (1, 2)):
        image = found[number]
        assert image.shape == (SIDE, SIDE, 3)
        middle = image[SIDE // 2, SIDE // 2]
        assert middle.argmax() == channel
        assert image[2, 2].max() < 60  # the margin


def test_pictures_have_the_side_that_is_asked_for(tmp_path: Path) -> None:
    frames = [np.full((120, 160, 3), (20 * n, 40, 90), np.uint8) for n in range(10)]
    source = open_frames(write_video(tmp_path / "one.mp4", frames))
    prediction = predicted([face_with([(0.0, 0.3, "sad")], 4)], duration=0.33, num_frames=10)
    (large,) = face_pictures(prediction, source, side=2 * SIDE).values()
    assert large.shape == (2 * SIDE, 2 * SIDE, 3)
    small = cv2.imdecode(np.frombuffer(jpeg_bytes(large, 48), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert small is not None
    assert small.shape == (48, 48, 3)
    assert np.abs(small.astype(int) - large[:48, :48]).max() < 12


@pytest.mark.parametrize(
    "box",
    [(-20.0, -20.0, 30.0, 30.0), (90.0, 60.0, 140.0, 130.0), (0.0, 0.0, 100.0, 80.0), (50.0, 40.0, 50.0, 40.0)],
)
def test_boxes_at_the_border_and_larger_than_the_frame_give_squares(box: tuple[float, float, float, float]) -> None:
    frame: NDArray[np.uint8] = np.full((80, 100, 3), 90, np.uint8)
    assert cut_square(frame, box).shape == (SIDE, SIDE, 3)
    assert (cut_square(frame, box) == 90).all()
