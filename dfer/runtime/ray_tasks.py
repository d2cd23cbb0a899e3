"""Tasks on a running Ray cluster. Its nodes need this version of dfer, and the same files under the same paths.

As on one machine, each Ray task works in a process of its own, so that a decoder that crashes or hangs loses one task.
If a node is lost, Ray runs its tasks again on another.
"""

from __future__ import annotations

import atexit
import os
import socket
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from dfer.errors import DferError
from dfer.runtime.workers import KeptWorker, WorkerDiedError
from dfer.version import __version__

Task = TypeVar("Task")
Result = TypeVar("Result")

UNLIMITED = 2**31
NODES_LOST = 5  # times a task is run again after its node was lost
_ANSWER_S = 10.0
_IN_FLIGHT_PER_CORE = 2  # so that a node has its next task when one ends
_NODES_HINT = "each node needs `pip install 'dfer[ray]'` of the same versions, and the same files under the same paths"


class NodeLostError(WorkerDiedError):
    """The nodes that ran a task were lost."""

    def __init__(self, lost: Exception) -> None:
        super().__init__(None)
        self._name = type(lost).__name__

    @property
    def reason(self) -> str:
        """The cause in a few words."""
        return f"its node was lost {NODES_LOST + 1} times ({self._name})"


@dataclass(frozen=True)
class NodeWork(Generic[Task, Result]):
    """The work of all tasks, as `dfer.runtime.workers.run_tasks` takes it: importable functions, hashable arguments."""

    function: Callable[[Task], Result]
    initializer: Callable[..., object]
    initargs: tuple[Any, ...]
    timeout_s: Callable[[Task], float] = field(compare=False)


def import_ray() -> Any:
    """Return the package.

    Raises:
        DferError: it is not installed.
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DferError("--engine ray needs Ray", hint="pip install 'dfer[ray]'") from error
    return ray


def run_tasks_on_ray(
    work: NodeWork[Task, Result], tasks: Sequence[Task], *, ray: Any, at_once: int
) -> Generator[tuple[Task, Future[Result]], None, None]:
    """Run a function over tasks on the cluster that `connected` has connected to.

    Args:
        work: the function, and what prepares its process.
        tasks: the arguments, one per call; their paths absolute.
        ray: of `import_ray`.
        at_once: tasks at a time, at most; `UNLIMITED` for as many as the cluster's cores can use.

    Yields:
        Each task with its finished future, as `run_tasks` does.

    Raises:
        DferError: the cluster is lost, or its nodes have another version of dfer.
    """
    remote = ray.remote(num_cpus=1, max_retries=NODES_LOST)(_run_on_node)
    reference_to_work = ray.put(work)

    def submit(task: Task) -> Any:
        return remote.remote(task, reference_to_work, __version__)

    def room() -> int:
        cores = int(ray.cluster_resources().get("CPU", 1))
        return min(at_once, max(1, cores) * _IN_FLIGHT_PER_CORE)

    for task, reference in in_flight(ray, submit, tasks, room):
        yield task, _outcome(ray, reference)


def in_flight(
    ray: Any, submit: Callable[[Task], Any], tasks: Iterable[Task], room: Callable[[], int], *, grace_s: float = 0.0
) -> Generator[tuple[Task, Any], None, None]:
    """Yield each task with the reference of its finished call; few are submitted at a time, so memory stays flat.

    Args:
        ray: of `import_ray`.
        submit: submits a task, and returns its reference.
        tasks: the tasks.
        room: returns how many may be submitted at a time now; nodes come and go.
        grace_s: time that running tasks have, in seconds, to end when they are cancelled.
    """
    remaining, waiting = iter(tasks), dict[Any, Task]()
    try:
        while True:
            for task in islice(remaining, max(0, room() - len(waiting))):
                waiting[submit(task)] = task
            if not waiting:
                return
            for reference in ray.wait(list(waiting), num_returns=1, timeout=10.0)[0]:
                yield waiting.pop(reference), reference
    finally:
        for reference in waiting:
            ray.cancel(reference)
        if waiting and grace_s:
            ray.wait(list(waiting), num_returns=len(waiting), timeout=grace_s)


def result_of(ray: Any, reference: Any, *, hint: str = _NODES_HINT) -> Any:
    """Return what a finished call returned.

    Args:
        ray: of `import_ray`.
        reference: of the call.
        hint: on what nodes need, for a call that raised an exception.

    Raises:
        NodeLostError: its process or node was lost, each time that it was tried.
        DferError: it raised an exception, or Ray failed.
    """
    try:
        return ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as lost:
        raise NodeLostError(lost) from lost
    except ray.exceptions.RayTaskError as failed:
        first = (str(failed.cause or failed).splitlines() or [""])[0]
        what = f"a task failed on its node: {type(failed.cause).__name__}: {first}"
        raise DferError(what, hint=hint) from failed
    except ray.exceptions.RayError as failed:
        raise DferError(f"Ray failed: {(str(failed).splitlines() or [''])[0]}", hint="see `ray status`") from failed


def _outcome(ray: Any, reference: Any) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        result, error = result_of(ray, reference)
    except NodeLostError as lost:
        result, error = None, lost
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
    return future


@contextmanager
def connected(ray: Any) -> Generator[None, None, None]:
    """Connect to the cluster in the block; a connection that the caller has already is used, and kept.

    Raises:
        DferError: there is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS") or "auto"
    where = "on this machine" if address == "auto" else f"at {address}"
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal() and "/" not in host:
            socket.create_connection((host, int(port)), _ANSWER_S).close()  # Ray itself tries for two minutes
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        raise DferError(
            f"no Ray cluster answers {where}",
            hint="start one with `ray start --head`, or set RAY_ADDRESS=HOST:6379",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


# ---- on the nodes

_here: dict[NodeWork[Any, Any], KeptWorker[Any, Any]] = {}  # of this Ray worker: the process for its tasks


def _run_on_node(task: Any, work: NodeWork[Any, Any], version: str) -> tuple[Any, Exception | None]:
    """Run one task in a child process, which is kept for the next one; return its result, or why it has none."""
    if version != __version__:
        return None, DferError(f"a node has dfer {__version__}, the others {version}", hint=_NODES_HINT)
    try:
        worker = _here.get(work) or _start(work)
        future: Future[Any] = worker.begin(task, work.timeout_s(task))
        worker.wait(future)
        return future.result(), None
    except Exception as error:
        return None, error


def _start(work: NodeWork[Any, Any]) -> KeptWorker[Any, Any]:
    for worker in _here.values():  # of an earlier command
        worker.stop()
    _here.clear()
    _here[work] = KeptWorker(work.function, work.initializer, work.initargs)
    atexit.register(_here[work].stop)
    return _here[work]
