"""Targets that are no regular files: pipes, devices and open descriptors, which are written to and never replaced."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

STDOUT = Path("/dev/stdout")  # on every system: nothing of this name is opened
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?P<process>self|thread-self|\d+))/fd/(?P<number>\d+)")
_MAX_LINKS = 40  # as many as Linux follows


def is_stream(path: Path) -> bool:
    """Return whether a target takes bytes in order, so that it can be neither renamed nor replaced."""
    try:
        if _descriptor(path) is not None:
            return True
        mode = path.stat().st_mode
    except (OSError, ValueError):  # nothing is there, or no file can have this name
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_stdout(path: Path) -> bool:
    """Return whether a target is this process's stdout, under any of its names."""
    return _descriptor(path) == 1


@contextmanager
def open_stream(path: Path) -> Iterator[IO[bytes]]:
    """Open a stream for writing bytes; stdout is flushed and stays open.

    Raises:
        OSError: it cannot be opened or written, or is a disk.
    """
    number = _descriptor(path)
    if number == 1:
        with _stdout() as out:
            yield out
        return
    if number is None and stat.S_ISBLK(path.stat().st_mode):
        raise OSError(errno.EPERM, "a disk is no place for a file")
    with path.open("wb") if number is None else os.fdopen(os.dup(number), "wb") as file:
        yield file


@contextmanager
def _stdout() -> Iterator[IO[bytes]]:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")
    sys.stdout.flush()
    # Bytes, since JSON and CSV are UTF-8 whatever the terminal's encoding is.
    binary = getattr(sys.stdout, "buffer", None)
    if binary is not None:
        yield binary
        binary.flush()
        return
    collected = io.BytesIO()  # stdout was replaced by a text buffer, as in a notebook or a test
    yield collected
    sys.stdout.write(collected.getvalue().decode(errors="backslashreplace"))


def _descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path stands for, directly or through links."""
    current = path.as_posix()
    for _ in range(_MAX_LINKS):
        if current in _STANDARD:
            return _STANDARD[current]
        found = _DESCRIPTOR.fullmatch(f"{os.path.realpath(os.path.dirname(current))}/{os.path.basename(current)}")  # noqa: PTH119, PTH120
        if found and found["process"] in (None, "self", "thread-self", str(os.getpid())):
            return int(found["number"])
        if found or not os.path.islink(current):  # noqa: PTH114 - paths are compared as text
            return None
        current = os.path.join(os.path.dirname(current), os.readlink(current))  # noqa: PTH118, PTH120, PTH115
    return None


def replace_closed() -> None:
    """Open the null device where the caller has closed stdin, stdout or stderr; call it before a file is opened.

    The next file to be opened would get the closed one's number, and whatever a library prints would end up in it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends


def escape_unencodable() -> None:
    r"""Let stdout write letters that its encoding lacks as escapes such as `\u5b57`, as stderr does anyway."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def discard(number: int) -> None:
    """Let what is written to an open descriptor from now on go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def discard_unwritten() -> None:
    """Flush stdout and stderr; what can no longer be written is dropped, so that Python does not try it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # it is full, has no reader, or is closed
            with suppress(OSError, ValueError, AttributeError):
                discard(stream.fileno())
