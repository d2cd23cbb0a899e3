"""Predictions saved for other programs, each file read back by the library of its format."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandas as pd
import pysubs2
import pytest
from praatio import textgrid
from pympi.Elan import Eaf

from dfer.errors import DferError
from dfer.records import Prediction
from dfer.records.bins import cut_bins
from dfer.reports.formats import FORMATS, save_predictions
from dfer.reports.spreadsheets import summary_csv
from tests.results import NOTICE, face_with, predicted


@pytest.fixture
def prediction() -> Prediction:
    """Two faces; the first is gone from 2 to 4 s, and from 1 to 2 s too dark."""
    face = face_with([(0.0, 1.0, "happy"), (1.0, 2.0, "sad"), (4.0, 5.5, "sad")])
    segments = [replace(face.segments[0]), replace(face.segments[1], reasons=("too dark",)), face.segments[2]]
    faces = [replace(face, segments=segments), face_with([(0.5, 1.25, "fear")], 1)]
    return predicted(faces, 6.0, "clips/=a b.mp4")


EMPTY = predicted([], 2.0, "empty.mp4")
BROKEN_NAMES = ["=1+1.mp4", "a & <b>.mp4", "a\nb.mp4", "ü 表情.mp4"]


def test_a_workbook_has_the_answers_a_summary_and_what_to_know(prediction: Prediction, tmp_path: Path) -> None:
    save_predictions([prediction, EMPTY], tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames == ["answers", "summary", "about"]
    heading, first, second, *_, last = book["answers"].iter_rows(values_only=True)
    names = dict(zip(heading, first, strict=True))
    assert (names["source"], names["face"], names["end"], names["label"]) == ("clips/=a b.mp4", 0, 1, "happy")
    assert (names["unsure"], names["reasons"]) == (False, None)
    assert dict(zip(heading, second, strict=True))["reasons"] == "too dark"
    assert dict(zip(heading, last, strict=True))["visible"] == 0
    assert book["summary"].max_row == 4
    notes = {row[-1] for row in book["about"].iter_rows(min_row=2, values_only=True)}
    assert NOTICE in notes


@pytest.mark.parametrize("name", BROKEN_NAMES)
def test_a_name_is_text_in_every_format(name: str, prediction: Prediction, tmp_path: Path) -> None:
    odd = replace(prediction, source=name)
    for suffix in FORMATS:
        save_predictions([odd], tmp_path / f"a{suffix}")
    cell = openpyxl.load_workbook(tmp_path / "a.xlsx")["answers"]["A2"]
    assert cell.data_type == "s"
    assert pd.read_parquet(tmp_path / "a.parquet")["source"].unique().tolist() == [name]
    assert Eaf(str(tmp_path / "a.eaf")).get_linked_files()[0]["RELATIVE_MEDIA_URL"]
    assert json.loads((tmp_path / "a.boris").read_text())["observations"]


@pytest.mark.parametrize("name", ["Anna", 'Ä "B" </x>', "=1+1", "{Ben}: --> 3", "face 7"])
def test_a_persons_name_stands_in_every_format(name: str, prediction: Prediction, tmp_path: Path) -> None:
    named = prediction.relabel({0: name})
    for suffix in FORMATS:
        save_predictions([named, EMPTY] if FORMATS[suffix].holds_several else [named], tmp_path / f"a{suffix}")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert (sheet["answers"]["C1"].value, sheet["answers"]["C2"].value) == ("name", name)
    assert sheet["summary"]["D2"].value == name
    assert pd.read_parquet(tmp_path / "a.parquet")["name"].fillna("").tolist() == [name] * 3 + [""] * 2
    assert set(Eaf(str(tmp_path / "a.eaf")).get_tier_names()) == {name, "face 1"}
    grid = textgrid.openTextgrid(str(tmp_path / "a.textgrid"), includeEmptyIntervals=False)
    assert grid.tierNames == (name, "face 1")
    project = json.loads((tmp_path / "a.boris").read_text())
    assert [subject["name"] for subject in project["subjects_conf"].values()] == [name, "face 1"]
    assert {event[1] for event in next(iter(project["observations"].values()))["events"]} == {name, "face 1"}
    for suffix in (".vtt", ".srt"):
        shown = name.translate(str.maketrans("{}<>", "()‹›"))
        assert f"{shown}: happy" in {event.plaintext for event in pysubs2.load(str(tmp_path / f"a{suffix}"))}


def test_a_parquet_file_has_typed_columns(prediction: Prediction, tmp_path: Path) -> None:
    save_predictions([prediction, EMPTY], tmp_path / "a.parquet")
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert len(frame) == 5
    assert frame["start"].dtype == float
    assert frame["unsure"].tolist() == [False, True, False, False, None]
    assert frame["face"].isna().tolist() == [False] * 4 + [True]
    assert frame["p_happy"][0] == pytest.approx(0.7)


def test_elan_has_a_tier_per_face_and_the_video(prediction: Prediction, tmp_path: Path) -> None:
    save_predictions([prediction], tmp_path / "a.eaf")
    file = Eaf(str(tmp_path / "a.eaf"))
    assert set(file.get_tier_names()) == {"face 0", "face 1"}
    assert sorted(file.get_annotation_data_for_tier("face 0")) == [
        (0, 1000, "happy"), (1000, 2000, "not sure: too dark"), (4000, 5500, "sad"),
    ]  # fmt: skip
    assert file.get_annotation_data_for_tier("face 1") == [(500, 1250, "fear")]
    assert file.get_linked_files()[0]["MEDIA_URL"].startswith("file:///")


def test_praat_has_an_interval_tier_per_face_to_the_end(prediction: Prediction, tmp_path: Path) -> None:
    save_predictions([prediction], tmp_path / "a.TextGrid")
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    assert grid.tierNames == ("face 0", "face 1")
    assert grid.maxTimestamp == 6
    assert [tuple(entry) for entry in grid.getTier("face 0").entries] == [
        (0, 1, "happy"), (1, 2, "not sure: too dark"), (4, 5.5, "sad"),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
def test_subtitles_name_the_face_where_there_are_several(suffix: str, prediction: Prediction, tmp_path: Path) -> None:
    save_predictions([prediction], tmp_path / f"a{suffix}")
    events = pysubs2.load(str(tmp_path / f"a{suffix}"))
    assert [(event.start, event.end, event.plaintext) for event in events] == [
        (0, 1000, "face 0: happy"),
        (500, 1250, "face 1: fear"),
        (1000, 2000, "face 0: not sure: too dark"),
        (4000, 5500, "face 0: sad"),
    ]
    save_predictions([replace(prediction, faces=prediction.faces[1:])], tmp_path / f"b{suffix}")
    assert [event.plaintext for event in pysubs2.load(str(tmp_path / f"b{suffix}"))] == ["fear"]


def test_boris_has_state_events_that_begin_and_stop(prediction: Prediction, tmp_path: Path) -> None:
    save_predictions([prediction, EMPTY], tmp_path / "a.boris")
    project = json.loads((tmp_path / "a.boris").read_text())
    first, second = project["observations"].values()
    assert [event[:3] for event in first["events"] if event[1] == "face 0"] == [
        [0.0, "face 0", "happy"], [1.0, "face 0", "happy"], [1.0, "face 0", "not sure"], [2.0, "face 0", "not sure"],
        [4.0, "face 0", "sad"], [5.5, "face 0", "sad"],
    ]  # fmt: skip
    assert second["events"] == []
    codes = {behaviour["code"] for behaviour in project["behaviors_conf"].values()}
    assert {"happy", "not sure"} <= codes
    assert [subject["name"] for subject in project["subjects_conf"].values()] == ["face 0", "face 1"]


@pytest.mark.parametrize("suffix", sorted(FORMATS))
def test_a_video_without_a_face_is_a_file_too(suffix: str, tmp_path: Path) -> None:
    save_predictions([EMPTY], tmp_path / f"a{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize(
    ("suffix", "package"), [(".xlsx", "openpyxl"), (".eaf", "pympi"), (".srt", "pysubs2"), (".parquet", "pyarrow")]
)
def test_a_missing_library_is_one_error_and_leaves_no_file(
    suffix: str, package: str, prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DferError, match="needs the package") as caught:
        save_predictions([prediction], tmp_path / f"a{suffix}")
    assert caught.value.hint == "pip install 'dfer[formats]'"
    assert list(tmp_path.iterdir()) == []


def test_the_summary_has_a_row_per_face_and_one_for_a_video_without(prediction: Prediction) -> None:
    lines = summary_csv([prediction, EMPTY]).splitlines()
    heading = lines[0].split(",")
    rows = [dict(zip(heading, line.split(","), strict=True)) for line in lines[1:]]
    assert [(row["source"], row["face"], row["visible"]) for row in rows] == [
        ("clips/=a b.mp4", "0", "3.5"), ("clips/=a b.mp4", "1", "0.75"), ("empty.mp4", "", "0.0"),
    ]  # fmt: skip
    assert (rows[0]["s_happy"], rows[0]["s_sad"], rows[0]["unsure"]) == ("1.0", "1.5", "1.0")


def test_a_data_frame_and_a_notebook_show_the_same(prediction: Prediction) -> None:
    frame = prediction.to_dataframe()
    assert frame["label"].tolist() == ["happy", "sad", "sad", "fear"]
    assert frame["unsure"].tolist() == [False, True, False, False]
    bins = replace(prediction, bins=cut_bins(prediction.faces, bin_s=2.0, end_s=6.0)).to_dataframe()
    assert bins["visible"].tolist() == pytest.approx([2, 0.75, 0, 0, 1.5, 0])
    page = replace(prediction, source="<b>.mp4", warnings=["a < b"])._repr_html_()
    assert "&lt;b&gt;.mp4" in page
    assert "a &lt; b" in page
    assert "<td>0.75</td>" in page
    assert EMPTY.to_dataframe()["visible"].tolist() == [0]
    assert "empty.mp4" in EMPTY._repr_html_()
