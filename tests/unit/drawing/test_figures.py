"""The confusion matrix and the training curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.drawing.figures import draw_confusion, draw_curves, plot_confusion, plot_curves
from dfer.drawing.style import DPI
from dfer.labels import DFEW_LABELS, MAFW_LABELS
from tests.results import (
    NOTICE,
    history,
    open_png,
    texts_of,
)


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
def test_confusion_is_drawn_with_room_for_every_class(tmp_path: Path, labels: tuple[str, ...]) -> None:
    confusion = np.eye(len(labels), dtype=int) * 1234
    plot_confusion(confusion, labels, tmp_path / "confusion.png", title="a title", footer=[NOTICE])
    height, width, _ = open_png(tmp_path / "confusion.png").shape
    assert width > 0.6 * DPI * len(labels)
    assert height > 0.45 * DPI * len(labels)


def test_confusion_says_counts_percent_and_recalls() -> None:
    figure = draw_confusion([[30, 10], [0, 0]], ["happy", "sad"], title="t", footer=[NOTICE])
    said = texts_of(figure)
    assert all(text in said for text in ("30", "75.0 %", "10", "25.0 %", "75.00", "40 clips", "0 clips", NOTICE))


def test_confusion_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[3, 3\], got \[2, 2\]"):
        plot_confusion(np.eye(2), ["a", "b", "c"], tmp_path / "x.png", title="")


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (history(12), "best WAR 90.00, UAR 45.00 in epoch 3"),
        (history(1), "1 epoch"),
        (history(4, validated=False), "no validation clips"),
        ([], "no epoch finished yet"),
    ],
    ids=["a run", "one epoch", "without validation", "nothing yet"],
)
def test_curves(tmp_path: Path, metrics: list[dict[str, Any]], said: str) -> None:
    plot_curves(metrics, tmp_path / "curves.png", title="demo")
    assert open_png(tmp_path / "curves.png").std() > 1
    assert said in texts_of(draw_curves(metrics, title="demo"))


def test_curves_mark_the_best_epoch() -> None:
    axes = draw_curves(history(12), title="demo").axes[1]
    markers = [line for line in axes.lines if line.get_marker() == "o"]
    assert [tuple(map(float, line.get_xydata()[0])) for line in markers] == [(3.0, 90.0)]
