"""Predictions as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from dfer.labels import DFEW_LABELS
from dfer.records import FacePrediction, Prediction
from dfer.records.bins import cut_bins
from dfer.reports.prediction_rows import csv_text
from tests.results import even_windows, face_with, predicted


def rows_of(predictions: list[Prediction]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(predictions))))


def binned(faces: list[FacePrediction], duration: float, source: str) -> Prediction:
    return replace(predicted(faces, duration, source), bins=cut_bins(faces, bin_s=1.0, end_s=duration))


def test_a_row_per_face_and_segment() -> None:
    faces = [face_with(even_windows(4)), face_with(even_windows(3), 1)]
    rows = rows_of([predicted(faces)])
    assert len(rows) == 7
    first = {name: rows[1][name] for name in ("source", "face", "start", "visible", "label")}
    assert first == {"source": "clips/a.mp4", "face": "0", "start": "0.640", "visible": "0.640", "label": "happy"}
    assert sum(float(rows[0][f"p_{label}"]) for label in DFEW_LABELS) == pytest.approx(1, abs=1e-5)


def test_a_video_without_a_face_has_a_row() -> None:
    first, second = rows_of([predicted([face_with(even_windows(1))]), predicted([], source="b.mp4")])
    assert list(first) == list(second)
    assert [second[name] for name in ("source", "face", "start", "end", "visible", "label", "x1", "p_sad")] == [
        "b.mp4", "", "0.000", "20.000", "0.000", "", "", "",
    ]  # fmt: skip


def test_bins_give_a_row_for_each_and_each_face() -> None:
    faces = [face_with([(0.0, 2.4, "sad")]), face_with([(1.5, 2.0, "happy")], 1)]
    rows = rows_of([binned(faces, 3.0, "a.mp4"), binned([], 2.0, "b.mp4")])
    assert [(row["source"], row["start"], row["face"], row["visible"], row["label"]) for row in rows] == [
        ("a.mp4", "0.000", "0", "1.000", "sad"),
        ("a.mp4", "0.000", "1", "0.000", ""),
        ("a.mp4", "1.000", "0", "1.000", "sad"),
        ("a.mp4", "1.000", "1", "0.500", "happy"),
        ("a.mp4", "2.000", "0", "0.400", "sad"),
        ("a.mp4", "2.000", "1", "0.000", ""),
        ("b.mp4", "0.000", "", "0.000", ""),
        ("b.mp4", "1.000", "", "0.000", ""),
    ]
