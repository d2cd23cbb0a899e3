"""Worker processes: what dies, hangs or raises costs one task."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from dfer.errors import DataError, DferError
from dfer.runtime import workers
from dfer.runtime.workers import WorkerDiedError, run_tasks


def do(task: str) -> str:
    """What a task's name says."""
    if task == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif task == "leave":
        os._exit(7)
    elif task == "hang":
        time.sleep(60)
    elif task == "expected":
        raise DataError("no such thing", where="here", hint="look elsewhere")
    elif task == "unportable":
        raise UnportableError("one", "two")
    elif task == "unreturnable":
        return lambda: None  # type: ignore[return-value]
    return task.upper()


class UnportableError(Exception):
    """Cannot be made again from its arguments in another process."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def work_on(signs: int) -> int:
    workers._SIGN_EVERY_S = 0.0
    for _ in range(signs):
        time.sleep(0.3)
        workers.show_life()
    if not signs:
        time.sleep(60)
    return signs


def test_a_task_may_take_long_as_long_as_it_shows_life() -> None:
    finished = dict(run_tasks(work_on, [6, 0], workers=2, timeout_s=lambda _task: 1.2))
    assert finished[6].result() == 6
    with pytest.raises(TimeoutError):
        finished[0].result()


def ending(future: object) -> str:
    try:
        return future.result()  # type: ignore[attr-defined,no-any-return]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def fail_to_start(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise DataError("cannot start")


@pytest.mark.parametrize("workers", [1, 3])
def test_each_task_ends_in_its_own_way(workers: int) -> None:
    tasks = ["a", "kill", "b", "hang", "expected", "leave", "unportable", "unreturnable", "c"]
    finished = run_tasks(do, tasks, workers=workers, timeout_s=lambda task: 1.0 if task == "hang" else 60.0)
    endings = {task: ending(future) for task, future in finished}
    reason = endings.pop("unreturnable")
    assert "pickle" in reason.lower()
    assert endings == {
        "a": "A",
        "b": "B",
        "c": "C",
        "kill": "WorkerDiedError: SIGKILL",
        "leave": "WorkerDiedError: exit code 7",
        "hang": "TimeoutError: ",
        "expected": "DataError: no such thing (here)",
        "unportable": "RuntimeError: UnportableError: one and two",
    }


def test_no_tasks_start_no_worker() -> None:
    assert list(run_tasks(do, [], workers=2, initializer=fail_to_start, initargs=("raise",))) == []


@pytest.mark.parametrize(("how", "words"), [("raise", "cannot start"), ("kill", "die while they start")])
def test_workers_that_cannot_start(how: str, words: str) -> None:
    with pytest.raises(DferError, match=words):
        list(run_tasks(do, ["a"], workers=1, initializer=fail_to_start, initargs=(how,)))


def note_process(folder: Path) -> None:
    """Note a task's process, and hang."""
    (folder / str(os.getpid())).touch()
    time.sleep(60)


def test_workers_end_with_the_consumer(tmp_path: Path) -> None:
    begun = time.monotonic()
    with closing(run_tasks(note_process, [tmp_path], workers=1, timeout_s=lambda _folder: 2.0)) as finished:
        late = next(finished)[1]
    with pytest.raises(TimeoutError):
        late.result()
    assert time.monotonic() - begun < 30
    (path,) = tmp_path.iterdir()
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.name), 0)


def test_how_a_death_is_told() -> None:
    assert [str(WorkerDiedError(code)) for code in (-11, -9, 3, None, -99)] == [
        "SIGSEGV",
        "SIGKILL",
        "exit code 3",
        "exit code None",
        "signal 99",
    ]
