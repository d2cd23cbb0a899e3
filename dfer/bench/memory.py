"""Peak memory of a preprocessing worker over a long 1080p video."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.device import describe_machine
from dfer.errors import DferError
from dfer.files import atomic_path
from dfer.machine import peak_memory_bytes
from dfer.preprocessing.clip import Settings, process_clip
from dfer.records import ClipRecord
from dfer.store import ManifestRow
from dfer.video import VideoWriter, open_frames
from dfer.workers import WorkerDiedError, run_tasks

SCHEMA = "dfer.bench.memory/1"
LIMIT_BYTES = 1_500_000_000
_SIZE_HW = (1080, 1920)
_FPS = 25
_PATTERN_S = 10


def bench_memory(
    video: Path,
    weights: Path,
    *,
    minutes: float = 120.0,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Preprocess a long video in a worker.

    Args:
        video: with a face; ten seconds of it, over and over, are what the long video shows.
        weights: SCRFD's .onnx file.
        minutes: length of the long video.
        on_step: called with a line on what is done next.

    Returns:
        `dfer.bench.memory/1`: "minutes", "frames", "crops", "seconds", "start_bytes" (before the clip) and
        "peak_bytes".

    Raises:
        DferError: the video cannot be read or the long one not be written, or the worker fails.
    """
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as folder:
        scratch = Path(folder)
        on_step(f"writing {minutes:g} minutes of 1080p")
        pattern, long_video = scratch / "pattern.mp4", scratch / "long.mp4"
        _write_pattern(video, pattern)
        _repeat_packets(pattern, long_video, max(1, round(minutes * 60 / _PATTERN_S)))
        on_step(f"preprocessing it, {long_video.stat().st_size / 1e6:.0f} MB")
        task = (long_video, scratch / "store", Settings(detector="scrfd", weights=weights))
        begun = time.perf_counter()
        ((_, future),) = run_tasks(_process, [task], workers=1)
        try:
            row, before, peak = future.result()
        except WorkerDiedError as error:
            raise DferError(f"the worker died ({error})", where=long_video) from error
        seconds = time.perf_counter() - begun
        frames = open_frames(long_video).num_frames
    if row.status != "ok":
        raise DferError(f"{row.status}: {row.detail}", where=video, hint="give a video with a face")
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "video": video.name,
        "minutes": minutes,
        "frames": frames,
        "crops": row.num_frames,
        "seconds": seconds,
        "start_bytes": before,
        "peak_bytes": peak,
        "limit_bytes": LIMIT_BYTES,
    }


def _process(task: tuple[Path, Path, Settings]) -> tuple[ManifestRow, int | None, int | None]:
    video, out, settings = task
    cv2.setNumThreads(1)
    detector = settings.build_detector()
    before = peak_memory_bytes()
    row = process_clip(ClipRecord("long", 0, "happy", video, {}), video.parent, out, settings, detector)
    return row, before, peak_memory_bytes()


def _write_pattern(video: Path, path: Path) -> None:
    """Ten seconds of 1080p: the video's frames, enlarged to fit, forwards and backwards until the time is full."""
    source = open_frames(video)
    kept = [_fitted(frame) for _, frame in islice(source.iter_frames(), _FPS * 2)]
    there_and_back = [*range(len(kept)), *range(len(kept) - 1, -1, -1)]
    with VideoWriter(path, fps=_FPS, size_hw=_SIZE_HW, crf=28) as writer:
        for n in range(_PATTERN_S * _FPS):
            writer.write(kept[there_and_back[n % len(there_and_back)]], n / _FPS)


def _fitted(frame_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame on a grey 1080p canvas, as large as fits."""
    scale = min(_SIZE_HW[0] / frame_rgb.shape[0], _SIZE_HW[1] / frame_rgb.shape[1])
    large = cv2.resize(frame_rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    canvas = np.full((*_SIZE_HW, 3), 90, np.uint8)
    y, x = (_SIZE_HW[0] - large.shape[0]) // 2, (_SIZE_HW[1] - large.shape[1]) // 2
    canvas[y : y + large.shape[0], x : x + large.shape[1]] = large[: _SIZE_HW[0], : _SIZE_HW[1]]
    return canvas


def _repeat_packets(pattern: Path, path: Path, times: int) -> None:
    """Copy the pattern's packets so many times, each time later: nothing is encoded."""
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
