"""Clips' sources as files: read once in full before a decoder sees them, and never left for changed or gone.

To a decoder, a disk that fails half way looks like the end of a video: it gives the frames it has, and the clip would
pass for whole. So every byte is asked for first, where an error is an error; the decoder then reads from memory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from threading import Thread
from typing import TypeVar

from dfer.records import IMAGE_SUFFIXES

_READ_AT_MOST = 512 * 2**20  # more may not stay in memory until it is decoded
_CHUNK = 2**20
_PER_BYTE_S = 200 / 2**20  # ten times what a long video of a low bit rate takes on a slow core
_AT_MOST_S = 12 * 3600.0
_FOLDER_S = 1800.0  # frames in files: nothing that hangs, and counting them takes time on a network disk

Value = TypeVar("Value")
# Device, inode, size and time of change: what a file is known by again.
Snapshot = tuple[int, int, int, int]


def take_snapshot(source: Path) -> Snapshot:
    """What a file or folder is known by again.

    Raises:
        OSError: it is not there, or the disk fails.
    """
    found = source.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read_through(source: Path) -> Snapshot:
    """Read a file, or the images in a folder, up to 512 MB of each.

    Returns:
        What the source is known by again.

    Raises:
        OSError: it cannot be read, or is neither file nor folder. Images that are not there or may not be read by
            this user are left out, as they are when the clip is decoded.
    """
    snapshot = take_snapshot(source)
    if source.is_dir():
        with os.scandir(source) as entries:
            images = [Path(entry.path) for entry in entries if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES]
        for image in images:
            try:
                _read_file(image)
            except (FileNotFoundError, PermissionError):
                continue
    else:
        _read_file(source)
    return snapshot


def time_allowed_s(source: Path, base_s: float) -> float:
    """How long the work on a source may take, seconds: `base_s`, and more for a long one.

    A disk that does not answer is given no more.
    """

    def extra_s() -> float:
        return _FOLDER_S if source.is_dir() else min(source.stat().st_size * _PER_BYTE_S, _AT_MOST_S)

    try:
        return base_s + answer_within(10.0, extra_s)
    except OSError:
        return base_s


def answer_within(patience_s: float, ask: Callable[[], Value]) -> Value:
    """Ask a disk that may never answer.

    Raises:
        OSError: what asking raised; TimeoutError after `patience_s`.
    """
    answer: Future[Value] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return answer.result(patience_s)
    except FutureTimeoutError:
        if answer.done():  # it was the asking that timed out
            raise
        raise TimeoutError(errno.ETIMEDOUT, "it does not answer") from None


def _read_file(path: Path) -> None:
    # A pipe or device would be waited for, or never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a file")
    with path.open("rb", buffering=0) as file:
        for _ in range(_READ_AT_MOST // _CHUNK):
            if not file.read(_CHUNK):
                return
