"""Getting the next items while the caller works on the current one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from dfer.errors import DataError
from dfer.runtime.ahead import read_ahead


def test_the_next_items_are_read_while_this_one_is_used() -> None:
    read: list[int] = []
    arrived = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            read.append(number)
            if number == 3:
                arrived.set()
            yield number

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0
    assert arrived.wait(5), "nobody reads on"
    assert read == [0, 1, 2, 3], "no further than asked for"
    assert list(ahead) == list(range(1, 10))


def test_an_error_arrives_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        raise DataError("damaged")

    got: list[int] = []
    with pytest.raises(DataError, match="damaged"):
        got.extend(read_ahead(items(), 4))
    ahead = read_ahead(items(), 4)
    assert [next(ahead), next(ahead)] == [0, 1]
    with pytest.raises(DataError, match="damaged"):
        next(ahead)


def test_a_caller_who_stops_leaves_no_thread() -> None:
    before = threading.active_count()
    ahead = read_ahead(iter(range(100)), 2)
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_nothing_to_read() -> None:
    assert list(read_ahead(iter([]), 3)) == []


def test_ctrl_c_does_not_wait_for_a_thread_that_is_stuck() -> None:
    stuck = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        stuck.wait(30)

    ahead = read_ahead(items())
    assert next(ahead) == 0
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(ahead)
        assert time.monotonic() - begun < 10
    finally:
        stuck.set()
