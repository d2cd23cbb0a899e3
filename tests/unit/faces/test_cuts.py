"""Cuts between shots."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.faces.tracking.cuts import CutDetector

SIZE_HW = (120, 160)


def find_cuts(values: list[float], texture: float = 0.0) -> list[int]:
    pattern = np.random.default_rng(0).normal(0, texture, (*SIZE_HW, 3))
    detector, found = CutDetector(), []
    for n, value in enumerate(values):
        frame = np.clip(np.roll(pattern, n, axis=1) + value, 0, 255).astype(np.uint8)
        if detector.is_cut(frame):
            found.append(n)
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([50] * 10 + [120] * 10, [10]),
        ([50] * 5 + [120, 50, 120] + [50] * 5, [5, 6, 7, 8]),
        ([50 + 4 * n for n in range(40)], []),
        ([50], []),
    ],
    ids=["cut", "flashes", "fade", "one frame"],
)
def test_cuts(values: list[float], expected: list[int]) -> None:
    assert find_cuts(values) == expected


def test_flicker_is_taken_for_cuts_only_at_first() -> None:
    assert max(find_cuts([50 + 25 * (n % 2) for n in range(60)])) <= 8


def test_panning_is_no_cut() -> None:
    assert find_cuts([100] * 30, texture=60) == []
