"""Shares of emotions: the published ones, and files of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.errors import UsageError
from dfer.labels import DFEW_LABELS, MAFW_LABELS
from dfer.shares import DATASET_COUNTS, read_shares

LABELS = ["happy", "sad", "neutral"]


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_published_counts_are_of_the_data_sets_labels() -> None:
    for name, counts in DATASET_COUNTS.items():
        assert set(counts) == set(MAFW_LABELS if name == "mafw" else DFEW_LABELS)
    assert {name: sum(counts.values()) for name, counts in DATASET_COUNTS.items()} == {
        "ferplus": 24925, "dfew": 11697, "ferv39k": 31088, "mafw": 9172,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "happy: 1\nSadness: 3\nneutral: 0\n"),
        ("a.json", '{\n\t"happy": 0.25,\n\t"sad": 0.75,\n\t"neutral": 0.0\n}'),
        ("a.csv", "label,share\nhappy,10\nsad, 30\n\nneutral,0\n"),
        ("no suffix", "{happy: 2, sad: 6.0, neutral: 0}"),
        ("bom.CSV", "\ufeffhappy,1\nsad,3\nneutral,0\n"),
    ],
)
def test_a_file_of_shares_is_read_and_normalised(tmp_path: Path, name: str, text: str) -> None:
    assert read_shares(written(tmp_path, name, text), LABELS) == {"happy": 0.25, "sad": 0.75, "neutral": 0.0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "happy: 1\nsad: 3\n", "no share of 'neutral'"),
        ("a.yaml", "happy: 1\nsad: 3\nneutral: 1\nbored: 2", "unknown label 'bored'"),
        ("a.yaml", "happy: 1\njoy: 3\nsad: 1\nneutral: 1", "'happy' stands twice"),
        ("a.yaml", "happy: -1\nsad: 3\nneutral: 1", "'happy' must be a number of at least 0, got -1"),
        ("a.yaml", "happy: .nan\nsad: 3\nneutral: 1", "must be a number"),
        ("a.yaml", "happy: .inf\nsad: 3\nneutral: 1", "must be a number"),
        ("a.yaml", "happy: true\nsad: 3\nneutral: 1", "must be a number"),
        ("a.yaml", "happy: [1]\nsad: 3\nneutral: 1", "must be a number"),
        ("a.yaml", "happy: 0\nsad: 0\nneutral: 0", "sum above 0"),
        ("a.yaml", "", "empty"),
        ("a.yaml", "- happy", "mapping"),
        ("a.json", '{"happy": 1, "happy": 2, "sad": 1, "neutral": 1}', "'happy' stands twice"),
        ("a.json", "[1, 2, 3]", "JSON object"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.csv", "happy,1,2\n", "a label and its share"),
        ("a.csv", "happy,1\nsad,many\nneutral,1", "'sad' must be a number of at least 0, got 'many'"),
        ("a.csv", "", "no share of"),
    ],
)
def test_what_is_no_prior_is_refused_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = written(tmp_path, name, text)
    with pytest.raises(UsageError, match=message) as caught:
        read_shares(path, LABELS)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "large.json").write_text(" " * 1_000_001)
    for name in ("bytes.csv", "folder.csv", "large.json", "missing.csv"):
        with pytest.raises(UsageError, match=name):
            read_shares(tmp_path / name, LABELS)
