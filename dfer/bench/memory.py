"""Peak memory of a preprocessing worker on a long 1080p video, or on very many small clips."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.preprocessing.clip import Settings, process_clip
from dfer.records import ClipRecord
from dfer.runtime.device import describe_machine
from dfer.runtime.files import atomic_path
from dfer.runtime.machine import peak_memory_bytes
from dfer.runtime.workers import WorkerDiedError, run_tasks
from dfer.video import VideoWriter, open_frames

SCHEMA = "dfer.bench.memory/1"
LIMIT_BYTES = 1_500_000_000
SIZE_HW = (1080, 1920)
_FPS = 25
_PATTERN_S = 10
_SMALL_FRAMES = 16


def bench_memory(
    video: Path,
    weights: Path,
    *,
    minutes: float = 120.0,
    clips: int | None = None,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Preprocess a long video in one worker, or many small clips.

    Args:
        video: shows a face; the long video repeats ten seconds of it, and a small clip holds its first frames.
        weights: SCRFD's .onnx file.
        minutes: length of the long video.
        clips: number of small clips, in place of the long video.
        on_step: called with a line about the next step.

    Returns:
        `dfer.bench.memory/1`: "clips", "minutes" and "size_hw" of each, "frames", "crops", "seconds", "start_bytes"
        (before the first clip), "first_bytes" (after it) and "peak_bytes".

    Raises:
        DferError: the video cannot be read, the clip cannot be written, or the worker fails.
    """
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as folder:
        scratch = Path(folder)
        clip = scratch / "clip.mp4"
        if clips is None:
            on_step(f"writing {minutes:g} minutes of 1080p")
            write_long_video(video, clip, minutes)
        else:
            write_video((frame for _, frame in islice(open_frames(video).iter_frames(), _SMALL_FRAMES)), clip)
        source = open_frames(clip)
        on_step(f"preprocessing {clips or 1} x {source.num_frames} frames")
        task = (clip, clips or 1, scratch / "store", Settings(detector="scrfd", weights=weights))
        begun = time.perf_counter()
        ((_, future),) = run_tasks(_process, [task], workers=1)
        try:
            measured = future.result()
        except WorkerDiedError as error:
            raise DferError(f"the worker died ({error})", where=video) from error
        seconds = time.perf_counter() - begun
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "video": video.name,
        "clips": clips or 1,
        "minutes": source.duration / 60,
        "size_hw": list(source.size_hw),
        "frames": source.num_frames * (clips or 1),
        "seconds": seconds,
        **measured,
        "limit_bytes": LIMIT_BYTES,
    }


def write_long_video(video: Path, path: Path, minutes: float) -> None:
    """Write a 1080p video that repeats ten seconds of another one, encoded once, for at least ten seconds.

    Raises:
        DferError: the video cannot be read, or the file cannot be written.
    """
    pattern = path.with_name(f"pattern_{path.name}")
    write_video(_there_and_back(video, _PATTERN_S * _FPS), pattern)
    _repeat_packets(pattern, path, max(1, round(minutes * 60 / _PATTERN_S)))


def _process(task: tuple[Path, int, Path, Settings]) -> dict[str, int | None]:
    video, clips, out, settings = task
    cv2.setNumThreads(1)
    detector = settings.build_detector()
    start, first, crops = peak_memory_bytes(), None, 0
    for number in range(clips):
        row = process_clip(ClipRecord(f"{number}", 0, "happy", video, {}), video.parent, out, settings, detector)
        if not row.ok:
            raise DferError(f"{row.status}: {row.detail}", where=video, hint="name a video that shows a face")
        crops += row.num_frames
        first = first or peak_memory_bytes()
    return {"crops": crops, "start_bytes": start, "first_bytes": first, "peak_bytes": peak_memory_bytes()}


def _there_and_back(video: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """Return `count` frames of 1080p: the video's, scaled to fit, forwards and backwards until there are enough."""
    kept = [_fitted(frame) for _, frame in islice(open_frames(video).iter_frames(), _FPS * 2)]
    places = [*range(len(kept)), *range(len(kept) - 1, -1, -1)]
    return (kept[places[n % len(places)]] for n in range(count))


def write_video(frames: Iterator[NDArray[np.uint8]], path: Path, *, fps: float = _FPS) -> None:
    """Write frames, uint8 [H, W, 3], at a steady rate.

    Raises:
        DferError: the file cannot be written.
    """
    first = next(frames)
    with VideoWriter(path, fps=fps, size_hw=first.shape[:2], crf=28) as writer:
        for n, frame in enumerate(chain([first], frames)):
            writer.write(frame, n / fps)


def _fitted(frame_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame on a grey 1080p canvas, as large as fits."""
    scale = min(SIZE_HW[0] / frame_rgb.shape[0], SIZE_HW[1] / frame_rgb.shape[1])
    large = cv2.resize(frame_rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    canvas = np.full((*SIZE_HW, 3), 90, np.uint8)
    y, x = (SIZE_HW[0] - large.shape[0]) // 2, (SIZE_HW[1] - large.shape[1]) // 2
    canvas[y : y + large.shape[0], x : x + large.shape[1]] = large[: SIZE_HW[0], : SIZE_HW[1]]
    return canvas


def _repeat_packets(pattern: Path, path: Path, times: int) -> None:
    """Copy the pattern's packets `times` times, each time later, without encoding anything."""
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as output:
        with av.open(str(pattern)) as container:
            source = container.streams.video[0]
            stream = output.add_stream_from_template(source)
            length = round(_PATTERN_S / source.time_base)
        for n in range(times):
            for packet in _packets(pattern):
                packet.pts += n * length
                packet.dts += n * length
                packet.stream = stream
                output.mux(packet)


def _packets(path: Path) -> Iterator[Any]:
    with av.open(str(path)) as container:
        yield from (packet for packet in container.demux(video=0) if packet.size)
