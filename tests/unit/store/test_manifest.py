"""The manifest: the contract's columns, read back as they were written; damage is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from dfer.errors import DataError
from dfer.records import Status
from dfer.store.manifest import ManifestRow, read_manifest, write_manifest
from tests.stores import small_store


def test_the_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s", failed=2)
    assert store.rows == read_manifest(tmp_path / "s" / "manifest.csv")
    header = (tmp_path / "s" / "manifest.csv").read_text().splitlines()[0].split(",")
    contract = ["clip_id", "label", "label_name", "num_frames", "source_frames", "fps"]
    contract += ["status", "detail", "detected", "source"]
    assert header[: len(contract)] == contract
    assert header[-2:] == ["fold_1", "fold_2"]
    odd = replace(store.rows[0], clip_id='a "quoted", name', detail="two\nlines", subject="s1", votes=(3, 0, 7))
    write_manifest(tmp_path / "odd.csv", [odd])
    assert read_manifest(tmp_path / "odd.csv") == [odd]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="no rows"),
        pytest.param([ManifestRow("00001", 0, "sad", "missing", {})], id="no folds"),
        pytest.param(
            [
                ManifestRow("a", 0, "sad", "missing", {10: "val"}),
                ManifestRow("b", 0, "sad", "ok", {2: "train"}, 9, 23.976),
            ],
            id="a clip that is missing from a fold",
        ),
        pytest.param([ManifestRow("a", 0, "sad", "ok", {1: "test"}, votes=(0, 10))], id="votes and no subject"),
    ],
)
def test_rows_come_back_whatever_they_lack(tmp_path: Path, rows: list[ManifestRow]) -> None:
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows


def test_columns_are_in_the_order_of_the_folds_and_numbers_are_short(tmp_path: Path) -> None:
    rows = [ManifestRow("a", 3, "sad", "ok", {10: "val", 2: "test"}, 9, 24000 / 1001, 12, detected=2 / 3)]
    write_manifest(tmp_path / "m.csv", rows)
    header, line = (tmp_path / "m.csv").read_text().splitlines()
    assert header.endswith("sha256,fold_2,fold_10")
    assert line == "a,3,sad,9,12,23.976,ok,,0.6667,,,test,val"


def test_a_manifest_from_before_the_column_of_source_frames_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    write_manifest(path, [ManifestRow("a", 3, "sad", "ok", {1: "test"}, 9, 25.0, 12)])
    path.write_text(path.read_text().replace("source_frames,", "").replace(",12,", ","))
    assert read_manifest(path) == [ManifestRow("a", 3, "sad", "ok", {1: "test"}, 9, 25.0, 0)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param("num_frames", "frames", "num_frames", id="a missing column"),
        pytest.param(",ok,", ",fine,", "line 2.status: .* got 'fine'", id="an unknown status"),
        pytest.param("a,3,", "a,happy,", "happy", id="a label that is not a number"),
        pytest.param("fold_1", "fold_x", "'x'", id="a fold that is not a number"),
    ],
)
def test_a_damaged_manifest_names_the_damage(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "m.csv"
    write_manifest(path, [ManifestRow("a", 3, "sad", "ok", {1: "test"}, 9, 25.0)])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(path)
    assert "m.csv" in str(caught.value)


@pytest.mark.parametrize("status", get_args(Status))
def test_a_row_is_ok_by_its_status(status: Status) -> None:
    assert ManifestRow("a", 0, "sad", status, {}).ok == (status == "ok")
