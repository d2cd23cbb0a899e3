"""Ids, labels and subjects are text that every file can hold, and ids stay apart on disks that ignore case."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from dfer.datasets.ids import with_portable_names
from dfer.datasets.merge import RawDataset
from dfer.records import ClipRecord


def dataset(*ids: str, label: str = "happy", subject: str | None = None) -> RawDataset:
    clips = [ClipRecord(clip_id, 0, label, Path(clip_id), {1: "train"}, subject=subject) for clip_id in ids]
    return RawDataset("folder", (label,), clips, 1, [f"a notice on {label}"])


def ids_of(*ids: str) -> list[str]:
    return [clip.clip_id for clip in with_portable_names(dataset(*ids)).clips]


def test_ordinary_names_are_unchanged() -> None:
    whole = dataset("Action/Happy/0267", "happy/ä.mp4", "字.mp4", subject="p 1")
    assert with_portable_names(whole) == whole


@pytest.mark.parametrize("odd", [os.fsdecode(b"\xff"), "a\rb", "a\nb", "\x1b[31m"], ids=ascii)
def test_no_name_keeps_a_file_from_being_read(odd: str) -> None:
    result = with_portable_names(dataset(f"{odd}/1.mp4", label=odd, subject=odd))
    (clip,) = result.clips
    texts = [clip.clip_id, clip.label_name, str(clip.subject), *result.labels, *result.notices]
    assert all(text.encode().decode().isprintable() for text in texts)
    assert clip.label_name == result.labels[clip.label]
    assert clip.source == Path(f"{odd}/1.mp4")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("Happy/a.mp4", "happy/A.mp4", id="case"),
        pytest.param("é.mp4", unicodedata.normalize("NFD", "é.mp4"), id="composed and decomposed"),
        pytest.param("STRASSE", "straße", id="folded"),
    ],
)
def test_ids_that_are_one_file_elsewhere_each_get_a_hash(one: str, other: str) -> None:
    first, second, third = ids_of(one, other, "c.mp4")
    assert first.startswith(f"{one}~")
    assert second.startswith(f"{other}~")
    assert first.casefold() != second.casefold()
    assert third == "c.mp4"
    assert ids_of(other, one)[1] == first


@pytest.mark.parametrize("letter", ["x", "字", os.fsdecode(b"\xff")], ids=ascii)
def test_long_labels_are_shortened_and_stay_apart(letter: str) -> None:
    labels = [with_portable_names(dataset("1", label=letter * 251 + end)).labels[0] for end in "ab"]
    assert [len(label) for label in labels] == [200, 200]
    assert labels[0] != labels[1]
