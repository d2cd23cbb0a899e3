"""Reading files that may be hostile: only regular ones, only up to a size, and JSON that is no more than plain values.

A pipe in place of a file would never end, or never begin; and what is read must fit in memory before it is looked at.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from dfer.runtime.filenames import require_possible

_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
NOT_REGULAR = "not a regular file"
MAX_JSON_BYTES = 1_000_000  # of a file that describes something; a real one has a few kilobytes


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links to one are followed.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device.
    """
    handle = _open(path)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, NOT_REGULAR, str(path))


def require_regular(path: Path) -> None:
    """Check that a file can be read to its end, for readers that open it by its name.

    Raises:
        OSError: as for `open_regular`.
    """
    open_regular(path).close()


def read_limited(path: Path, max_bytes: int = MAX_JSON_BYTES) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        max_bytes: no more than these are read.

    Raises:
        OSError: as for `open_regular`, or it is larger.
    """
    with open_regular(path) as file:
        return _read(file, path, max_bytes)


def read_input(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that the user wrote, or the output of a command as in `<(COMMAND)`.

    A pipe that nobody writes to is empty.

    Raises:
        OSError: it cannot be opened, or is larger.
    """
    handle = _open(path)
    if hasattr(os, "set_blocking"):
        os.set_blocking(handle, True)
    with os.fdopen(handle, "rb") as file:
        return _read(file, path, max_bytes)


def _open(path: Path) -> int:
    require_possible(path)
    try:
        return os.open(path, _READING)
    except OSError as error:
        if error.errno == errno.ENXIO and not path.is_file():
            raise OSError(errno.EINVAL, NOT_REGULAR, str(path)) from error  # a socket
        raise


def _read(file: BinaryIO, path: Path, max_bytes: int) -> bytes:
    content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"more than {max_bytes:,} bytes", str(path))
    return content


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Return the value in a JSON file.

    Raises:
        OSError: as for `read_limited`.
        ValueError: as for `parse_json`.
    """
    return parse_json(read_limited(path, max_bytes))


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises:
        ValueError: it is not JSON, holds NaN, a key twice, or a number of thousands of digits, or is nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands twice")
    return values
