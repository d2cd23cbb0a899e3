"""Clips -> rows, by the means there are: in this process, in worker processes, or on a Ray cluster.

An engine takes clips that have a source and yields each with its row, in the order of completion. All engines run the
same function on a clip, so the store does not depend on the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dfer.errors import DferError
from dfer.faces.detectors import Detector
from dfer.preprocessing.clip import Settings, missing_row, process_clip, unreadable_row
from dfer.preprocessing.guard import read_through, take_snapshot, time_allowed_s
from dfer.records import ClipRecord
from dfer.runtime.workers import WorkerDiedError, run_tasks
from dfer.store.manifest import ManifestRow

logger = logging.getLogger(__name__)

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Job:
    """What all clips of a run share.

    Attributes:
        raw: the raw data set's folder; sources are noted relative to it.
        out: the store's folder.
        settings: crop size and detector.
        timeout_s: how long the work on a short clip may take; long ones are given more.
    """

    raw: Path
    out: Path
    settings: Settings
    timeout_s: float = TIMEOUT_S


# Raises DferError where the store cannot be written, the detector cannot be built, or the engine itself fails.
Engine = Callable[[Sequence[ClipRecord], Job], Generator[tuple[ClipRecord, ManifestRow], None, None]]


def build_engine(workers: int) -> Engine:
    """The engine of this machine; 0 workers means this process, where nothing is isolated."""
    return partial(run_in_workers, workers=workers) if workers else run_in_process


def run_in_process(clips: Sequence[ClipRecord], job: Job) -> Generator[tuple[ClipRecord, ManifestRow], None, None]:
    """Work in this process, where a decoder that crashes or hangs takes the run with it."""
    detector = job.settings.build_detector()
    for clip in clips:
        yield clip, work_on_clip(clip, job, detector)


def run_in_workers(
    clips: Sequence[ClipRecord], job: Job, *, workers: int
) -> Generator[tuple[ClipRecord, ManifestRow], None, None]:
    """Work in processes, where a decoder that crashes or hangs costs one clip.

    A clip whose worker died is tried once more when the others are done, alone: where memory ran out, it may have
    been a neighbour's.
    """
    again: list[ClipRecord] = []
    for attempt, todo, crew in (("first", clips, workers), ("last", again, 1)):
        finished = run_tasks(
            run_in_worker,
            todo,
            workers=min(crew, len(todo)),
            timeout_s=partial(clip_time_s, job=job),
            initializer=start_worker,
            initargs=(job,),
        )
        with closing(finished):
            for clip, future in finished:
                row = outcome(future, clip, job)
                if attempt == "first" and isinstance(row, Crash):
                    again.append(clip)
                else:
                    yield clip, row if isinstance(row, ManifestRow) else row.as_row(clip, job)


def work_on_clip(clip: ClipRecord, job: Job, detector: Detector) -> ManifestRow:
    """One clip, from its source to packed crops, on a disk that may fail meanwhile.

    Raises:
        DferError: the store cannot be written.
    """
    if clip.source is None:
        return missing_row(clip, job.raw)
    try:
        before = read_through(clip.source)
        row = process_clip(clip, job.raw, job.out, job.settings, detector)
        if take_snapshot(clip.source) == before:
            return row
        detail = "it changed while it was read"
    except OSError as error:
        detail = f"cannot read: {(error.strerror or str(error)).lower()}"
    return unreadable_row(clip, job.raw, detail)


def clip_time_s(clip: ClipRecord, job: Job) -> float:
    """How long the work on a clip may take, seconds."""
    return job.timeout_s if clip.source is None else time_allowed_s(clip.source, job.timeout_s)


@dataclass(frozen=True)
class Crash:
    """A clip's worker died, or ran out of memory."""

    detail: str

    def as_row(self, clip: ClipRecord, job: Job) -> ManifestRow:
        """The clip's row, if it is to be the last word."""
        return unreadable_row(clip, job.raw, self.detail)


def outcome(future: Future[ManifestRow], clip: ClipRecord, job: Job) -> ManifestRow | Crash:
    """What became of a clip in a worker.

    Raises:
        DferError: the store cannot be written.
    """
    try:
        return future.result()
    except DferError:
        raise
    except TimeoutError:
        return unreadable_row(clip, job.raw, f"took more than {clip_time_s(clip, job):.0f} s")
    except WorkerDiedError as error:
        return Crash(f"the decoder crashed ({error})")
    except MemoryError:
        return Crash("out of memory")
    except Exception as error:
        logger.debug("clip %s", clip.clip_id, exc_info=error)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Crash("out of memory") if "Insufficient memory" in reason else unreadable_row(clip, job.raw, reason)


_state: dict[str, Any] = {}  # of this worker process: what `work_on_clip` needs beside the clip


def start_worker(job: Job) -> None:
    """Make this process ready for `run_in_worker`."""
    import cv2

    cv2.setNumThreads(1)  # one thread per worker: the pools of OpenCV and onnxruntime would fight for the cores
    _state.update(job=job, detector=job.settings.build_detector())


def run_in_worker(clip: ClipRecord) -> ManifestRow:
    """`work_on_clip` in a worker process."""
    return work_on_clip(clip, **_state)
