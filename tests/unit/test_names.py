"""File names as text: valid UTF-8 without control characters, one text for each name, and back."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from dfer.errors import DferError
from dfer.names import name_text, printable, text_name

ORDINARY = (
    "clip.mp4",
    "a b/c-1.mp4",
    "字.mp4",
    "e\u0301.mp4",
    "a\\b",
    r"C:\users\new\x.mp4",
    "100%.mp4",
    "x~1",
    " a. ",
)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_is_its_own_text(name: str) -> None:
    assert name_text(name) == text_name(name) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(os.fsdecode(b"a\xff.mp4"), r"a\xff.mp4", id="a byte that is not UTF-8"),
        pytest.param("a\rb\nc\td", r"a\x0db\x0ac\x09d", id="line breaks and a tab"),
        pytest.param("\x1b[31m\x7f\x9b", r"\x1b[31m\x7f\u009b", id="terminal escapes"),
        pytest.param("gpj.\u202e\u2028", r"gpj.\u202e\u2028", id="right to left, line separator"),
        pytest.param(r"a\xff", r"a\x5cxff", id="a name that looks like an escape"),
    ],
)
def test_other_names_are_escaped(name: str, text: str) -> None:
    assert name_text(Path(name)) == text
    assert text_name(text) == name


def test_no_two_names_have_one_text() -> None:
    letters = ("\\", "x", "5", "c", "f", "\n", "\udcff", "\u2028")
    names = ["".join(some) for length in range(1, 6) for some in itertools.product(letters, repeat=length)]
    texts = [name_text(name) for name in names]
    assert len(set(texts)) == len(names)
    assert [text_name(text) for text in texts] == names
    assert all(text.encode().decode().isprintable() for text in texts)


def test_shown_text_keeps_its_lines_and_backslashes() -> None:
    assert printable("a\n\tb\x1b[1m\udcff\\xff") == "a\n\tb\\x1b[1m\\xff\\xff"


@pytest.mark.parametrize("where", [Path("a\nb"), "a\nb", Path(os.fsdecode(b"a\xffb")), "\x1b]0;x\x07"])
def test_an_error_is_one_line_of_text_whatever_the_name(where: str | Path) -> None:
    line = str(DferError(f"cannot read {where}", where=where))
    assert line.encode().decode().isprintable()
