"""Pictures in half blocks."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from dfer.drawing.terminal import half_blocks


def test_two_pixels_stand_in_each_character() -> None:
    frame = np.zeros((4, 2, 3), np.uint8)
    frame[0], frame[1], frame[2:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    text = io.StringIO()
    Console(file=text, force_terminal=True, color_system="truecolor", width=10).print(half_blocks(frame, 2, 2), end="")
    first, second, *_ = text.getvalue().splitlines()
    assert first.count("▀") == second.count("▀") == 2
    assert "38;2;255;0;0;48;2;0;255;0" in first
    assert "38;2;0;0;255;48;2;0;0;255" in second


@pytest.mark.parametrize(("columns", "rows", "size"), [(80, 10, (36, 10)), (20, 40, (20, 5)), (1, 1, (1, 1))])
def test_a_picture_keeps_its_proportions(columns: int, rows: int, size: tuple[int, int]) -> None:
    text = io.StringIO()
    Console(file=text, width=200).print(half_blocks(np.zeros((360, 640, 3), np.uint8), columns, rows), end="")
    lines = text.getvalue().splitlines()
    assert (len(lines[0]), len(lines)) == size
