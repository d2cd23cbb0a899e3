"""The training curves and the histogram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfer.drawing.figures import compact_count, draw_curves, draw_histogram
from dfer.drawing.style import png_bytes, save_figure
from dfer.evaluation.metrics import best_epoch
from tests.results import (
    history,
    open_png,
    texts_of,
)


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        (history(12), "best WAR 90.00, UAR 45.00 in epoch 3"),
        (history(1), "1 epoch"),
        (history(4, validated=False), "no validation clips"),
        ([], "no epoch finished yet"),
    ],
    ids=["a run", "one epoch", "without validation", "nothing yet"],
)
def test_curves(tmp_path: Path, metrics: list[dict[str, Any]], shown: str) -> None:
    figure = draw_curves(metrics, best=best_epoch(metrics), title="demo")
    save_figure(figure, tmp_path / "curves.png")
    assert open_png(tmp_path / "curves.png").std() > 1
    assert shown in texts_of(figure)


def test_curves_mark_the_best_epoch() -> None:
    axes = draw_curves(history(12), best=best_epoch(history(12)), title="demo").axes[1]
    markers = [line for line in axes.lines if line.get_marker() == "o"]
    assert [tuple(map(float, line.get_xydata()[0])) for line in markers] == [(3.0, 90.0)]


@pytest.mark.parametrize(("count", "shown"), [(7, "7"), (999, "999"), (1234, "1.2k"), (9949, "9.9k"), (11697, "12k")])
def test_counts_above_bars_are_short(count: int, shown: str) -> None:
    assert compact_count(count) == shown


def test_a_histogram_says_every_count() -> None:
    figure = draw_histogram(["0", "5", "10"], [3, 0], ("more", 1), title="Length", subtitle="crops")
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "", "1"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "5", "10", "more"]
    assert b"Software" not in png_bytes(figure)
