"""Tasks whose process crashed are tried once more, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TypeVar

Task = TypeVar("Task")
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
