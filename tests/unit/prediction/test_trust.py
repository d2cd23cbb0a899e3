"""When an answer should be trusted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dfer.prediction import trust
from dfer.prediction.trust import calibrated_confidence, doubts
from dfer.records import Quality, Segment
from dfer.records.timeline import main_doubts

GOOD = Quality(size=100, sharpness=0.3, brightness=0.5, yaw=0, pitch=0, roll=0, score=0.9, detected=1)


def segment(reasons: tuple[str, ...]) -> Segment:
    return Segment(0, 1, "sad", {"sad": 1.0}, (0, 0, 1, 1), reasons=reasons)


def test_a_face_that_is_seen_well_is_trusted() -> None:
    assert doubts(GOOD, 0.9) == ()
    assert doubts(None, 0.9) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": 4.0}, trust.TOO_SMALL),
        ({"sharpness": 0.0005}, trust.TOO_BLURRED),
        ({"brightness": 0.004}, trust.TOO_DARK),
        ({"yaw": 80.0}, trust.TOO_TURNED),
        ({"yaw": -80.0}, trust.TOO_TURNED),
    ],
)
def test_each_measure_has_a_limit(change: dict[str, float], reason: str) -> None:
    worse = replace(GOOD, **change)
    assert doubts(worse, 0.99) == (reason,)
    assert calibrated_confidence(0.9, worse) <= calibrated_confidence(0.9, GOOD)


def test_a_flat_answer_is_no_clear_emotion() -> None:
    assert doubts(GOOD, 0.2) == (trust.TOO_FLAT,)
    assert doubts(replace(GOOD, size=4.0), 0.2) == (trust.TOO_SMALL,)


def test_what_was_not_measured_is_not_held_against_a_face() -> None:
    unknown = replace(GOOD, sharpness=None, brightness=None, yaw=None, pitch=None, roll=None)
    assert doubts(unknown, 0.9) == ()
    assert calibrated_confidence(0.9, unknown) == calibrated_confidence(0.9, GOOD) == calibrated_confidence(0.9, None)


def test_confidence_rises_with_the_probability_and_stays_a_probability() -> None:
    found = [calibrated_confidence(value, GOOD) for value in (0.0, 0.2, 0.5, 0.8, 1.0)]
    assert found == sorted(found)
    assert 0 < found[0] < 0.5 < found[-1] < 1


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(1.0, ()), (1.0, ("a",))], ()),
        ([(1.0, ()), (1.5, ("a",)), (0.5, ("b",))], ("a", "b")),
        ([(0.0, ("a",))], ("a",)),
        ([(0.0, ())], ()),
        ([], ()),
    ],
)
def test_most_of_the_time_decides(parts: list[tuple[float, tuple[str, ...]]], expected: tuple[str, ...]) -> None:
    assert main_doubts([(seconds, segment(reasons)) for seconds, reasons in parts]) == expected
