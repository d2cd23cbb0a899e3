"""Boxes, emotions and probabilities on video frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.drawing import annotate
from dfer.drawing.annotate import annotate_frame
from dfer.drawing.style import UNSURE_COLOR
from dfer.labels import DFEW_LABELS, EMOTION_COLORS
from tests.results import (
    NOTICE,
    grey_frame,
    has_color,
    shares,
)


def changed(frame: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (frame != drawn).any(-1)


@pytest.mark.parametrize(
    ("height", "width"), [(360, 640), (1080, 1920), (640, 360), (112, 112), (24, 32), (1, 1)], ids=lambda n: str(n)
)
def test_annotating_keeps_shape_and_input(height: int, width: int) -> None:
    frame = grey_frame(height, width)
    box = np.array([0.3 * width, 0.2 * height, 0.6 * width, 0.7 * height], np.float32)
    drawn = annotate_frame(frame, [(box, "happy", shares("happy"), 0, "")], time_s=3.2, footer=NOTICE)
    assert (drawn.shape, drawn.dtype) == (frame.shape, np.uint8)
    assert (frame == 128).all()
    assert changed(frame, drawn).any()


def test_annotation_stays_where_it_belongs() -> None:
    frame = grey_frame(360, 640)
    drawn = annotate_frame(frame, [((200, 100, 300, 220), "fear", shares("fear"), 0, "")], time_s=3.2)
    where = changed(frame, drawn)
    assert not where[105:218, 205:295].any()  # the face itself
    assert not where[:75].any()  # above the tag
    assert not where[:, 450:].any()  # right of the panel
    assert not where[240:335].any()  # between box and time
    assert not where[335:, 80:].any()  # beside the time
    color = tuple(bytes.fromhex(EMOTION_COLORS["fear"][1:]))
    assert (drawn[100, 200:300] == color).all()
    assert (drawn[100:220, 200] == color).all()
    assert where[105:215, 305:440].any()  # the panel, right of the box
    assert where[340:, :60].any()  # the time


def test_without_faces_only_the_time_is_drawn() -> None:
    frame = grey_frame(360, 640)
    where = changed(frame, annotate_frame(frame, [], time_s=0.0))
    assert where[335:, :60].any()
    assert not where[:335].any()
    assert not where[:, 60:].any()


def test_footer_runs_along_the_lower_edge() -> None:
    frame = grey_frame(360, 640)
    where = changed(frame, annotate_frame(frame, [], time_s=0.0, footer=NOTICE))
    assert where[345:].all(axis=1).all()
    assert not where[:330].any()


@pytest.mark.parametrize(
    "box",
    [(500, 10, 639, 200), (0, 0, 639, 359), (-50, -50, 80, 80), (600, 300, 700, 420)],
    ids=["at the right edge", "whole frame", "beyond the upper left", "beyond the lower right"],
)
def test_boxes_at_the_edges_are_drawn(box: tuple[int, int, int, int]) -> None:
    frame = grey_frame(360, 640)
    drawn = annotate_frame(frame, [(box, "sad", shares("sad"), 0, "")], time_s=0.0)
    assert has_color(drawn, EMOTION_COLORS["sad"])
    assert all(has_color(drawn, EMOTION_COLORS[label]) for label in DFEW_LABELS)  # the panel's bars, inside


def test_box_outside_the_frame_is_left_out() -> None:
    frame = grey_frame(360, 640)
    outside = annotate_frame(frame, [((700, 10, 800, 100), "sad", shares("sad"), 0, "")], time_s=0.0)
    assert (outside == annotate_frame(frame, [], time_s=0.0)).all()


def test_crowded_frame_keeps_every_tag() -> None:
    boxes = [(30, 60, 110, 140), (150, 60, 230, 140), (280, 60, 360, 140), (420, 60, 500, 140), (540, 60, 620, 140)]
    emotions = ["happy", "sad", "angry", "disgust", "fear"]
    faces = [(box, label, shares(label), n, "") for n, (box, label) in enumerate(zip(boxes, emotions, strict=True))]
    drawn = annotate_frame(grey_frame(360, 640), faces, time_s=0.0)
    for box, label in zip(boxes, emotions, strict=True):
        color = tuple(bytes.fromhex(EMOTION_COLORS[label][1:]))
        near = [drawn[rows, box[0] : box[2]] for rows in (slice(45, 60), slice(140, 155))]  # above or below the box
        assert max((part == color).all(-1).mean() for part in near) > 0.4


@pytest.mark.parametrize("doubt", ["too dark", "too small", "no clear emotion"])
def test_an_answer_not_to_be_trusted_is_grey(doubt: str) -> None:
    sure, unsure = (
        annotate_frame(grey_frame(360, 640), [((200, 100, 300, 220), "fear", shares("fear"), 0, why)], time_s=0.0)
        for why in ("", doubt)
    )
    assert has_color(sure, EMOTION_COLORS["fear"])
    assert not has_color(unsure, EMOTION_COLORS["fear"])
    assert has_color(unsure, UNSURE_COLOR)


# Faces that leave little room: one below the other, side by side with long names, at the edges, filling the frame.
CROWDS = {
    "one below the other": [(200, 20, 300, 120), (200, 124, 300, 224), (200, 228, 300, 320)],
    "side by side": [(20, 100, 90, 180), (95, 100, 165, 180), (170, 100, 240, 180), (245, 100, 315, 180)],
    "in the corners": [(0, 0, 80, 80), (560, 0, 639, 80), (0, 240, 80, 330), (560, 240, 639, 330)],
}


@pytest.mark.parametrize("boxes", CROWDS.values(), ids=CROWDS)
def test_answers_cover_no_other_face_and_no_other_answer(boxes: list[tuple[int, int, int, int]]) -> None:
    size, area, placed = (130, 20), (640, 340), list[tuple[int, int, int, int]]()
    for number, box in enumerate(boxes):
        others = boxes[:number] + boxes[number + 1 :]
        tag = annotate._place_tag(size, box, area, others, placed)
        assert (tag[2] - tag[0], tag[3] - tag[1]) == size
        assert 0 <= tag[0] < tag[2] <= area[0]
        assert 0 <= tag[1] < tag[3] <= area[1]
        assert not any(annotate._overlap(tag, answer) for answer in placed)
        assert not any(annotate._overlap(tag, other) for other in others)
        placed.append(tag)


def test_an_answer_stays_above_while_a_face_moves_a_little() -> None:
    tags = [annotate._place_tag((130, 20), (200 + n, 100 - n, 300 + n, 220 - n), (640, 340), [], []) for n in range(9)]
    assert tags == [(200 + n, 80 - n, 330 + n, 100 - n) for n in range(9)]


def test_a_face_that_fills_the_frame_has_its_answer_inside() -> None:
    assert annotate._place_tag((130, 20), (0, 0, 640, 340), (640, 340), [], []) == (0, 0, 130, 20)
