"""Get the next items while the caller works on the current one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

T = TypeVar("T")

_END = object()


def read_ahead(items: Iterator[T], count: int = 1, *, begin: Callable[[], None] = lambda: None) -> Iterator[T]:
    """Yield items, which a thread gets while the caller is busy.

    Args:
        items: iterated over in the thread; what it raises reaches the caller in its place.
        count: how many may wait for the caller.
        begin: called in the thread first.
    """
    pool = ThreadPoolExecutor(1, "ahead", begin)
    wait = True
    try:
        waiting = deque(pool.submit(_next, items) for _ in range(count))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(_next, items))
            yield cast("T", item)
    except KeyboardInterrupt:  # while the thread may be stuck
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)


def _next(items: Iterator[T]) -> Any:
    return next(items, _END)
