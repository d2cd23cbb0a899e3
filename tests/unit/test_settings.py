"""Records read from files: types and bounds, and errors that stay short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytest
from pydantic import ConfigDict

from dfer.errors import DataError, UsageError
from dfer.settings import STRICT, Count, Labels, Settings, read_record, read_settings


@dataclass(frozen=True)
class Record:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    number: Count
    labels: Labels
    folds: dict[int, Literal["train", "test"]]
    share: float = 0.5


GOOD = {"number": 1, "labels": ["a", "b"], "folds": {"1": "train"}}


def read(values: Any) -> Record:
    return read_record(Record, values, what="damaged", where="a.json", error=DataError)


def test_a_record_is_made_of_plain_values() -> None:
    assert read(GOOD) == Record(1, ["a", "b"], {1: "train"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": "1"}, "number: input should be a valid integer"),
        ({"number": True}, "number: "),
        ({"number": 10**18}, "number: "),
        ({"number": -1}, "number: "),
        ({"share": float("nan")}, "share: input should be a finite number"),
        ({"labels": "a, b"}, "labels: "),
        ({"labels": ["a", "a"]}, "the label 'a' stands twice"),
        ({"labels": ["a", " "]}, "a label is blank"),
        ({"labels": []}, "labels: "),
        ({"labels": [str(n) for n in range(5000)]}, "labels: "),
        ({"labels": ["n" * 1_000_000]}, "labels.0: "),
        ({"folds": {"1": "tset"}}, "folds.1: input should be 'train' or 'test'"),
        ({"folds": {"x": "test"}}, "folds.x"),
        ({"numbr": 1}, r"unknown key 'numbr' \(did you mean 'number'\?\)"),
        ({"share": {1, 2}}, "damaged"),
    ],
)
def test_values_out_of_bounds_are_one_short_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(GOOD | change)
    assert str(caught.value).startswith("damaged: ")
    assert str(caught.value).endswith("(a.json)")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("values", [None, [], 7, "text"])
def test_what_is_no_record(values: Any) -> None:
    with pytest.raises(DataError, match="damaged"):
        read(values)


class Few(Settings):
    number: Count


def test_thousands_of_problems_are_one_short_line_that_begins_with_the_known_keys() -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(Few, {**{f"key{n}": n for n in range(60_000)}, "number": 0}, where="a.yaml")
    text = str(caught.value)
    assert text.startswith("number: ")
    assert "and 59,993 more" in text
    assert len(text) < 600


def test_long_keys_and_long_numbers_are_shown_short() -> None:
    with pytest.raises(UsageError) as caught:
        read_settings(Few, {"k" * 1_000_000: 1, "number": -(16**6000)}, where="a.yaml")
    assert len(str(caught.value)) < 400
