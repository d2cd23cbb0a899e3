"""Clips in worker processes: a decoder that crashes or hangs costs one clip, not the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

from dfer.errors import DferError
from dfer.preprocessing.clip import Settings, process_clip, unreadable_row
from dfer.records import ClipRecord
from dfer.store import ManifestRow
from dfer.workers import ProcessExpired, run_tasks

logger = logging.getLogger(__name__)

CLIP_TIMEOUT_S = 900.0

_worker_state: dict[str, Any] = {}  # of this worker process: what process_clip needs beside the clip


def run_clips(clips: list[ClipRecord], raw: Path, out: Path, settings: Settings, workers: int) -> Iterator[ManifestRow]:
    """The clips' rows, in the order of completion.

    Args:
        clips: what to work on.
        raw: the raw data set's folder.
        out: the store's folder.
        settings: crop size and detector.
        workers: processes; 0 works in this one, where nothing is isolated.

    Raises:
        DferError: the store cannot be written, or the detector cannot be built.
    """
    with_source = [clip for clip in clips if clip.source is not None]
    for clip in clips:
        if clip.source is None:
            yield process_clip(clip, raw, out, settings, None)
    if not with_source:
        return
    if workers == 0:
        detector = settings.build_detector()
        for clip in with_source:
            yield process_clip(clip, raw, out, settings, detector)
        return
    finished = run_tasks(
        _run_clip,
        with_source,
        workers=min(workers, len(with_source)),
        timeout_s=CLIP_TIMEOUT_S,
        initializer=_start_worker,
        initargs=(raw, out, settings),
    )
    with closing(finished):
        for clip, future in finished:
            yield _result(future, clip, raw)


def _start_worker(raw: Path, out: Path, settings: Settings) -> None:
    import cv2

    cv2.setNumThreads(1)  # one thread per worker: the pools of OpenCV and onnxruntime would fight for the cores
    _worker_state.update(raw=raw, out=out, settings=settings, detector=settings.build_detector())


def _run_clip(clip: ClipRecord) -> ManifestRow:
    return process_clip(clip, **_worker_state)


def _result(future: Future[ManifestRow], clip: ClipRecord, raw: Path) -> ManifestRow:
    try:
        return future.result()
    except DferError:
        raise
    except TimeoutError:
        detail = f"took more than {CLIP_TIMEOUT_S:.0f} s"
    except ProcessExpired as error:
        detail = f"the decoder crashed (exit code {error.exitcode})"
    except Exception as error:
        logger.debug("clip %s", clip.clip_id, exc_info=error)
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
    return unreadable_row(clip, raw, detail)
