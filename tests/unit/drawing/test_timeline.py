"""The emotion timeline, drawn from arrays."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from dfer.drawing.style import DARK, LIGHT, Theme, png_bytes
from dfer.drawing.timeline import FaceLane, draw_timeline
from dfer.labels import DFEW_LABELS, EMOTION_COLORS, MAFW_LABELS
from tests.results import has_color, texts_of

LANE = FaceLane(
    "face 0",
    "sad 60 %",
    np.array([0.0, 4.0, 6.0, 10.0]),
    np.array([[0.9, 0.0, 0.3], [0.1, 0.0, 0.7]]),
    [(0.0, 4.0, "happy"), (6.0, 10.0, "sad")],
)


def pixels_of(lanes: list[FaceLane], theme: Theme = LIGHT) -> NDArray[np.uint8]:
    figure = draw_timeline(lanes, ["happy", "sad"], total=10.0, title="a video", theme=theme)
    return np.array(Image.open(io.BytesIO(png_bytes(figure))).convert("RGB"))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_nothing_is_drawn_where_the_face_is_gone(theme: Theme) -> None:
    pixels = pixels_of([LANE], theme)
    happy, sad = ((pixels == tuple(bytes.fromhex(EMOTION_COLORS[label][1:]))).all(-1) for label in ("happy", "sad"))
    begin, end = np.flatnonzero((happy | sad)[200:].any(0))[[0, -1]]
    width = end - begin + 1
    gone = slice(begin + int(0.41 * width), begin + int(0.59 * width))
    assert not (happy | sad)[200:, gone].any()
    strip = np.flatnonzero(sad[:, end - 5])[-1]  # the lower edge of the winning emotions
    assert happy[strip, begin : begin + int(0.39 * width)].mean() > 0.8
    assert sad[strip, begin + int(0.61 * width) : end].mean() > 0.8


def test_without_a_face_there_is_a_note_and_no_color() -> None:
    figure = draw_timeline([], ["happy", "sad"], total=10.0, title="a video")
    assert "no face was found" in texts_of(figure)
    assert not any(has_color(pixels_of([]), EMOTION_COLORS[label]) for label in ("happy", "sad"))


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
def test_the_legend_names_every_class_inside_the_figure(labels: tuple[str, ...]) -> None:
    lane = FaceLane("face 0", "", np.array([0.0, 1.0]), np.full((len(labels), 1), 1 / len(labels)), [])
    figure = draw_timeline([lane], labels, total=1.0, title="a video")
    legend = figure.subfigs[0].legends[0]
    assert {text.get_text() for text in legend.get_texts()} == set(labels)
    box = legend.get_window_extent()
    assert figure.bbox.x0 < box.x0
    assert box.x1 < figure.bbox.x1
    (axes,) = figure.axes
    assert axes.get_tightbbox().y1 < box.y0


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_unsure_time_is_hatched(theme: Theme) -> None:
    doubtful = replace(LANE, runs=LANE.runs[:1], unsure=[(6.0, 10.0)])
    sad = tuple(bytes.fromhex(EMOTION_COLORS["sad"][1:]))
    plain, hatched = ((pixels_of([lane], theme) == sad).all(-1) for lane in (LANE, doubtful))
    right = plain.shape[1] * 2 // 3
    assert plain[200:, right:].sum() > 1000
    assert hatched[200:, right:].sum() == 0
    figure = draw_timeline([doubtful], ["happy", "sad"], total=10.0, title="a video", theme=theme)
    assert texts_of(figure).count("not sure") == 2  # in the strip and in the legend


PINK: NDArray[np.uint8] = np.full((60, 60, 3), (255, 0, 200), np.uint8)


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_a_picture_stands_beside_its_row_and_covers_nothing(count: int) -> None:
    without = 1 if count > 1 else None
    lanes = [replace(LANE, name=f"face {n}", picture=None if n == without else PINK) for n in range(count)]
    figure = draw_timeline(lanes, ["happy", "sad"], total=10.0, title="a video")
    figure.canvas.draw()
    pictures = [[*axes.findobj(AnnotationBbox)] for axes in figure.axes]
    assert [len(found) for found in pictures] == [int(n != without) for n in range(count)]
    boxes = [found.get_window_extent() for row in pictures for found in row]
    assert all(box.width == pytest.approx(box.height, abs=1) for box in boxes)
    assert all(figure.bbox.x0 < box.x0 and box.y0 > figure.bbox.y0 for box in boxes)
    assert all(lower.y1 < upper.y0 for upper, lower in pairwise(boxes)), "each in its own row"
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    legend = figure.subfigs[0].legends[0].get_window_extent()
    for box in boxes:
        assert box.y1 < legend.y0
        covered = [text.get_text() for text in texts if text.get_window_extent().overlaps(box)]
        assert covered == []
        assert not any(axes.get_window_extent().overlaps(box) for axes in figure.axes)
    assert len({round(axes.get_window_extent().x0) for axes in figure.axes}) == 1, "the rows are aligned"


def test_pictures_have_their_own_colors_and_leave_plots_without_them_as_they_were() -> None:
    pink = (pixels_of([replace(LANE, picture=PINK)]) == (255, 0, 200)).all(-1)
    rows, columns = np.flatnonzero(pink.any(1)), np.flatnonzero(pink.any(0))
    assert len(columns) == pytest.approx(1.1 * 150, abs=3)
    assert pink[rows[0] + 2 : rows[-1] - 2, columns[0] + 2 : columns[-1] - 2].all()
    first = [int(np.flatnonzero(has.any(0))[0]) for has in map(colored, ([LANE], [replace(LANE, picture=PINK)]))]
    assert first[1] > columns[-1] > first[0]


def colored(lanes: list[FaceLane]) -> NDArray[np.bool_]:
    """Where the panel of a figure of `happy` is, below the legend."""
    found = (pixels_of(lanes) == tuple(bytes.fromhex(EMOTION_COLORS["happy"][1:]))).all(-1)
    found[:200] = False
    return found
