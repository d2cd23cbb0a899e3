"""FER2013's own table, fer2013.csv: a row per image, whose 48x48 grey values stand in it as text.

    emotion,pixels,Usage
    0,70 80 82 72 ... 109 82,Training

The table has 300 MB, so its rows are found by their place in the file, and read when a clip is processed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dfer.datasets.folder.splits import split_of
from dfer.datasets.lists import children
from dfer.datasets.text import column_name
from dfer.errors import DataError, os_reason
from dfer.records import PixelText, Split
from dfer.runtime.reading import open_regular

_COLUMNS = ("emotion", "pixels", "usage")
_LONGEST_LINE = 1_000_000  # bytes; a row of 48x48 values has at most 9,300
_HINT = "its first line is emotion,pixels,Usage"


@dataclass(frozen=True)
class PixelRow:
    """A row of fer2013.csv.

    Attributes:
        split: what its column Usage says.
        pixels: where its grey values are.
        line: its number in the file.
    """

    split: Split
    pixels: PixelText
    line: int


def find_table(raw: Path, pattern: str) -> Path | None:
    """Return the table whose name matches, in RAW or one level below it, or None.

    Args:
        raw: the folder given by the user.
        pattern: for `children`.
    """
    folders = (raw, *children(raw, ".*", folders=True))
    return next((file for folder in folders for file in children(folder, pattern, folders=False)), None)


def read_pixel_rows(file: Path) -> list[PixelRow]:
    """Find the rows of fer2013.csv.

    Raises:
        DataError: the file cannot be read, is another table, or a row has other columns or a usage that is no split.
    """
    try:
        with open_regular(file) as opened:
            return list(_rows(opened, file))
    except OSError as error:
        raise DataError(f"cannot read the table: {os_reason(error)}", where=file) from error


def _rows(opened: BinaryIO, file: Path) -> Iterator[PixelRow]:
    names: list[str] = []
    at = 0
    for number, line in enumerate(iter(lambda: opened.readline(_LONGEST_LINE), b""), start=1):
        begin, at = at, at + len(line)
        if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
            raise DataError(f"a line of more than {_LONGEST_LINE:,} bytes", where=f"{file}, line {number}", hint=_HINT)
        fields = line.rstrip(b"\r\n").split(b",")
        if not names:
            names = [column_name(_text(field)) for field in fields]
            if missing := [name for name in _COLUMNS if names.count(name) != 1]:
                raise DataError(f"the table has no column {missing[0]}", where=file, hint=_HINT)
        elif any(fields):
            yield _row(fields, names, begin, f"{file}, line {number}", number)


def _row(fields: list[bytes], names: list[str], begin: int, where: str, line: int) -> PixelRow:
    if len(fields) != len(names):
        raise DataError(f"expected {len(names)} fields, got {len(fields)}", where=where, hint=_HINT)
    usage, column = _text(fields[names.index("usage")]), names.index("pixels")
    split = split_of(usage)
    if split is None:
        known = "known ones: Training, PublicTest, PrivateTest"
        raise DataError(f"unknown usage {usage[:40]!r}", where=where, hint=known)
    offset = begin + sum(len(field) + 1 for field in fields[:column])
    return PixelRow(split, PixelText(offset, len(fields[column])), line)


def _text(field: bytes) -> str:
    return field.decode("utf-8-sig", "replace").strip(' "')
