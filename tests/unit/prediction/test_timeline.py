"""A face's segments as spans, gaps, runs and steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfer.prediction.timeline import probability_steps
from dfer.records.timeline import emotion_runs, gaps
from tests.results import (
    face_with,
)


def test_every_gap_parts_the_timeline() -> None:
    face = face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.04, 3.4, "sad"), (9.0, 10.0, "happy")])
    assert face.spans == [(0.0, 2.0), (2.04, 3.4), (9.0, 10.0)]
    assert gaps(face) == [(2.0, 2.04), (3.4, 9.0)]
    assert face.visible == pytest.approx(4.36)
    assert [(run.start, run.end) for run in emotion_runs(face)] == face.spans


def test_a_face_seen_at_both_ends_is_not_seen_between() -> None:
    face = face_with([(0.0, 0.5, "sad"), (4.0, 4.5, "sad")])
    assert (face.start, face.end, face.visible) == (0.0, 4.5, 1.0)
    edges, probabilities = probability_steps(face, ["sad"])
    assert edges.tolist() == [0.0, 0.5, 4.0, 4.5]
    assert probabilities.tolist() == [[0.7, 0.0, 0.7]]


def test_segments_that_meet_but_for_rounding_are_one_span() -> None:
    third = 1 / 3
    face = face_with([(n * third, (n + 1) * third + 1e-12, "sad") for n in range(30)])
    assert len(face.spans) == 1
    assert face.visible == pytest.approx(10)


def test_a_pause_parts_the_timeline_however_long_its_windows_are() -> None:
    face = face_with([(0.0, 10.0, "sad"), (10.0, 20.0, "sad"), (29.0, 39.0, "sad")])
    assert [len(stretch) for stretch in face.stretches] == [2, 1]


def test_runs_join_equal_neighbours() -> None:
    runs = emotion_runs(face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.0, 3.0, "happy"), (8.0, 9.0, "happy")]))
    assert [(run.start, run.end, run.label) for run in runs] == [(0, 2, "sad"), (2, 3, "happy"), (8, 9, "happy")]
    assert runs[0].probability == pytest.approx(0.7)


def test_steps_are_zero_while_the_face_is_gone() -> None:
    face = face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (5.0, 6.0, "happy")])
    edges, probabilities = probability_steps(face, ["sad", "happy"])
    assert edges.tolist() == [0.0, 1.0, 2.0, 5.0, 6.0]
    assert probabilities.round(3).tolist() == [[0.7, 0.7, 0.0, 0.05], [0.05, 0.05, 0.0, 0.7]]


def test_unsure_time_is_one_run_whatever_it_says() -> None:
    face = face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.0, 5.0, "happy"), (5.0, 6.0, "happy")])
    reasons: list[tuple[str, ...]] = [(), ("too small",), ("too dark",), ()]
    segments = [replace(segment, reasons=why) for segment, why in zip(face.segments, reasons, strict=True)]
    runs = emotion_runs(replace(face, segments=segments))
    assert [(run.start, run.end, run.label) for run in runs] == [(0, 1, "sad"), (1, 5, "happy"), (5, 6, "happy")]
    assert [run.reasons for run in runs] == [(), ("too dark", "too small"), ()]
    assert runs[1].probability == pytest.approx((0.05 + 3 * 0.7) / 4)
