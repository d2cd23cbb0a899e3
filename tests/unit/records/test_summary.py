"""What one person showed, summed up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfer.records import FacePrediction
from dfer.records.summary import summarise_face
from tests.results import face_with


def doubtful(windows: list[tuple[float, float, str]], unsure: set[int]) -> FacePrediction:
    """A face of which some segments are unsure, with a confidence of 0.2; of the others it is 0.8."""
    face = face_with(windows)
    segments = [
        replace(segment, confidence=0.2 if n in unsure else 0.8, reasons=("too dark",) if n in unsure else ())
        for n, segment in enumerate(face.segments)
    ]
    return replace(face, segments=segments)


def test_seconds_and_shares_are_those_of_trusted_time() -> None:
    found = summarise_face(doubtful([(0, 3, "happy"), (3, 4, "sad"), (4, 6, "sad")], {2}))
    assert (found.visible, found.unsure, found.confidence) == (6, 2, pytest.approx(0.8))
    assert (found.seconds["happy"], found.seconds["sad"], found.seconds["fear"]) == (3, 1, 0)
    assert (found.shares["happy"], found.shares["sad"]) == (0.75, 0.25)
    assert sum(found.seconds.values()) + found.unsure == pytest.approx(found.visible)


def test_changes_are_counted_by_their_pair_and_not_over_gaps_or_unsure_time() -> None:
    windows = [(0, 1, "happy"), (1, 2, "sad"), (2, 3, "happy"), (3, 4, "sad"), (4, 5, "fear"), (5, 6, "angry")]
    found = summarise_face(doubtful([*windows, (9, 10, "sad")], {4}))
    assert found.transitions == {("happy", "sad"): 2, ("sad", "happy"): 1}
    assert found.changes == 3
    assert found.changes_per_minute == pytest.approx(60 * 3 / 6)
    assert found.to_dict()["transitions"] == [["happy", "sad", 2], ["sad", "happy", 1]]


def test_a_face_that_nobody_can_read_has_no_figures() -> None:
    found = summarise_face(doubtful([(0, 1, "happy"), (1, 2, "sad")], {0, 1}))
    assert (found.visible, found.unsure, found.confidence, found.changes_per_minute) == (2, 2, None, None)
    assert set(found.shares.values()) == {0}
