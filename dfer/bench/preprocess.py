"""Speed of preprocessing compared with a plain loop over the same videos, and the difference of their landmarks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.bench.plain_loop import run_plain_loop
from dfer.errors import DferError, UsageError
from dfer.faces.detectors import build_detector
from dfer.faces.tracking.clock import clock_of
from dfer.faces.tracking.track import track_main_face
from dfer.preprocessing.clip import Settings
from dfer.preprocessing.engines import Job, run_in_workers
from dfer.records import ClipRecord
from dfer.runtime.device import describe_machine
from dfer.runtime.formatting import pluralize
from dfer.runtime.machine import child_peaks_bytes, limit_cores, usable_cores
from dfer.runtime.workers import run_tasks
from dfer.video import FrameSource, open_frames

SCHEMA = "dfer.bench.preprocess/1"
NEAR = 0.03  # of the inter-ocular distance
# Clips and frames, as the data sets' authors publish them.
DATASETS = {"DFEW": (11_697, 900_000), "FERV39k": (38_935, 38_935 * 28)}
_WARM_UPS = 3  # clips per worker, so that all workers have started before the measurement


def bench_preprocess(
    videos: Sequence[Path],
    weights: Path,
    *,
    workers: int = 2,
    repeat: int = 5,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Measure the plain loop, one worker on one core, one worker, and several workers.

    A single worker uses more than one core, because it decodes ahead in a separate thread. The speed-up is therefore
    relative to one worker on a single core.

    Args:
        videos: at least one.
        weights: SCRFD's .onnx file.
        workers: processes of the last measurement.
        repeat: times that the workers process each video; the plain loop does it once.
        on_step: called with a line about the next measurement.

    Returns:
        `dfer.bench.preprocess/1`, see docs/cli.md.

    Raises:
        DferError: a video cannot be read, or the detector cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as folder:
        scratch = Path(folder)
        sources = [open_frames(video) for video in videos]
        if len(set(videos)) < len(videos):
            raise UsageError("the same video was given twice")
        frames = sum(source.num_frames for source in sources)
        on_step(f"plain loop, {frames} frames")
        ((_, future),) = run_tasks(run_plain_loop, [(tuple(videos), weights)], workers=1)
        plain_s, plain_landmarks = future.result()
        settings = Settings(detector="scrfd", weights=weights)
        cores = usable_cores()
        speeds: dict[tuple[int, int], dict[str, Any]] = {}
        for count, allowed in dict.fromkeys(((1, 1), (1, cores), (workers, cores))):
            on_step(f"{pluralize(count, 'worker')} on {pluralize(allowed, 'core')}, {frames} frames {repeat} times")
            with limit_cores(allowed):
                speeds[count, allowed] = _measure(sources, scratch / f"store{count}-{allowed}", settings, count, repeat)
    on_step("landmarks")
    errors = _landmark_errors(sources, plain_landmarks, settings)
    plain_fps = sum(map(len, plain_landmarks)) / plain_s
    best = speeds[workers, cores]
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "videos": [
            {"name": source.path.name, "frames": source.num_frames, "size_hw": list(source.size_hw)}
            for source in sources
        ],
        "repeat": repeat,
        "plain_loop": {"frames_per_s": plain_fps, "clips_per_s": len(videos) / plain_s},
        "workers": [
            {
                "workers": count,
                "cores": allowed,
                **speed,
                "ratio_to_plain_loop": speed["frames_per_s"] / plain_fps,
                "speed_up": speed["frames_per_s"] / speeds[1, 1]["frames_per_s"],
            }
            for (count, allowed), speed in speeds.items()
        ],
        "landmarks": {
            "frames": len(errors),
            "median": float(np.median(errors)) if len(errors) else None,
            "near": NEAR,
            "share_near": float(np.mean(errors <= NEAR)) if len(errors) else None,
        },
        "projected_hours": {
            name: {"clips": clips, "frames": total, "hours": total / best["frames_per_s"] / 3600}
            for name, (clips, total) in DATASETS.items()
        },
    }


def _measure(sources: list[FrameSource], out: Path, settings: Settings, workers: int, repeat: int) -> dict[str, Any]:
    """Measure the worker pool of `dfer preprocess`."""
    # Short videos come first, until every worker has started, then long ones, so that all workers end together.
    by_length = sorted(sources, key=lambda source: -source.num_frames)
    warm_ups = [_clip(f"warm-up {n}", by_length[-1]) for n in range(_WARM_UPS * workers)]
    measured = [_clip(f"{n} {place}", source) for place, source in enumerate(by_length) for n in range(repeat)]
    created = time.perf_counter()
    begun, peaks = created, 0
    left = {clip.clip_id for clip in warm_ups}
    ready = 0.0
    for _, row in run_in_workers([*warm_ups, *measured], Job(out, out, settings), workers=workers):
        if row.status not in ("ok", "no_face", "too_short"):
            raise DferError(f"{row.status}: {row.detail}", where=row.source)
        ready = ready or time.perf_counter() - created
        peaks = max(peaks, *child_peaks_bytes(), 0)
        if left:
            left.discard(row.clip_id)
            begun = time.perf_counter()
    seconds = time.perf_counter() - begun
    return {
        "frames_per_s": repeat * sum(source.num_frames for source in sources) / seconds,
        "clips_per_s": len(measured) / seconds,
        "start_s": ready,
        "peak_bytes": peaks or None,
    }


def _clip(clip_id: str, source: FrameSource) -> ClipRecord:
    return ClipRecord(clip_id, 0, "happy", source.path, {})


def _landmark_errors(
    sources: list[FrameSource], plain: list[NDArray[np.float32]], settings: Settings
) -> NDArray[np.float64]:
    """Return each frame's mean distance of five landmarks from the plain loop's, in inter-ocular distances."""
    detector = build_detector(settings.detector, settings.weights)
    errors: list[float] = []
    for source, expected in zip(sources, plain, strict=True):
        clock = clock_of(source)
        track = track_main_face(source.iter_frames(), detector, clock, source.size_hw)
        if track is None:
            continue
        known = replace(track, frames=track.frames[track.frames < len(expected)])
        theirs = expected[known.frames]
        distances = np.linalg.norm(track.landmarks[: len(known.frames)] - theirs, axis=2).mean(1)
        between_eyes = np.linalg.norm(theirs[:, 1] - theirs[:, 0], axis=1)
        errors += [float(value) for value in distances / between_eyes if np.isfinite(value)]
    return np.asarray(errors)
