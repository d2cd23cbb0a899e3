"""Tasks in worker processes: a crash or time-out loses one task, Ctrl-C stops all, and no worker outlives its parent.

Each worker has its own pipe, and nothing is shared: a process pool whose workers share a locked queue hangs when a
worker is killed while it holds the lock, which is what the kernel does when memory runs out.
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
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from dfer.errors import DferError
from dfer.runtime.files import remove_own_unfinished
from dfer.runtime.signals import STOPPING

Task = TypeVar("Task")
Result = TypeVar("Result")

_MAX_FAILED_STARTS = 3  # in a row
GRACE_S = 3.0  # for a terminated worker to remove its half-written files


class WorkerDiedError(Exception):
    """The worker process died during the task.

    Attributes:
        exitcode: of the process; negative for the signal that killed it.
    """

    def __init__(self, exitcode: int | None) -> None:
        super().__init__(exitcode)
        self.exitcode = exitcode

    @property
    def reason(self) -> str:
        """The cause in a few words."""
        return f"the decoder crashed ({self})"

    def __str__(self) -> str:
        if self.exitcode is None or self.exitcode >= 0:
            return f"exit code {self.exitcode}"
        with suppress(ValueError):
            return signal.Signals(-self.exitcode).name
        return f"signal {-self.exitcode}"


class _Sign:
    """A sign of life of a worker in the middle of a task."""


_SIGN_EVERY_S = 1.0
_parent: tuple[Connection, float] | None = None  # of this worker process: the pipe, and when it last sent something


def show_life() -> None:
    """Let the parent know that this worker gets on with its task, whose time limit then begins again."""
    global _parent
    if _parent is not None and time.monotonic() - _parent[1] >= _SIGN_EVERY_S:
        _parent = _parent[0], time.monotonic()
        _parent[0].send(_Sign())


class Worker(Generic[Task, Result]):
    """A spawned process that runs a function on one task after another.

    Args:
        function: called with each task; importable.
        initializer: called first in the process, with `initargs`.
        place: its number among the workers that run at the same time, from 0.
    """

    def __init__(
        self,
        function: Callable[[Task], Result],
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        place: int = 0,
    ) -> None:
        # Spawned, not forked: threads of the caller (torch, progress bars) do not survive a fork.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, function, initializer, initargs)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        with _ctrl_c_ignored():
            self.process.start()
        theirs.close()
        self.place = place
        self.ready = False
        self.job: tuple[Task, Future[Result]] | None = None
        self.deadline = self._timeout_s = float("inf")

    @property
    def idle(self) -> bool:
        """Return whether the process has started and has no task."""
        return self.ready and self.job is None

    def begin(self, task: Task, timeout_s: float | None = None) -> Future[Result]:
        """Send a task to the idle worker; `advance` completes the future."""
        future: Future[Result] = Future()
        self.job = task, future
        self._timeout_s = float("inf") if timeout_s is None else timeout_s
        self.deadline = time.monotonic() + self._timeout_s
        with suppress(OSError):  # the process has died, which `advance` will notice
            self.connection.send(task)
        return future

    def advance(self) -> bool:
        """Receive a message from the worker, or notice that it died or exceeded the time limit.

        Returns:
            Whether the worker is still usable.

        Raises:
            Exception: what the initializer raised.
        """
        try:
            message = self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            self.process.join(GRACE_S)
            self._settle(None, WorkerDiedError(self.process.exitcode))
            self.kill()
            return False
        if isinstance(message, _Sign):
            self.deadline = time.monotonic() + self._timeout_s
            return True
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
        """Kill the process."""
        self.process.kill()
        # A process that waits for a dead disk cannot be killed; it ends when the disk answers.
        self.process.join(GRACE_S)
        self.connection.close()

    def _settle(self, result: Result | None, error: Exception | None) -> None:
        if self.job is None:
            return
        future, self.job, self.deadline = self.job[1], None, float("inf")
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)


class KeptWorker(Generic[Task, Result]):
    """A worker for one task after another, which is started anew when it has died.

    Args:
        function: called with each task; importable.
        initializer: called first in the process, with `initargs`.
    """

    def __init__(
        self, function: Callable[[Task], Result], initializer: Callable[..., object], initargs: tuple[Any, ...]
    ) -> None:
        self._start = partial(Worker[Task, Result], function, initializer, initargs)
        self._worker: Worker[Task, Result] | None = self._start()

    def begin(self, task: Task, timeout_s: float | None) -> Future[Result]:
        """Send a task to the worker, which has none; `wait` completes the future.

        Raises:
            WorkerDiedError: the worker died while it started.
            Exception: what the initializer raised.
        """
        worker = self._worker = self._worker or self._start()
        while not worker.ready:
            wait_for([worker])
            if not worker.advance():
                self._worker = None
                raise WorkerDiedError(worker.process.exitcode)
        return worker.begin(task, timeout_s)

    def wait(self, future: Future[Result]) -> None:
        """Wait until a task is done, or the worker has died or exceeded the time limit."""
        while self._worker is not None and not future.done():
            wait_for([self._worker])
            if not self._worker.advance():
                self._worker = None

    def stop(self) -> None:
        """Stop the process as `stop_workers` does; the next task starts another."""
        if self._worker is not None:
            stop_workers([self._worker])
            self._worker = None


def failure_reason(error: Exception, timeout_s: float) -> tuple[str, bool]:
    """Return why a task that decodes has failed, and whether its process crashed or ran out of memory.

    Args:
        error: of its future; no DferError.
        timeout_s: the longest time that it might take.
    """
    if isinstance(error, TimeoutError):
        return f"took more than {timeout_s:.0f} s", False
    if isinstance(error, WorkerDiedError):
        return error.reason, True
    reason = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
    if isinstance(error, MemoryError) or "Insufficient memory" in reason:  # OpenCV's words
        return "out of memory", True
    return reason, False


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_s: Callable[[Task], float] | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] | Callable[[int], tuple[Any, ...]] = (),
    grace_s: float = GRACE_S,
) -> Generator[tuple[Task, Future[Result]], None, None]:
    """Run a function over tasks in spawned processes.

    A worker holds one task at a time, so memory does not grow with the number of tasks. If the consumer stops early, on
    an error or Ctrl-C, running tasks are stopped.

    Args:
        function: called with each task in a worker; importable.
        tasks: the arguments, one per call.
        workers: number of processes.
        timeout_s: returns the longest time a task may take, in seconds.
        initializer: called first in every worker, with `initargs`.
        initargs: the same for all workers, or called with the worker's place: no two have the same at one time.
        grace_s: time that running tasks have, in seconds, to end when they are stopped.

    Yields:
        Each task with its finished future, in the order of completion. The future's `result` raises what the
        function raised, TimeoutError, or `WorkerDiedError`.

    Raises:
        DferError: workers die while they start.
    """
    pool: list[Worker[Task, Result]] = []
    remaining = iter(tasks)
    upcoming, failed_starts = next(remaining, _END), 0
    finished: list[tuple[Task, Future[Result]]] = []
    try:
        while True:
            for worker in pool:
                if worker.idle and not isinstance(upcoming, _End):
                    worker.begin(upcoming, None if timeout_s is None else timeout_s(upcoming))
                    upcoming = next(remaining, _END)
            while not isinstance(upcoming, _End) and len(pool) < workers:
                place = min(set(range(workers)) - {worker.place for worker in pool})
                arguments = initargs(place) if callable(initargs) else initargs
                pool.append(Worker(function, initializer, arguments, place))
            yield from finished
            if isinstance(upcoming, _End) and all(worker.job is None for worker in pool):
                return
            wait_for(pool)
            finished = []
            for worker in list(pool):
                job, was_ready = worker.job, worker.ready
                if not worker.advance():
                    pool.remove(worker)
                    failed_starts += not was_ready
                elif worker.ready:
                    failed_starts = 0
                if job is not None and worker.job is None:
                    finished.append(job)
            if failed_starts >= _MAX_FAILED_STARTS:
                raise DferError("worker processes die while they start", hint="is there enough memory? use fewer")
    finally:
        stop_workers(pool, grace_s)


def wait_for(workers: Sequence[Worker[Task, Result]]) -> None:
    """Wait until one of the workers sends a message, dies, or exceeds its time limit."""
    soonest = min(worker.deadline for worker in workers)
    timeout = None if soonest == float("inf") else max(0.0, soonest - time.monotonic())
    wait([worker.connection for worker in workers], timeout)


def stop_workers(workers: Sequence[Worker[Task, Result]], grace_s: float = GRACE_S) -> None:
    """Stop workers, leaving them a moment, in seconds, to remove their half-written files."""
    for worker in workers:
        worker.process.terminate()
    end = time.monotonic() + grace_s
    for worker in workers:
        worker.process.join(max(0.0, end - time.monotonic()))
        worker.kill()


class _End:
    """Marks the end of the tasks."""


_END = _End()


def _work(
    pipe: Connection,
    function: Callable[[Any], Any],
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """Run a worker process, which sends a message when it is ready and one after each task."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # An exception would be swallowed if the signal arrived in a finaliser.
        remove_own_unfinished()
        os._exit(1)

    for number in STOPPING:  # a terminal that closes sends SIGHUP to its whole group; Ctrl-C is ignored here
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError):  # when memory runs out, the kernel kills this process and not its parent
        Path("/proc/self/oom_score_adj").write_text("500")
    try:
        if initializer is not None:
            initializer(*initargs)
        global _parent
        _parent = pipe, time.monotonic()
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
        remove_own_unfinished()
        os._exit(1)  # even in the middle of decoding: nobody waits for the result


def _portable(error: Exception) -> Exception:
    """Return the error, or one with the same text if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let processes started in the block ignore Ctrl-C, after which this process stops them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A Ctrl-C in the block is held back, not lost: Linux keeps a blocked signal even while it is ignored.
    block = getattr(signal, "pthread_sigmask", lambda _how, _signals: None)
    block(getattr(signal, "SIG_BLOCK", 0), {signal.SIGINT})
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
        block(getattr(signal, "SIG_UNBLOCK", 0), {signal.SIGINT})
