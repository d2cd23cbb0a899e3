"""Files that are no files, too large, or JSON with traps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.runtime.reading import open_regular, parse_json, read_input, read_limited
from tests.places import NO_FILES, REFUSED


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_neither_waited_for_nor_read(tmp_path: Path, kind: str) -> None:
    NO_FILES[kind](tmp_path / "a")
    with pytest.raises(OSError, match=REFUSED):
        open_regular(tmp_path / "a")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "sub\0/a"])
@pytest.mark.parametrize("read", [open_regular, read_limited, lambda path: read_input(path, 9)])
def test_a_name_that_no_file_can_have(name: str, read: Callable[[Path], object]) -> None:
    with pytest.raises(OSError, match="no file can have this name"):
        read(Path(name))


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_limited(tmp_path / "b", 4) == b"text"


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_limited(tmp_path / "a", 4)
    os.truncate(tmp_path / "a", 10**12)  # sparse
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_limited(tmp_path / "a", 4)


def test_a_pipe_that_a_command_writes_to_is_an_input_and_one_without_a_writer_is_empty(tmp_path: Path) -> None:
    out, into = os.pipe()
    os.write(into, b"name: x")
    os.close(into)
    assert read_input(Path(f"/dev/fd/{out}"), 100) == b"name: x"
    os.close(out)
    os.mkfifo(tmp_path / "a")
    assert read_input(tmp_path / "a", 100) == b""
    with pytest.raises(OSError, match="more than 100 bytes"):
        read_input(Path("/dev/zero"), 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
        pytest.param("9" * 5000, "digits", id="digits"),
        pytest.param("[NaN]", "NaN is not a number", id="NaN"),
        pytest.param('{"a": 1, "a": 2}', "twice", id="twice"),
        pytest.param(b"\xff", "decode", id="no UTF-8"),
    ],
)
def test_json_with_a_trap(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
