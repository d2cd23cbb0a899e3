"""Tasks in worker processes: a crash or a time-out costs one task, Ctrl-C stops all, and no worker outlives us."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from types import FrameType
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

__all__ = ["ProcessExpired", "run_tasks"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_s: float | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Generator[tuple[Task, Future[Result]], None, None]:
    """Run a function over tasks in spawned processes.

    The queue is short, so memory stays flat however many tasks there are. Where the consumer stops early, by an
    error or Ctrl-C, the running tasks are ended.

    Args:
        function: importable; run in a worker.
        tasks: its arguments, one for each call.
        workers: processes.
        timeout_s: the longest time a task may run.
        initializer: run first in every worker, with `initargs`.

    Yields:
        Each task with its finished future, in the order of completion. The future's `result` raises what the
        function raised, TimeoutError, or `ProcessExpired` if the worker died.
    """
    # Spawned, not forked: the caller may run threads (torch, progress bars) that do not survive a fork.
    pool = ProcessPool(
        max_workers=workers,
        initializer=_start_worker,
        initargs=(initializer, initargs),
        context=get_context("spawn"),
    )
    with pool:
        waiting: dict[Future[Result], Task] = {}
        remaining, call = iter(tasks), partial(_call, function)
        try:
            while True:
                with _ctrl_c_ignored():  # the first task starts the workers
                    for task in remaining:
                        waiting[pool.schedule(call, args=[task], timeout=timeout_s)] = task
                        if len(waiting) >= 4 * workers:
                            break
                if not waiting:
                    return
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield waiting.pop(future), future
        finally:
            if waiting:
                pool.stop()


class _Stopped(SystemExit):
    """Raised in a worker that is told to end, so that it removes what it has half written."""


def _start_worker(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Stopped

    signal.signal(signal.SIGTERM, stop)
    if initializer is not None:
        initializer(*initargs)


def _call(function: Callable[[Task], Result], task: Task) -> Result:
    try:
        return function(task)
    except _Stopped:
        os._exit(1)  # pebble would take it for the task's own error, and go on


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Processes started in the block never see Ctrl-C: it is this one that stops them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
