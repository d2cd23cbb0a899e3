"""Forest plots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.drawing.forest import Bar, draw_forest
from dfer.drawing.style import LIGHT, save_figure
from tests.results import has_color, open_png, texts_of


@pytest.mark.parametrize(
    ("difference", "apart"),
    [((0.02, -0.01, 0.05), False), ((0.02, 0.01, 0.05), True), ((-0.02, -0.05, -0.001), True)],
    ids=["reaches zero", "above", "below"],
)
def test_a_difference_that_does_not_reach_zero_stands_out(tmp_path: Path, difference: Bar, apart: bool) -> None:
    figure = draw_forest({"a": [(0.6, 0.5, 0.7)]}, {"b − a": [difference]}, ["WAR"], title="t")
    save_figure(figure, tmp_path / "forest.png")
    pixels = open_png(tmp_path / "forest.png")
    assert has_color(pixels, LIGHT.second) == apart
    assert has_color(pixels, LIGHT.accent)


def test_bars_lie_at_their_percentages() -> None:
    figure = draw_forest({"a": [(0.6, 0.5, 0.7)], "b": [(0.4, 0.3, 0.45)]}, {}, ["WAR"], title="t")
    (axes,) = figure.axes
    bars = [line.get_xdata() for line in axes.lines]
    assert np.concatenate(bars) == pytest.approx([50, 70, 60, 30, 45, 40])
    assert all(word in texts_of(figure) for word in ("a", "b", "WAR, %"))
