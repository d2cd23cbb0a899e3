"""Numbers and times as text."""

from __future__ import annotations

import pytest

from dfer.runtime.formatting import clock, counted, lasted, percent, span, time_stamp


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (percent(0.66984), "66.98"),
        (percent(None), "–"),
        (clock(4.25, total=20), "4.2 s"),
        (clock(64.4, total=100), "1:04"),
        (clock(59.9, total=100), "1:00"),
        (clock(3727, total=4000), "1:02:07"),
        (span(0, 4.2, total=20), "0.0–4.2 s"),
        (span(58, 64, total=100), "0:58–1:04"),
        (time_stamp(4.2), "0:04.2"),
        (time_stamp(59.96), "1:00.0"),
        (time_stamp(3727.5), "1:02:07.5"),
        (lasted(0.84), "0.8 s"),
        (lasted(59.7), "1 min 00 s"),
        (lasted(245), "4 min 05 s"),
        (lasted(7380), "2 h 03 min"),
        (counted(1, "fold"), "1 fold"),
        (counted(11697, "clip"), "11,697 clips"),
    ],
)
def test_wording(said: str, expected: str) -> None:
    assert said == expected
