"""Predictions read back from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dfer
from dfer.errors import DataError
from dfer.prediction.saved import Unread, read_answers
from dfer.records import Prediction, Quality
from dfer.records.bins import cut_bins
from dfer.records.prediction_json import error_dict
from tests.results import face_with, predicted


def made() -> Prediction:
    quality = Quality(80.0, None, 0.5, None, 2.1, 3.0, 0.9, 1.0)
    first, second, third = (
        face_with([(start, start + 1, "sad"), (start + 1, start + 2, "happy")], int(start)) for start in (0.0, 1.0, 4.0)
    )
    dark = [replace(one, quality=quality, confidence=0.25, reasons=("too dark",)) for one in first.segments]
    faces = [replace(first, segments=dark, confidence=0.25, reasons=("too dark",)), second, third]
    prediction = replace(predicted(faces, 6.0), warnings=["damaged"], bins=cut_bins(faces, bin_s=0.5, end_s=6.0))
    return prediction.relabel({1: "Anna"}, [[0, 4]])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(made().to_dict(), indent=1))
    assert dfer.read_predictions(file) == [made()]
    assert dfer.read_predictions(file)[0].to_dict() == made().to_dict()
    file.write_text(json.dumps(made().to_dict() | {"later": 1}))
    assert dfer.read_predictions(file) == [made()]


def test_json_lines_hold_several_and_those_that_could_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    empty = replace(predicted([], source="empty.mp4"), bins=None)
    values = [made().to_dict(), error_dict("b.mp4", "is empty"), empty.to_dict()]
    file.write_text("\n".join(map(json.dumps, values)) + "\n")
    assert read_answers(file) == [made(), Unread("b.mp4", "is empty"), empty]
    assert dfer.read_predictions(str(file)) == [made(), empty]


def change(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda value: value.update(values)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change(schema="dfer.prediction/1"), "dfer.prediction/1"),
        (change(schema="dfer.evaluation/1"), "not the answers"),
        (change(faces=3), "faces"),
        (change(faces=[4]), "faces"),
        (change(bins=[{"faces": 1}]), "bins"),
        (change(model={"labels": ["sad"], "name": "a", "checkpoint": "b"}), "contradict"),
        (change(model={"labels": 4}), "labels"),
        (change(duration="6"), "duration"),
        (lambda value: value["faces"][0].update(segments=[]), "contradict"),
        (lambda value: value["faces"][0].update(id=1), "contradict"),
        (lambda value: value["faces"][0]["parts"][0].update(spans=[]), "contradict"),
        (lambda value: value["faces"][0]["segments"][0].update(start=9.0), "contradict"),
        (lambda value: value["faces"][0]["segments"][0].update(label="glad"), "contradict"),
        (lambda value: value["faces"][0].update(name=3), "name"),
        (lambda value: value.pop("duration"), "duration"),
    ],
)
def test_what_is_no_prediction_is_refused(
    spoil: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    value = json.loads(json.dumps(made().to_dict()))
    spoil(value)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(value))
    with pytest.raises(DataError) as raised:
        read_answers(file)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"null", b'{"a": NaN}', b'{"schema": 1e999}'])
def test_what_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError):
        read_answers(tmp_path / "a.json")


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(made().to_dict()) + "\n{\n")
    with pytest.raises(DataError, match="line 2"):
        read_answers(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read_answers(tmp_path / "nosuch.json")
