"""Engines: process clips in this process, in worker processes, or (see `on_ray`) on a Ray cluster.

An engine takes clips that have a source and yields each with its row, in the order of completion. All engines run the
same function on a clip, so the store does not depend on the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dfer.errors import DferError, os_reason
from dfer.faces.detectors import Detector
from dfer.plugins import load_plugins
from dfer.preprocessing.clip import Settings, missing_row, process_clip, unreadable_row
from dfer.preprocessing.guard import read_through, take_snapshot
from dfer.records import ClipRecord
from dfer.runtime.machine import limit_memory, usable_cores
from dfer.runtime.patience import TIMEOUT_S, time_allowed_s
from dfer.runtime.retries import run_tasks_with_retries
from dfer.runtime.workers import failure_reason
from dfer.store.manifest import ManifestRow
from dfer.video.limits import max_memory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Settings that all clips of a run share.

    Attributes:
        raw: the raw data set's folder; sources are recorded relative to it.
        out: the store's folder.
        settings: crop size and detector.
        timeout_s: the longest time for a short clip; long ones get more.
        plugins: the sources of those that a worker loads first, for a detector that one of them brings.
    """

    raw: Path
    out: Path
    settings: Settings
    timeout_s: float = TIMEOUT_S
    plugins: tuple[str, ...] = ()


Rows = Generator[tuple[ClipRecord, ManifestRow], None, None]
# Raises DferError if the store cannot be written, the detector cannot be built, or the engine itself fails.
Engine = Callable[[Sequence[ClipRecord], Job], Rows]
Outcome = tuple[ManifestRow, bool]  # and whether the worker crashed or ran out of memory


def run_in_process(clips: Sequence[ClipRecord], job: Job) -> Rows:
    """Process clips in this process, where a decoder that crashes or hangs ends the run."""
    detector = job.settings.build_detector()
    for clip in clips:
        yield clip, work_on_clip(clip, job, detector)


def run_in_workers(clips: Sequence[ClipRecord], job: Job, *, workers: int = 0) -> Rows:
    """Process clips in worker processes, where a decoder that crashes or hangs loses one clip.

    Args:
        clips: the clips.
        job: their settings.
        workers: processes; 0: one per core.
    """
    return run_tasks_with_retries(
        run_in_worker,
        clips,
        partial(outcome, job=job),
        workers=workers or usable_cores(),
        timeout_s=partial(clip_time_s, job=job),
        initializer=start_worker,
        initargs=(job,),
    )


def work_on_clip(clip: ClipRecord, job: Job, detector: Detector) -> ManifestRow:
    """Process one clip, from its source to packed crops, on a disk that may fail meanwhile.

    Raises:
        DferError: the store cannot be written.
    """
    if clip.source is None:
        return missing_row(clip, job.raw)
    try:
        before = read_through(clip.source) if clip.pixels is None else take_snapshot(clip.source)
        row = process_clip(clip, job.raw, job.out, job.settings, detector)
        if take_snapshot(clip.source) == before:
            return row
        detail = "the file changed while it was read"
    except OSError as error:
        detail = f"cannot read: {os_reason(error)}"
    return unreadable_row(clip, job.raw, detail)


def clip_time_s(clip: ClipRecord, job: Job) -> float:
    """Return how long the work on a clip may take, in seconds."""
    if clip.source is None or clip.pixels is not None:
        return job.timeout_s
    return time_allowed_s(clip.source, job.timeout_s)


def outcome(future: Future[ManifestRow], clip: ClipRecord, job: Job) -> Outcome:
    """Return the row of a clip from a worker, and whether the worker crashed.

    Raises:
        DferError: the store cannot be written.
    """
    try:
        return future.result(), False
    except DferError:
        raise
    except Exception as error:
        logger.debug("clip %s", clip.clip_id, exc_info=error)
        detail, is_crash = failure_reason(error, clip_time_s(clip, job))
        return unreadable_row(clip, job.raw, detail), is_crash


_state: dict[str, Any] = {}  # of this worker process: arguments of `work_on_clip` besides the clip


def start_worker(job: Job) -> None:
    """Prepare this process for `run_in_worker`."""
    import cv2

    cv2.setNumThreads(1)  # with a thread pool in each worker, there would be more threads than cores
    load_plugins(job.plugins)
    _state.update(job=job, detector=job.settings.build_detector())
    limit_memory(max_memory())


def run_in_worker(clip: ClipRecord) -> ManifestRow:
    """Run `work_on_clip` in a worker process."""
    return work_on_clip(clip, **_state)
