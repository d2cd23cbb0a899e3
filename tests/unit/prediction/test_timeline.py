"""A face's windows as stretches and runs."""

from __future__ import annotations

import pytest

from dfer.prediction.timeline import cut_stretches, emotion_runs, probability_steps
from tests.results import (
    face_with,
)


def test_windows_that_overlap_meet_halfway() -> None:
    ((edges, _),) = cut_stretches(face_with([(0.0, 2.0, "sad"), (1.0, 3.0, "sad"), (2.0, 4.0, "happy")]))
    assert edges.tolist() == [0.0, 1.5, 2.5, 4.0]


def test_long_gap_parts_the_timeline_and_a_short_one_does_not() -> None:
    windows = [(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.4, 3.4, "sad"), (9.0, 10.0, "sad")]
    assert [edges.tolist() for edges, _ in cut_stretches(face_with(windows))] == [
        [0.0, 1.0, 2.2, 3.4],
        [9.0, 10.0],
    ]


def test_a_pause_parts_the_timeline_however_long_its_windows_are() -> None:
    (first, _), (second, _) = cut_stretches(face_with([(0.0, 10.0, "sad"), (10.0, 20.0, "sad"), (29.0, 39.0, "sad")]))
    assert (first.tolist(), second.tolist()) == ([0.0, 10.0, 20.0], [29.0, 39.0])


def test_runs_join_equal_neighbours() -> None:
    runs = emotion_runs(face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.0, 3.0, "happy"), (8.0, 9.0, "happy")]))
    assert [(run.start, run.end, run.label) for run in runs] == [(0, 2, "sad"), (2, 3, "happy"), (8, 9, "happy")]
    assert runs[0].probability == pytest.approx(0.7)


def test_steps_are_zero_while_the_face_is_gone() -> None:
    face = face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (5.0, 6.0, "happy")])
    edges, probabilities = probability_steps(face, ["sad", "happy"])
    assert edges.tolist() == [0.0, 1.0, 2.0, 5.0, 6.0]
    assert probabilities.round(3).tolist() == [[0.7, 0.7, 0.0, 0.05], [0.05, 0.05, 0.0, 0.7]]
