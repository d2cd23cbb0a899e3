"""The engine on a running Ray cluster. Its nodes need this version of dfer, and RAW and OUT under the same paths."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dfer.preprocessing.clip import Settings
from dfer.preprocessing.engines import Engine, Job, Outcome, Rows, clip_time_s, outcome, run_in_worker, start_worker
from dfer.records import ClipRecord
from dfer.runtime.ray_tasks import UNLIMITED, NodeWork, connected, import_ray, run_tasks_on_ray
from dfer.runtime.retries import retry_crashed
from dfer.store.manifest import ManifestRow


def ray_engine(tasks: int = 0) -> Engine:
    """Return the engine of a Ray cluster.

    Args:
        tasks: clips at a time, at most; 0: as many as the cluster's cores can use.

    Raises:
        DferError: Ray is not installed.
    """
    return partial(run_on_ray, ray=import_ray(), tasks=tasks)


def run_on_ray(clips: Sequence[ClipRecord], job: Job, *, ray: Any, tasks: int) -> Rows:
    """Process clips on the cluster; see `ray_engine`.

    Raises:
        DferError: there is no cluster, it is lost, or its nodes have another version of dfer.
    """
    job = replace(job, raw=job.raw.absolute(), out=job.out.absolute(), settings=_absolute(job.settings))
    work: NodeWork[ClipRecord, ManifestRow] = NodeWork(
        run_in_worker, start_worker, (job,), partial(clip_time_s, job=job)
    )
    placed = [clip if clip.source is None else replace(clip, source=clip.source.absolute()) for clip in clips]
    given = dict(zip((clip.clip_id for clip in placed), clips, strict=True))

    def run(some: Sequence[ClipRecord], at_once: int) -> Generator[tuple[ClipRecord, Outcome], None, None]:
        for clip, future in run_tasks_on_ray(work, some, ray=ray, at_once=at_once):
            yield clip, outcome(future, clip, job)

    with connected(ray):
        for clip, row in retry_crashed(run, placed, tasks or UNLIMITED):
            yield given[clip.clip_id], row


def _absolute(settings: Settings) -> Settings:
    return settings if settings.weights is None else replace(settings, weights=settings.weights.absolute())
