"""Predictions as a table and as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dfer.labels import DFEW_LABELS
from dfer.reports.prediction import prediction_table, write_prediction_csv
from tests.results import (
    NOTICE,
    even_windows,
    face_with,
    predicted,
    printed,
)


def test_csv_has_a_row_per_face_and_window(tmp_path: Path) -> None:
    faces = [face_with(even_windows(4)), face_with(even_windows(3), 1)]
    write_prediction_csv([predicted(faces), predicted([], source="b.mp4")], tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len(rows) == 7
    assert (rows[1]["source"], rows[1]["face"], rows[1]["start"], rows[1]["label"]) == (
        "clips/a.mp4",
        "0",
        "0.640",
        "happy",
    )
    assert sum(float(rows[0][f"p_{label}"]) for label in DFEW_LABELS) == pytest.approx(1, abs=1e-5)


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


def test_prediction_table_does_not_read_file_names_as_markup() -> None:
    several = [predicted([], source="a[red].mp4"), predicted([], source="b.mp4")]
    assert "a[red].mp4" in printed(prediction_table(several))


def test_empty_list_of_predictions_gives_an_empty_table() -> None:
    assert "emotion" in printed(prediction_table([]))
