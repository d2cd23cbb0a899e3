"""The engine on a running Ray cluster. Its nodes need this version of dfer, and RAW and OUT under the same paths.

As on one machine, each Ray task works in a process of its own, so that a decoder that crashes or hangs loses one clip.
If a node is lost, Ray runs its tasks again on another.
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
from dfer.preprocessing.clip import Settings, unreadable_row
from dfer.preprocessing.engines import (
    Engine,
    Job,
    Outcome,
    Rows,
    clip_time_s,
    outcome,
    retry_crashed,
    run_in_worker,
    start_worker,
)
from dfer.records import ClipRecord
from dfer.runtime.workers import KeptWorker, WorkerDiedError
from dfer.store.manifest import ManifestRow
from dfer.version import __version__

_NODES_LOST = 5  # times a clip is run again after its node was lost
_ANSWER_S = 10.0
_IN_FLIGHT_PER_CORE = 2  # so that a node has its next task when one ends
_UNLIMITED = 2**31


def ray_engine(tasks: int = 0) -> Engine:
    """Return the engine of a Ray cluster.

    Args:
        tasks: clips at a time, at most; 0: as many as the cluster's cores can use.

    Raises:
        DferError: Ray is not installed.
    """
    return partial(run_on_ray, ray=_import_ray(), tasks=tasks)


def run_on_ray(clips: Sequence[ClipRecord], job: Job, *, ray: Any, tasks: int) -> Rows:
    """Process clips on the cluster; see `ray_engine`.

    Raises:
        DferError: there is no cluster, it is lost, or its nodes have another version of dfer.
    """
    job = replace(job, raw=job.raw.absolute(), out=job.out.absolute(), settings=_absolute(job.settings))
    with _cluster(ray):
        remote = ray.remote(num_cpus=1, max_retries=_NODES_LOST)(_run_on_node)
        job_reference = ray.put(job)

        def submit(clip: ClipRecord) -> Any:
            assert clip.source is not None
            return remote.remote(replace(clip, source=clip.source.absolute()), job_reference, __version__)

        def run(some: Sequence[ClipRecord], at_once: int) -> Generator[tuple[ClipRecord, Outcome], None, None]:
            for clip, reference in _in_flight(ray, submit, some, at_once):
                yield clip, _result(ray, reference, clip, job)

        yield from retry_crashed(run, clips, tasks or _UNLIMITED)


def _in_flight(
    ray: Any, submit: Callable[[ClipRecord], Any], clips: Sequence[ClipRecord], at_once: int
) -> Generator[tuple[ClipRecord, Any], None, None]:
    """Yield each clip with the reference of its finished task; few are submitted at a time, so memory stays flat."""
    remaining, waiting = iter(clips), dict[Any, ClipRecord]()
    try:
        while True:
            cores = int(ray.cluster_resources().get("CPU", 1))  # nodes come and go
            room = min(at_once, max(1, cores) * _IN_FLIGHT_PER_CORE) - len(waiting)
            for clip in islice(remaining, max(0, room)):
                waiting[submit(clip)] = clip
            if not waiting:
                return
            for reference in ray.wait(list(waiting), num_returns=1, timeout=10.0)[0]:
                yield waiting.pop(reference), reference
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _result(ray: Any, reference: Any, clip: ClipRecord, job: Job) -> Outcome:
    try:
        result = ray.get(reference)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        lost = f"its node was lost {_NODES_LOST + 1} times ({type(error).__name__})"
        return unreadable_row(clip, job.raw, lost), True
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
    """Connect to the cluster; a connection that the caller has already is used, and kept."""
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


def _absolute(settings: Settings) -> Settings:
    return settings if settings.weights is None else replace(settings, weights=settings.weights.absolute())


# ---- on the nodes

_here: dict[Job, KeptWorker[ClipRecord, ManifestRow]] = {}  # of this Ray worker: the process for its clips


def _run_on_node(clip: ClipRecord, job: Job, version: str) -> Outcome | DferError:
    """Process one clip in a child process, which is kept for the next clip."""
    if version != __version__:
        return DferError(f"a node has dfer {__version__}, the others {version}", hint=_NODES_HINT)
    try:
        worker = _here.get(job) or _start(job)
        future: Future[ManifestRow] = worker.begin(clip, clip_time_s(clip, job))
        worker.wait(future)
        return outcome(future, clip, job)
    except WorkerDiedError:
        return unreadable_row(clip, job.raw, "the worker process died while it started"), True
    except DferError as error:
        return error


def _start(job: Job) -> KeptWorker[ClipRecord, ManifestRow]:
    for worker in _here.values():  # of an earlier job
        worker.stop()
    _here.clear()
    _here[job] = KeptWorker(run_in_worker, start_worker, (job,))
    atexit.register(_here[job].stop)
    return _here[job]
