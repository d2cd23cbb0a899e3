"""Predictions as a table."""

from __future__ import annotations

from dfer.reports.prediction import prediction_table
from tests.results import (
    NOTICE,
    even_windows,
    face_with,
    predicted,
    printed,
)


def test_prediction_table() -> None:
    several = [predicted([face_with(even_windows(6))]), predicted([], source="empty.mp4")]
    text = printed(prediction_table(several))
    for shown in ("a.mp4", "happy", "70.00", "0.0–1.9 s  happy", "1.9–3.8 s  sad", "empty.mp4", "no face"):
        assert shown in text
    assert text.count(NOTICE) == 1
    assert "empty.mp4: no face found in 500 frames" in text


def test_prediction_table_sums_up_many_changes() -> None:
    text = printed(prediction_table([predicted([face_with(even_windows(1000))], duration=640.0)]), 80)
    assert "333 changes" in text
    assert "14 %  happy" in text


def test_the_table_shows_where_a_face_is_gone() -> None:
    face = face_with([(0.0, 0.5, "sad"), (4.0, 4.5, "sad")])
    text = printed(prediction_table([predicted([face], duration=4.5)]))
    assert "1.0 s, 22 %" in text
    for shown in ("0.0–0.5 s  sad", "0.5–4.0 s  not seen", "4.0–4.5 s  sad"):
        assert shown in text


def test_the_table_counts_many_gaps() -> None:
    face = face_with([(2.0 * n, 2.0 * n + 1, "sad") for n in range(9)])
    assert "8 changes, 8 gaps" in printed(prediction_table([predicted([face])]))


def test_prediction_table_does_not_read_file_names_as_markup() -> None:
    several = [predicted([], source="a[red].mp4"), predicted([], source="b.mp4")]
    assert "a[red].mp4" in printed(prediction_table(several))


def test_a_narrow_table_of_several_videos_cuts_no_figure_and_tells_namesakes_apart() -> None:
    face = face_with([(0.0, 0.7, "happy"), (0.7, 6.0, "sad")])
    several = [predicted([face], source=f"{folder}/an_interview.mp4", duration=6.0) for folder in ("monday", "friday")]
    for width in (60, 80):
        text = printed(prediction_table(several), width)
        assert "…" not in text
        assert text.count("70.00") == 2
        column = "".join(line[:24].split("  ")[0] for line in text.splitlines())
        assert "monday/an_interview.mp4" in column
        assert "friday/an_interview.mp4" in column


def test_empty_list_of_predictions_gives_an_empty_table() -> None:
    assert "emotion" in printed(prediction_table([]))
