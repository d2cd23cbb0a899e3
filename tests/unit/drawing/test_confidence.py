"""Reliability diagrams and risk-coverage curves."""

from __future__ import annotations

from math import nan
from pathlib import Path

import pytest

from dfer.drawing.confidence import draw_reliability, draw_risk_coverage
from dfer.drawing.style import save_figure
from tests.results import open_png, texts_of


@pytest.mark.parametrize("sets", [1, 2, 4])
def test_a_panel_for_each_set(tmp_path: Path, sets: int) -> None:
    bins = ([nan, 0.5, 0.9], [nan, 0.4, 0.95], [0, 10, 30])
    figure = draw_reliability([(f"set {n}", *bins) for n in range(sets)], title="t")
    save_figure(figure, tmp_path / "a.png")
    assert open_png(tmp_path / "a.png").std() > 1
    shown = texts_of(figure)
    assert all(f"set {n}\n40 clips" in shown for n in range(sets))
    assert sum(axes.get_visible() for axes in figure.axes) == sets


def test_a_curve_for_each_set(tmp_path: Path) -> None:
    curves = {f"set {n}": ([0.5, 1.0], [0.0, 0.01 * n]) for n in range(7)}
    figure = draw_risk_coverage(curves, title="t", subtitle="s")
    save_figure(figure, tmp_path / "a.png")
    assert open_png(tmp_path / "a.png").std() > 1
    lines = figure.axes[0].get_lines()
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == 7  # type: ignore[attr-defined]
