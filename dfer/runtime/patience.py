"""Time limits for decoders and disks, and calls that give up in time."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from threading import Thread
from typing import TypeVar

TIMEOUT_S = 120.0  # for a short video
_PER_BYTE_S = 200 / 2**20  # ten times what a long video of a low bit rate takes on a slow core
_AT_MOST_S = 12 * 3600.0
_FOLDER_S = 1800.0  # image files never hang a decoder, and counting them takes time on a network disk

Value = TypeVar("Value")


def time_allowed_s(source: Path, base_s: float) -> float:
    """Return how long the work on a source may take, in seconds: `base_s`, and more for a long video.

    A disk that does not answer gets no extra time.
    """

    def extra_s() -> float:
        return _FOLDER_S if source.is_dir() else min(source.stat().st_size * _PER_BYTE_S, _AT_MOST_S)

    try:
        return base_s + call_with_timeout(10.0, extra_s)
    except OSError:
        return base_s


def call_with_timeout(timeout_s: float, function: Callable[[], Value]) -> Value:
    """Call a function that may wait forever for a disk.

    Raises:
        OSError: what the function raised; TimeoutError after `timeout_s`.
    """
    answer: Future[Value] = Future()

    def run() -> None:
        try:
            answer.set_result(function())
        except Exception as error:
            answer.set_exception(error)

    # A daemon thread, so that a disk that never answers does not keep the program from ending.
    Thread(target=run, daemon=True).start()
    try:
        return answer.result(timeout_s)
    except FutureTimeoutError:
        if answer.done():  # the function itself timed out
            raise
        raise TimeoutError(errno.ETIMEDOUT, "it does not answer") from None
