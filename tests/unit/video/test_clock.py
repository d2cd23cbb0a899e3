"""Timestamps in display order, and the repair of those that cannot be right."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.video.clock import Stamps, display_order, repair_times

NAN = float("nan")
STEP = 0.1


def stamps(times: list[float], keys: list[int]) -> Stamps:
    return Stamps(np.array(times), np.isin(np.arange(len(times)), keys))


@pytest.mark.parametrize(
    ("times", "keys", "order"),
    [
        ([0, 0.3, 0.1, 0.2], [0], [0, 2, 3, 1]),
        ([-0.2, 0, 0.1], [0], [0, 1, 2]),
        ([7], [0], [0]),
        ([], [], None),
        ([0, 1, 1, 2], [0], None),
        ([0, NAN, 0.1], [0], None),
        ([0, 0.1, 0.2, 0.05, 0.15], [0, 3], None),
        ([0, 0.1, 0.2, 9.0, 0.3, 0.4], [0], None),
        ([*np.arange(20.0, 40.0), 0], [0], None),
    ],
    ids=[
        "reordered", "negative", "one frame", "none", "shared", "missing", "key frame in the past", "stray",
        "moved too far",
    ],
)  # fmt: skip
def test_the_order_is_taken_from_timestamps_that_leave_no_doubt(
    times: list[float], keys: list[int], order: list[int] | None
) -> None:
    found = display_order(stamps(times, keys))
    assert (None if found is None else found.tolist()) == order


@pytest.mark.parametrize(
    ("given", "times", "notes"),
    [
        ([5, 5.1, 5.2], [0, 0.1, 0.2], []),
        ([0, 0.1, 0.2, 0, 0.1], [0, 0.1, 0.2, 0.3, 0.4], ["step back 1 time,"]),
        ([9, 9.1, 3, 3.1, 1, 1.1], [0, 0.1, 0.2, 0.3, 0.4, 0.5], ["step back 2 times"]),
        ([0, 0.1, 50, 0.3, 0.4], [0, 0.1, 0.2, 0.3, 0.4], ["1 timestamp far"]),
        ([5, 5.1, 0, 0, 5.4, 5.5], [0, 0.1, 0.2, 0.3, 0.4, 0.5], ["2 timestamps far"]),
        ([0, 0.1, 1e9, 1e9 + 0.1], [0, 0.1, 0.2, 0.3], ["jump by more than a day 1 time"]),
        ([0, 0.1, 1e9, 0.3], [0, 0.1, 0.2, 0.3], ["1 timestamp far"]),
        ([0, 0.1, NAN, 0.3, NAN], [0, 0.1, 0.2, 0.3, 0.4], ["2 frames without"]),
        ([NAN, 0.1, 0.2], [0, 0.1, 0.2], ["1 frame without"]),
        ([NAN, NAN, NAN], [0, 0.1, 0.2], []),
        ([0.5, 0.5, 2.5, 2.5, 2.5], [0, 1, 2, 2.1, 2.2], []),
        ([0, 0.1, 60, 60.1], [0, 0.1, 60, 60.1], []),
        ([7], [0], []),
    ],
    ids=[
        "plain", "joined twice", "joined three times", "stray ahead", "strays behind", "clock set", "stray far ahead",
        "missing", "first missing", "all missing", "shared", "pause", "one frame",
    ],
)  # fmt: skip
def test_times_increase_from_zero_and_repairs_are_named(
    given: list[float], times: list[float], notes: list[str]
) -> None:
    repaired, found = repair_times(np.array(given, np.float64), STEP)
    assert repaired == pytest.approx(times)
    assert len(found) == len(notes)
    assert all(note in text for note, text in zip(notes, found, strict=True))
