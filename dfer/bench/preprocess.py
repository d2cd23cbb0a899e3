"""Speed of preprocessing beside a plain loop over the same videos in the same run, and how far landmarks differ."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.bench.plain_loop import run_plain_loop
from dfer.errors import DferError, UsageError
from dfer.faces.detectors import build_detector
from dfer.faces.tracking.track import choose_main_track, track_faces
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
# What is to be had of the data sets' authors: clips, frames.
DATASETS = {"DFEW": (11_697, 900_000), "FERV39k": (38_935, 38_935 * 28)}
_WARM_UPS = 3  # clips a worker, so that every worker has started when time begins to count


@dataclass(frozen=True)
class _Speed:
    frames_per_s: float
    clips_per_s: float
    start_s: float
    peak_bytes: int | None


def bench_preprocess(
    videos: Sequence[Path],
    weights: Path,
    *,
    workers: int = 2,
    repeat: int = 5,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Measure the plain loop, one worker on one core, one worker, and several workers.

    One worker alone keeps more than one core busy, since videos are decoded ahead in a thread of their own: what a
    further core is worth shows against one worker that has a single core.

    Args:
        videos: what to work on, at least one.
        weights: SCRFD's .onnx file.
        workers: processes of the last measurement.
        repeat: how many times the workers do each video; the plain loop does it once.
        on_step: called with a line on what is measured next.

    Returns:
        `dfer.bench.preprocess/1`, see docs/cli.md.

    Raises:
        DferError: a video cannot be read, or the detector cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as folder:
        scratch = Path(folder)
        sources = [open_frames(video) for video in videos]
        if len(set(videos)) < len(videos):
            raise UsageError("a video is named twice")
        frames = sum(source.num_frames for source in sources)
        on_step(f"plain loop, {frames} frames")
        ((_, future),) = run_tasks(run_plain_loop, [(tuple(videos), weights)], workers=1)
        plain = future.result()
        settings = Settings(detector="scrfd", weights=weights)
        cores = usable_cores()
        speeds: dict[tuple[int, int], _Speed] = {}
        for count, allowed in dict.fromkeys(((1, 1), (1, cores), (workers, cores))):
            on_step(f"{pluralize(count, 'worker')} on {pluralize(allowed, 'core')}, {frames} frames {repeat} times")
            with limit_cores(allowed):
                speeds[count, allowed] = _measure(sources, scratch / f"store{count}-{allowed}", settings, count, repeat)
    on_step("landmarks")
    errors = _landmark_errors(sources, plain.landmarks, settings)
    plain_fps = sum(map(len, plain.landmarks)) / plain.seconds
    best = speeds[workers, cores]
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "videos": [
            {"name": source.path.name, "frames": source.num_frames, "size_hw": list(source.size_hw)}
            for source in sources
        ],
        "repeat": repeat,
        "plain_loop": {"frames_per_s": plain_fps, "clips_per_s": len(videos) / plain.seconds},
        "workers": [
            {
                "workers": count,
                "cores": allowed,
                "frames_per_s": speed.frames_per_s,
                "clips_per_s": speed.clips_per_s,
                "ratio_to_plain_loop": speed.frames_per_s / plain_fps,
                "speed_up": speed.frames_per_s / speeds[1, 1].frames_per_s,
                "start_s": speed.start_s,
                "peak_bytes": speed.peak_bytes,
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
            name: {"clips": clips, "frames": total, "hours": total / best.frames_per_s / 3600}
            for name, (clips, total) in DATASETS.items()
        },
    }


def _measure(sources: list[FrameSource], out: Path, settings: Settings, workers: int, repeat: int) -> _Speed:
    """Through the pool that `dfer preprocess` uses."""
    # Short videos first, until every worker has started; then the long ones, so that all workers end together.
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
    return _Speed(
        frames_per_s=repeat * sum(source.num_frames for source in sources) / seconds,
        clips_per_s=len(measured) / seconds,
        start_s=ready,
        peak_bytes=peaks or None,
    )


def _clip(clip_id: str, source: FrameSource) -> ClipRecord:
    return ClipRecord(clip_id, 0, "happy", source.path, {})


def _landmark_errors(
    sources: list[FrameSource], plain: list[NDArray[np.float32]], settings: Settings
) -> NDArray[np.float64]:
    """Mean distance of a frame's five landmarks from those of the plain loop, in inter-ocular distances."""
    detector = build_detector(settings.detector, settings.weights)
    errors: list[float] = []
    for source, expected in zip(sources, plain, strict=True):
        tracks = track_faces(source.iter_frames(), detector, fps=source.fps)
        track = choose_main_track(tracks, source.size_hw, source.num_frames)
        if track is None:
            continue
        known = replace(track, frames=track.frames[track.frames < len(expected)])
        theirs = expected[known.frames]
        distances = np.linalg.norm(track.landmarks[: len(known.frames)] - theirs, axis=2).mean(1)
        between_eyes = np.linalg.norm(theirs[:, 1] - theirs[:, 0], axis=1)
        errors += [float(value) for value in distances / between_eyes if np.isfinite(value)]
    return np.asarray(errors)
