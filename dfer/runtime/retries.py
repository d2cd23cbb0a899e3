"""Tasks whose process crashed are tried once more, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, TypeVar

from dfer.runtime.workers import run_tasks

Task = TypeVar("Task")
Raw = TypeVar("Raw")
Result = TypeVar("Result")


def retry_crashed(
    run: Callable[[Sequence[Task], int], Generator[tuple[Task, tuple[Result, bool]], None, None]],
    tasks: Sequence[Task],
    at_once: int,
) -> Generator[tuple[Task, Result], None, None]:
    """Run tasks, and those that crashed again at the end, one at a time.

    When memory runs out, the task that crashed may not be the one that took it.

    Args:
        run: runs some tasks, with a limit on how many at once; yields each with its result and whether it crashed.
        tasks: all tasks.
        at_once: the number in the first round.
    """
    crashed: list[Task] = []
    with closing(run(tasks, at_once)) as finished:
        for task, (result, is_crash) in finished:
            if is_crash:
                crashed.append(task)
            else:
                yield task, result
    with closing(run(crashed, 1)) as finished:
        for task, (result, _) in finished:
            yield task, result


def run_tasks_with_retries(
    function: Callable[[Task], Raw],
    tasks: Sequence[Task],
    outcome: Callable[[Future[Raw], Task], tuple[Result, bool]],
    *,
    workers: int,
    timeout_s: Callable[[Task], float],
    initializer: Callable[..., object],
    initargs: tuple[Any, ...],
) -> Generator[tuple[Task, Result], None, None]:
    """Run tasks in worker processes as `retry_crashed` does.

    Args:
        function: called with each task in a worker, as are the others; see `run_tasks`.
        tasks: all tasks.
        outcome: returns the result of a task that has ended, and whether its process crashed.
        workers: number of processes in the first round.
        timeout_s: the longest time a task may take, in seconds.
        initializer: called first in every worker, with `initargs`.
    """

    def run(some: Sequence[Task], at_once: int) -> Generator[tuple[Task, tuple[Result, bool]], None, None]:
        finished = run_tasks(
            function,
            some,
            workers=min(at_once, len(some)),
            timeout_s=timeout_s,
            initializer=initializer,
            initargs=initargs,
        )
        with closing(finished):
            for task, future in finished:
                yield task, outcome(future, task)

    return retry_crashed(run, tasks, workers)
