"""Clips on a Ray cluster that is running. Its nodes must have this dfer, and see RAW and OUT under the same paths.

A Ray task works in a process of its own below Ray's worker, the same as on one machine, so that a decoder that crashes
or hangs costs one clip; where a node is lost, Ray runs its tasks again on another.
"""

from __future__ import annotations

import atexit
import os
import socket
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from dfer.errors import DferError
from dfer.preprocessing.engines import Crash, Engine, Job, clip_time_s, outcome, run_in_worker, start_worker
from dfer.records import ClipRecord
from dfer.runtime.workers import Worker, stop_workers, wait_for
from dfer.store.manifest import ManifestRow
from dfer.version import __version__

_NODES_LOST = 5  # times a clip is run again because its node was lost
_ANSWER_S = 10.0
_IN_FLIGHT_PER_CORE = 2  # the next task lies ready on the node when one ends


def ray_engine(tasks: int | None = None) -> Engine:
    """The engine of a Ray cluster.

    Args:
        tasks: at most so many clips at a time; by default as many as the cluster has cores.

    Raises:
        DferError: Ray is not installed.
    """
    return partial(run_on_ray, ray=_import_ray(), tasks=tasks)


def run_on_ray(
    clips: Sequence[ClipRecord], job: Job, *, ray: Any, tasks: int | None
) -> Generator[tuple[ClipRecord, ManifestRow], None, None]:
    """Work on the cluster; see `ray_engine`.

    Raises:
        DferError: there is no cluster, it is lost, or its nodes have another dfer.
    """
    job = replace(job, raw=job.raw.absolute(), out=job.out.absolute(), settings=_absolute(job))
    with _cluster(ray):
        remote = ray.remote(num_cpus=1, max_retries=_NODES_LOST)(_run_on_node)
        job_reference = ray.put(job)

        def submit(clip: ClipRecord) -> Any:
            assert clip.source is not None
            return remote.remote(replace(clip, source=clip.source.absolute()), job_reference, __version__)

        again: list[ClipRecord] = []
        for attempt, todo in (("first", clips), ("last", again)):
            limit = 1 if attempt == "last" else tasks
            for clip, result in _in_flight(ray, submit, todo, limit):
                if attempt == "first" and isinstance(result, Crash):
                    again.append(clip)
                else:
                    yield clip, result if isinstance(result, ManifestRow) else result.as_row(clip, job)


def _in_flight(
    ray: Any, submit: Callable[[ClipRecord], Any], clips: Sequence[ClipRecord], limit: int | None
) -> Generator[tuple[ClipRecord, ManifestRow | Crash], None, None]:
    """Each clip with what became of it; few are handed to Ray at a time, so that its memory stays flat."""
    remaining, waiting = iter(clips), dict[Any, ClipRecord]()
    try:
        while True:
            cores = int(ray.cluster_resources().get("CPU", 1))  # nodes come and go
            room = (limit or max(1, cores) * _IN_FLIGHT_PER_CORE) - len(waiting)
            for clip in islice(remaining, max(0, room)):
                waiting[submit(clip)] = clip
            if not waiting:
                return
            for reference in ray.wait(list(waiting), num_returns=1, timeout=10.0)[0]:
                yield waiting.pop(reference), _result(ray, reference)
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _result(ray: Any, reference: Any) -> ManifestRow | Crash:
    try:
        result = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        return Crash(f"its node was lost {_NODES_LOST + 1} times ({type(error).__name__})")
    except ray.exceptions.RayTaskError as error:
        first = (str(error.cause or error).splitlines() or [""])[0]
        raise DferError(
            f"a task failed on its node: {type(error.cause).__name__}: {first}", hint=_NODES_HINT
        ) from error
    except ray.exceptions.RayError as error:
        raise DferError(f"Ray failed: {(str(error).splitlines() or [''])[0]}", hint="see `ray status`") from error
    if isinstance(result, DferError):
        raise result
    return result  # type: ignore[no-any-return]


_NODES_HINT = "each node needs `pip install 'dfer[ray]'` of the same versions, and RAW and --out under the same paths"


def _import_ray() -> Any:
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DferError("--engine ray needs Ray", hint="pip install 'dfer[ray]'") from error
    return ray


@contextmanager
def _cluster(ray: Any) -> Generator[None, None, None]:
    """Be connected to the cluster; one that the caller is connected to already stays so."""
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


def _absolute(job: Job) -> Any:
    weights = job.settings.weights
    return job.settings if weights is None else replace(job.settings, weights=weights.absolute())


# ---- on the nodes

_here: dict[Job, Worker[ClipRecord, ManifestRow]] = {}  # of this Ray worker: the process that does its clips


def _run_on_node(clip: ClipRecord, job: Job, version: str) -> ManifestRow | Crash | DferError:
    """One clip, in a process below this one, which is kept for the next."""
    if version != __version__:
        return DferError(f"a node has dfer {__version__}, the others {version}", hint=_NODES_HINT)
    try:
        worker = _here.get(job) or _start(job)
        while not worker.ready:
            wait_for([worker])
            if not worker.advance():
                del _here[job]
                return Crash("the worker process died while it started")
        future: Future[ManifestRow] = worker.begin(clip, clip_time_s(clip, job))
        while not future.done():
            wait_for([worker])
            if not worker.advance():
                del _here[job]
        return outcome(future, clip, job)
    except DferError as error:
        return error


def _start(job: Job) -> Worker[ClipRecord, ManifestRow]:
    stop_workers(list(_here.values()))  # of an earlier run
    _here.clear()
    _here[job] = Worker(run_in_worker, start_worker, (job,))
    atexit.register(stop_workers, [_here[job]])
    return _here[job]
