"""Engines: answers about many recordings from worker processes, or from the nodes of a Ray cluster.

Each worker has its own model and decodes itself, so that a decoder that crashes or hangs loses one recording. The
answers do not depend on the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from dfer.errors import DferError, VideoError
from dfer.plugins import load_plugins, loaded_sources
from dfer.prediction.fetching import local_file
from dfer.prediction.inputs import Input
from dfer.prediction.predictor import Predictor
from dfer.prediction.progress import Video
from dfer.records import Prediction
from dfer.runtime.machine import limit_memory, usable_cores
from dfer.runtime.patience import time_allowed_s
from dfer.runtime.ray_tasks import UNLIMITED, NodeWork, connected, import_ray, run_tasks_on_ray
from dfer.runtime.retries import retry_crashed, run_tasks_with_retries
from dfer.runtime.workers import failure_reason, show_life
from dfer.video import open_frames
from dfer.video.limits import max_memory

logger = logging.getLogger(__name__)


class Task(NamedTuple):
    """An input and its number in the run."""

    number: int
    source: Input


class Answer(NamedTuple):
    """A prediction, and the recording as it was when it was read; None if it could not be reached."""

    prediction: Prediction
    video: Video | None


Answers = Generator[tuple[Task, Answer | VideoError], None, None]
# Raises DferError if a worker cannot start, or the engine itself fails.
Engine = Callable[[Sequence[Task]], Answers]


@dataclass(frozen=True)
class Job:
    """The settings that all recordings of a run share.

    Attributes:
        options: of the `Predictor` in each worker, by name.
        threads: of the model in each worker.
        timeout_s: the longest time without a sign of life; to open a long video may take longer.
        plugins: the sources of those that a worker loads first.
        seconds: of a stream, how long to record it; None for until it ends.
    """

    options: tuple[tuple[str, Any], ...]
    threads: int
    timeout_s: float
    plugins: tuple[str, ...] = ()
    seconds: float | None = None

    @classmethod
    def like(
        cls,
        predictor: Predictor,
        options: dict[str, Any],
        *,
        workers: int,
        timeout_s: float,
        seconds: float | None = None,
    ) -> Job:
        """Return the job whose workers answer as a predictor does.

        Args:
            predictor: of this process, whose checkpoint and detector they use, wherever they were found.
            options: that it was built with.
            workers: number of processes that share the cores.
            timeout_s: see the attribute.
            seconds: see the attribute.
        """
        weights, prior = predictor.detector_weights, options.get("prior")
        found = {
            **options,
            "checkpoint": str(predictor.checkpoint.absolute()),
            "detector": predictor.detector.name,
            "detector_weights": None if weights is None else str(weights.absolute()),
            "prior": str(Path(prior).absolute()) if prior is not None and Path(prior).is_file() else prior,
        }
        threads = max(1, usable_cores() // max(1, workers))
        return cls(tuple(sorted(found.items())), threads, timeout_s, loaded_sources(), seconds)


def run_in_workers(tasks: Sequence[Task], job: Job, *, workers: int = 0) -> Answers:
    """Answer in worker processes.

    Args:
        tasks: the inputs.
        job: their settings.
        workers: processes; 0: one per core.
    """
    return run_tasks_with_retries(
        run_in_worker,
        tasks,
        partial(outcome, job=job),
        workers=workers or usable_cores(),
        timeout_s=partial(task_time_s, job=job),
        initializer=start_worker,
        initargs=(job,),
    )


def ray_engine(job: Job, tasks: int = 0) -> Engine:
    """Return the engine of a Ray cluster, whose nodes need the recordings under the same paths.

    Args:
        job: settings of the run.
        tasks: recordings at a time, at most; 0: as many as the cluster's cores can use.

    Raises:
        DferError: Ray is not installed.
    """
    return partial(run_on_ray, job=replace(job, threads=1), ray=import_ray(), at_once=tasks or UNLIMITED)


def run_on_ray(tasks: Sequence[Task], *, job: Job, ray: Any, at_once: int) -> Answers:
    """Answer on the cluster; see `ray_engine`.

    Raises:
        DferError: there is no cluster, it is lost, or its nodes have another version of dfer.
    """
    work: NodeWork[Task, Answer] = NodeWork(run_in_worker, start_worker, (job,), partial(task_time_s, job=job))
    placed = [
        task if task.source.url else Task(task.number, replace(task.source, path=task.source.path.absolute()))
        for task in tasks
    ]

    def run(some: Sequence[Task], limit: int) -> Generator[tuple[Task, tuple[Answer | VideoError, bool]], None, None]:
        for task, future in run_tasks_on_ray(work, some, ray=ray, at_once=limit):
            yield task, outcome(future, task, job)

    with connected(ray):
        yield from retry_crashed(run, placed, at_once)


def task_time_s(task: Task, job: Job) -> float:
    """Return the longest time without a sign of life, seconds."""
    return time_allowed_s(task.source.path, job.timeout_s)


def outcome(future: Future[Answer], task: Task, job: Job) -> tuple[Answer | VideoError, bool]:
    """Return the answer of a worker, or why there is none, and whether the worker crashed.

    Raises:
        DferError: the worker itself failed.
    """
    try:
        return future.result(), False
    except VideoError as error:
        return error, False
    except DferError:
        raise
    except Exception as error:
        logger.debug("%s", task.source.name, exc_info=error)
        reason, is_crash = failure_reason(error, task_time_s(task, job))
        where = task.source.name if task.source.url else task.source.path
        return VideoError(f"cannot decode the video: {reason}", where=where), is_crash


# ---- in the workers

_state: dict[str, Any] = {}  # of this worker process: its predictor


def start_worker(job: Job) -> None:
    """Prepare this process for `run_in_worker`."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(job.threads)
    package = logging.getLogger("dfer")
    package.addHandler(logging.NullHandler())  # the parent says what the answers hold
    package.propagate = False
    load_plugins(job.plugins)
    _state.update(predictor=Predictor(**dict(job.options)), seconds=job.seconds)
    limit_memory(max_memory())


def run_in_worker(task: Task) -> Answer:
    """Answer about one recording in a worker process.

    Raises:
        VideoError: it cannot be read.
    """
    predictor: Predictor = _state["predictor"]
    video = Video.of(task.source)
    with local_file(task.source, seconds=_state["seconds"], on_progress=lambda _done, _total: show_life()) as path:
        frames = open_frames(path, fps=predictor.fps)
        return Answer(predictor(frames, lambda _stage, _done: show_life()), video)
