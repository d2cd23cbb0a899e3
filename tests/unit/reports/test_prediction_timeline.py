"""The emotion timeline of a prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.text import Text

from dfer.drawing.style import save_figure
from dfer.labels import DFEW_LABELS, EMOTION_COLORS
from dfer.records import FacePrediction, Prediction
from dfer.records.people import People, relabel
from dfer.reports.prediction import draw_prediction
from tests.results import (
    NOTICE,
    even_windows,
    face_with,
    grey_frame,
    has_color,
    open_png,
    predicted,
    texts_of,
)


@pytest.mark.parametrize(
    "prediction",
    [
        predicted([face_with(even_windows(31))]),
        predicted([face_with([(1.2, 1.84, "fear")])], duration=4.0),
        predicted([face_with(even_windows(1000))], duration=640.0),
        predicted([face_with(even_windows(20), number) for number in range(6)]),
        predicted([face_with([(0.0, 0.0, "sad")])], duration=0.0, source="face.jpg", num_frames=1),
        predicted([face_with(even_windows(31))], source="odd $name$ 表情" + "_long" * 60 + ".mp4"),
    ],
    ids=["one face", "one window", "1000 windows", "six faces", "an image", "an odd name"],
)
def test_timeline_shows_the_emotions(tmp_path: Path, prediction: Prediction) -> None:
    save_figure(draw_prediction(prediction), tmp_path / "timeline.png")
    pixels = open_png(tmp_path / "timeline.png")
    assert pixels.shape[1] == 1500
    for segment in prediction.faces[0].segments[:20]:
        assert has_color(pixels, EMOTION_COLORS[segment.label])
    assert NOTICE in texts_of(draw_prediction(prediction))


def test_timeline_without_a_face_says_so(tmp_path: Path) -> None:
    prediction = predicted([])
    save_figure(draw_prediction(prediction), tmp_path / "timeline.png")
    pixels = open_png(tmp_path / "timeline.png")
    assert not any(has_color(pixels, EMOTION_COLORS[label]) for label in DFEW_LABELS)
    shown = texts_of(draw_prediction(prediction))
    assert "no face was found" in shown
    assert NOTICE in shown


def test_timeline_of_very_many_faces_stays_an_image() -> None:
    figure = draw_prediction(predicted([face_with(even_windows(2), number) for number in range(200)]))
    assert figure.get_figheight() * 150 < 32_768
    assert "180 faces seen more briefly" in texts_of(figure)


def test_twenty_faces_fit_a_page() -> None:
    figure = draw_prediction(predicted([face_with(even_windows(30), number) for number in range(20)]))
    assert figure.get_figheight() < 1.7 * figure.get_figwidth()
    shown = texts_of(figure)
    assert all(f"face {number}" in shown for number in range(20))


def image_of(faces: list[FacePrediction]) -> Prediction:
    return predicted(faces, duration=0.0, source="face.jpg", num_frames=1)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 20])
def test_an_image_is_a_bar_chart_of_each_face(count: int) -> None:
    figure = draw_prediction(image_of([face_with([(0.0, 0.0, "sad")], number) for number in range(count)]))
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == count
    for axes in panels:
        widths = {
            label.get_text(): bar.get_width() for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
        }
        assert widths == pytest.approx({label: 0.7 if label == "sad" else 0.05 for label in DFEW_LABELS})
    assert texts_of(figure).count("70 %") == 2 * count  # at the bar, and in the heading


@pytest.mark.parametrize("count", [1, 2, 20])
def test_a_picture_stands_above_the_names_of_the_emotions(count: int) -> None:
    prediction = image_of([face_with([(0.0, 0.0, "sad")], number) for number in range(count)])
    figure = draw_prediction(prediction, pictures={number: grey_frame(60, 60) for number in range(count)})
    figure.canvas.draw()
    boxes = [found.get_window_extent() for found in figure.findobj(AnnotationBbox)]
    assert len(boxes) == count
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    for box in boxes:
        assert box.x0 > figure.bbox.x0
        assert [text.get_text() for text in texts if text.get_window_extent().overlaps(box)] == []
        assert not any(axes.get_window_extent().overlaps(box) for axes in figure.axes if axes.axison)


def test_a_merged_face_has_the_picture_of_its_number() -> None:
    faces = [face_with([(5.0, 9.0, "sad")], 7), face_with([(0.0, 1.0, "happy")], 2), face_with([(1.0, 2.0, "sad")], 4)]
    merged = relabel(predicted(faces), People({2: "Anna"}, [[2, 7]]))
    pictures = {2: grey_frame(20, 20), 7: grey_frame(30, 30)}
    figure = draw_prediction(merged, pictures=pictures)
    shown = {axes.get_title(loc="left"): axes.findobj(OffsetImage) for axes in figure.axes}
    assert {name: [image.get_data().shape[0] for image in images] for name, images in shown.items()} == {
        "Anna": [20],
        "face 4": [],
    }


def test_bars_of_an_unsure_answer_are_hatched_and_say_why() -> None:
    face = replace(face_with([(0.0, 0.0, "sad")]), reasons=("too dark",))
    figure = draw_prediction(image_of([face]))
    bars = figure.axes[0].patches
    assert [bool(bar.get_hatch()) for bar in bars] == [False] * 7 + [True] * 7
    assert "not sure: too dark" in texts_of(figure)


def test_an_image_without_a_face_says_so() -> None:
    assert "no face was found in this image" in texts_of(draw_prediction(image_of([])))


def test_timeline_of_a_long_video_counts_minutes() -> None:
    figure = draw_prediction(predicted([face_with(even_windows(100))], duration=64.0))
    figure.canvas.draw()
    shown = texts_of(figure)
    assert "1:00" in shown
    assert "60 s" not in shown
