"""Confusion matrices and their differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.drawing.confusion import draw_confusion, draw_confusion_difference
from dfer.drawing.style import save_figure
from dfer.labels import DFEW_LABELS, MAFW_LABELS
from tests.results import NOTICE, open_png, texts_of


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
def test_confusion_is_drawn_with_room_for_every_class(tmp_path: Path, labels: tuple[str, ...]) -> None:
    confusion = np.eye(len(labels), dtype=int) * 1234
    figure = draw_confusion(confusion, labels, title="a title", footer=[NOTICE])
    save_figure(figure, tmp_path / "confusion.png")
    height, width, _ = open_png(tmp_path / "confusion.png").shape
    assert width > 0.6 * 150 * len(labels)
    assert height > 0.45 * 150 * len(labels)


def test_confusion_says_counts_percent_and_recalls() -> None:
    figure = draw_confusion([[30, 10], [0, 0]], ["happy", "sad"], title="t", footer=[NOTICE])
    shown = texts_of(figure)
    assert all(text in shown for text in ("30", "75.0 %", "10", "25.0 %", "75.00", "40 clips", "0 clips", NOTICE))


def test_confusion_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[3, 3\], got \[2, 2\]"):
        draw_confusion(np.eye(2), ["a", "b", "c"], title="")


def test_a_difference_says_points_and_leaves_classes_without_clips_empty() -> None:
    first, second = [[0.5, 0.5], [np.nan, np.nan]], [[0.75, 0.2501], [np.nan, np.nan]]
    shown = texts_of(draw_confusion_difference(first, second, ["happy", "sad"], title="b − a")).split()
    assert [text for text in shown if text[0] in "+-0"] == ["+25.0", "-25.0"]
    same = texts_of(draw_confusion_difference(second, second, ["happy", "sad"], title="b − b")).split()
    assert same.count("0") == 2
