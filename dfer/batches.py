"""Which frames of which clips, in which order, and how they get into memory.

Training, evaluation and prediction all choose frames here. An epoch's plan depends on its seed alone: a run
resumed in the middle of an epoch goes on exactly as if it had never stopped.

Shape letters: B clips, T frames, H x W pixels of a crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.store import ManifestRow, Store, read_clip


def sample_frames(
    clip_length: int, num_frames: int, segments: int, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Choose frames: equal segments of the clip, each giving consecutive frames.

    A clip shorter than `num_frames` repeats frames, so none is ever dropped; one of just `num_frames` frames
    is taken as it is.

    Args:
        clip_length: frames in the clip, at least 1.
        num_frames: T, frames to choose.
        segments: parts of the clip; must divide T.
        rng: chooses the place within each segment (training); None takes its centre (testing).

    Returns:
        int64 [T], ascending indices below `clip_length`.

    Source: LOGO-Former and Former-DFER: 8 segments of 2 consecutive frames.
    """
    if clip_length < num_frames:
        return np.arange(num_frames, dtype=np.int64) * clip_length // num_frames
    run = num_frames // segments
    edges = np.arange(segments + 1) * clip_length / segments
    low = np.floor(edges[:-1]).astype(np.int64)
    high = np.floor(edges[1:]).astype(np.int64) - run
    starts = (low + high) // 2 if rng is None else rng.integers(low, high + 1)
    return (starts[:, None] + np.arange(run)).reshape(-1).astype(np.int64)


class MemoryFeed:
    """All crops decoded in memory: the fastest, when they fit."""

    def __init__(self, store: Store, rows: Sequence[ManifestRow], workers: int) -> None:
        paths = [store.clip_path(row.clip_id) for row in rows]
        with ThreadPoolExecutor(max(1, workers)) as pool:  # JPEG decoding releases the GIL
            self._clips = list(pool.map(read_clip, paths))

    def batches(self, plan: Sequence[tuple[int, NDArray[np.int64]]], batch_size: int) -> Iterator[Tensor]:
        """uint8 [B, T, H, W, 3] for each batch of (clip, frames) in the plan."""
        for start in range(0, len(plan), batch_size):
            chosen = plan[start : start + batch_size]
            yield torch.from_numpy(np.stack([self._clips[clip][frames] for clip, frames in chosen]))


class StreamFeed:
    """Crops decoded as they are needed, a few batches ahead, in flat memory."""

    AHEAD = 3

    def __init__(self, store: Store, rows: Sequence[ManifestRow], workers: int) -> None:
        self._paths: list[Path] = [store.clip_path(row.clip_id) for row in rows]
        self._workers = max(1, workers)

    def batches(self, plan: Sequence[tuple[int, NDArray[np.int64]]], batch_size: int) -> Iterator[Tensor]:
        """uint8 [B, T, H, W, 3] for each batch of (clip, frames) in the plan."""
        pool = ThreadPoolExecutor(self._workers)
        try:
            queue: list[list[Future[NDArray[np.uint8]]]] = []
            for start in range(0, len(plan), batch_size):
                chosen = plan[start : start + batch_size]
                queue.append([pool.submit(read_clip, self._paths[clip], frames) for clip, frames in chosen])
                if len(queue) > self.AHEAD:
                    yield _stacked(queue.pop(0))
            while queue:
                yield _stacked(queue.pop(0))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


Feed = MemoryFeed | StreamFeed


def build_feed(store: Store, rows: Sequence[ManifestRow], *, memory_bytes: float, workers: int) -> Feed:
    """The fastest feed that fits.

    Args:
        store: where the crops are.
        rows: the clips, all of status "ok"; a plan's clip numbers index them.
        memory_bytes: what decoded crops may take.
        workers: decoding threads.
    """
    needed = sum(row.num_frames for row in rows) * store.info.crop_size**2 * 3
    return (MemoryFeed if needed <= memory_bytes else StreamFeed)(store, rows, workers)


def _stacked(futures: list[Future[NDArray[np.uint8]]]) -> Tensor:
    return torch.from_numpy(np.stack([future.result() for future in futures]))


def training_plan(
    lengths: Sequence[int], num_frames: int, segments: int, seed: Sequence[int]
) -> list[tuple[int, NDArray[np.int64]]]:
    """An epoch's clips in random order, with random frames.

    Args:
        lengths: crops in each clip.
        num_frames: T.
        segments: see `sample_frames`.
        seed: what the plan depends on, such as (seed, epoch).
    """
    rng = np.random.default_rng(list(seed))
    order = rng.permutation(len(lengths))
    return [(int(clip), sample_frames(lengths[clip], num_frames, segments, rng)) for clip in order]


def evaluation_plan(lengths: Sequence[int], num_frames: int, segments: int) -> list[tuple[int, NDArray[np.int64]]]:
    """Every clip once, in order, with the centred frames."""
    return [(clip, sample_frames(length, num_frames, segments)) for clip, length in enumerate(lengths)]
