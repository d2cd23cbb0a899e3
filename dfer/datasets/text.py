"""Text of lists in the encodings and with the separators that programs for tables write."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from dfer.errors import DataError, os_reason
from dfer.runtime.reading import open_regular

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
_MARKS_16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEPARATORS = (",", ";", "\t", "|")
# Excel takes a first line such as "sep=;" for the separator.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[ ,;]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
_BEGINNING = 2**16  # bytes
_MAX_BYTES = 200_000_000  # two million clips
_SNIFFED = 200  # rows; enough to see which separator gives a table


def read_text(file: Path, *, beginning_only: bool = False) -> str:
    """Read a list as text: UTF-8, or UTF-16 as Excel's "Unicode text" has it.

    Args:
        file: the list.
        beginning_only: read only as much as a header may take, to see what the file is.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    try:
        with open_regular(file) as opened:
            content = opened.read(_BEGINNING if beginning_only else _MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"cannot read the list: {os_reason(error)}", where=file) from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"a list of more than {_MAX_BYTES:,} bytes", where=file)
    try:
        return content.decode(_encoding(content), "ignore" if beginning_only else "strict")
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8 text", where=file, hint="save the list as UTF-8 (CSV UTF-8 in Excel)") from error


def _encoding(content: bytes) -> str:
    for mark, encoding in (*_MARKS, *_MARKS_16):  # UTF-32's mark begins with UTF-16's
        if content.startswith(mark):
            return encoding
    # Without a mark, the zero bytes of Latin letters tell.
    head = content[:200]
    if len(head) >= 4 and not any(head[1::2]) and all(head[::2]):
        return "utf-16-le"
    if len(head) >= 4 and not any(head[::2]) and all(head[1::2]):
        return "utf-16-be"
    return "utf-8"


def iter_fields(text: str, file: Path, columns: Collection[str] = ()) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the line and the fields of each row of a CSV; empty rows are left out.

    Args:
        text: the content of the file.
        file: its path, for error messages.
        columns: names that the first row has; they help to recognise the separator.

    Raises:
        DataError: a quote is not closed.
    """
    if match := _SEPARATOR_LINE.match(text):
        separator, text = match[1], text[match.end() :]
    else:
        separator = max(_SEPARATORS, key=lambda mark: _fit(text, mark, columns))
    # Strict: otherwise an unclosed quote would swallow the rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    above = 1 if match else 0
    line = above + 1
    try:
        for row in reader:
            if any(map(str.strip, row)):
                yield line, tuple(row)
            line = above + reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"not a readable CSV: {error}", where=f"{file}, line {above + reader.line_num}") from error


def column_name(field: str) -> str:
    """Return the name of a column as it is compared: "Fold 1" is fold_1."""
    return field.strip().lower().replace(" ", "_")


def _fit(text: str, separator: str, columns: Collection[str]) -> tuple[bool, float]:
    """Return how well a separator fits: whether it gives the columns, and the share of rows that are equally long.

    Not every comma separates: a header may explain a column in words, and numbers may have a decimal comma.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    try:
        rows = [row for row in islice(reader, _SNIFFED) if any(field.strip() for field in row)]
    except csv.Error:
        return False, 0.0
    if not rows:
        return False, 0.0
    length, count = Counter(map(len, rows)).most_common(1)[0]
    has_columns = bool(columns) and set(columns) <= set(map(column_name, rows[0]))
    return has_columns, count / len(rows) if length > 1 else 0.0
