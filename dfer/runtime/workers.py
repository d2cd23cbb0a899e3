"""Tasks in worker processes: a crash or a time-out costs one task, Ctrl-C stops all, and no worker outlives us.

Each worker has a pipe of its own and nothing is shared: a process pool whose workers take turns at one queue hangs
when a worker is killed while it holds the queue's lock, which is what the kernel does when memory runs out.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from dfer.errors import DferError
from dfer.runtime.files import remove_own_unfinished

Task = TypeVar("Task")
Result = TypeVar("Result")

_FAILED_STARTS = 3  # so many in a row, and starting is given up
_GRACE_S = 3.0  # for a worker that is told to end, to remove what it has half written


class WorkerDiedError(Exception):
    """The worker died on the task.

    Attributes:
        exitcode: of the process; the negative number of the signal that killed it.
    """

    def __init__(self, exitcode: int | None) -> None:
        super().__init__(exitcode)
        self.exitcode = exitcode

    def __str__(self) -> str:
        if self.exitcode is None or self.exitcode >= 0:
            return f"exit code {self.exitcode}"
        with suppress(ValueError):
            return signal.Signals(-self.exitcode).name
        return f"signal {-self.exitcode}"


class Worker(Generic[Task, Result]):
    """A spawned process that runs one function on one task after another.

    Args:
        function: importable; run on each task.
        initializer: run first in the process, with `initargs`.
    """

    def __init__(
        self, function: Callable[[Task], Result], initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> None:
        # Spawned, not forked: the caller may run threads (torch, progress bars) that do not survive a fork.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, function, initializer, initargs)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        with _ctrl_c_ignored():
            self.process.start()
        theirs.close()
        self.ready = False
        self.job: tuple[Task, Future[Result]] | None = None
        self.deadline = float("inf")

    @property
    def idle(self) -> bool:
        """Whether it has started and has no task."""
        return self.ready and self.job is None

    def begin(self, task: Task, timeout_s: float | None = None) -> Future[Result]:
        """Give the idle worker a task; `advance` fulfils the future."""
        future: Future[Result] = Future()
        self.job = task, future
        self.deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        with suppress(OSError):  # it has died: `advance` finds out
            self.connection.send(task)
        return future

    def advance(self) -> bool:
        """Take what the worker sent, or find it dead or late.

        Returns:
            Whether it can go on.

        Raises:
            Exception: what the initializer raised.
        """
        try:
            message = self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            self.process.join(_GRACE_S)
            self._settle(None, WorkerDiedError(self.process.exitcode))
            self.kill()
            return False
        if message is None:
            if time.monotonic() < self.deadline:
                return True
            self._settle(None, TimeoutError())
            self.kill()
            return False
        if self.ready:
            self._settle(*message)
        elif message[1] is not None:
            raise message[1]
        self.ready = True
        return True

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        # One that waits for a dead disk cannot be killed: it ends when the disk answers.
        self.process.join(_GRACE_S)
        self.connection.close()

    def _settle(self, result: Result | None, error: Exception | None) -> None:
        if self.job is None:
            return
        future, self.job, self.deadline = self.job[1], None, float("inf")
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_s: Callable[[Task], float] | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Generator[tuple[Task, Future[Result]], None, None]:
    """Run a function over tasks in spawned processes.

    A worker holds one task at a time, so memory stays flat however many tasks there are. Where the consumer stops
    early, by an error or Ctrl-C, the running tasks are ended.

    Args:
        function: importable; run in a worker.
        tasks: its arguments, one for each call.
        workers: processes.
        timeout_s: the longest time a task may run, seconds.
        initializer: run first in every worker, with `initargs`.

    Yields:
        Each task with its finished future, in the order of completion. The future's `result` raises what the
        function raised, TimeoutError, or `WorkerDiedError` if the worker died.

    Raises:
        DferError: workers die while they start.
    """
    crew: list[Worker[Task, Result]] = []
    remaining = iter(tasks)
    upcoming, failed_starts = next(remaining, _END), 0
    finished: list[tuple[Task, Future[Result]]] = []
    try:
        while True:
            for worker in crew:
                if worker.idle and not isinstance(upcoming, _End):
                    worker.begin(upcoming, None if timeout_s is None else timeout_s(upcoming))
                    upcoming = next(remaining, _END)
            while not isinstance(upcoming, _End) and len(crew) < workers:
                crew.append(Worker(function, initializer, initargs))
            yield from finished
            if isinstance(upcoming, _End) and all(worker.job is None for worker in crew):
                return
            wait_for(crew)
            finished = []
            for worker in list(crew):
                job, was_ready = worker.job, worker.ready
                if not worker.advance():
                    crew.remove(worker)
                    failed_starts += not was_ready
                elif worker.ready:
                    failed_starts = 0
                if job is not None and worker.job is None:
                    finished.append(job)
            if failed_starts >= _FAILED_STARTS:
                raise DferError("worker processes die while they start", hint="is there memory for so many workers?")
    finally:
        stop_workers(crew)


def wait_for(crew: Sequence[Worker[Task, Result]]) -> None:
    """Wait until `advance` of one of the workers has something to do."""
    soonest = min(worker.deadline for worker in crew)
    patience = None if soonest == float("inf") else max(0.0, soonest - time.monotonic())
    wait([worker.connection for worker in crew], patience)


def stop_workers(crew: Sequence[Worker[Task, Result]]) -> None:
    """End workers, after a moment in which they remove what they have half written."""
    for worker in crew:
        worker.process.terminate()
    end = time.monotonic() + _GRACE_S
    for worker in crew:
        worker.process.join(max(0.0, end - time.monotonic()))
        worker.kill()


class _End:
    """Comes after the last task."""


_END = _End()


def _work(
    pipe: Connection,
    function: Callable[[Any], Any],
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """The life of a worker process: one message when it is ready, then one for each task."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # No exception: raised in a finaliser, it would be swallowed.
        remove_own_unfinished()
        os._exit(1)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):  # where memory runs out, the kernel shall kill this process, not the one that is waiting
        Path("/proc/self/oom_score_adj").write_text("500")
    try:
        if initializer is not None:
            initializer(*initargs)
        pipe.send((None, None))
    except Exception as error:
        pipe.send((None, _portable(error)))
        return
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send((function(task), None))
        except Exception as error:
            pipe.send((None, _portable(error)))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # at once, whatever a decoder is doing: nobody waits for the result


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same where it would not survive the way to the other process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


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
