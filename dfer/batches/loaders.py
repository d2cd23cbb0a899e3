"""Which frames of which clips, in which order, and how they get into memory.

Training, evaluation and prediction all choose frames here. An epoch's plan depends on its seed alone: a run
resumed in the middle of an epoch goes on exactly as if it had never stopped.

Shape letters: B clips, T frames, H x W pixels of a crop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.sampling import Plan
from dfer.errors import DataError
from dfer.store import Store, read_clip
from dfer.store.manifest import ManifestRow

FeedKind = Literal["device", "memory", "stream"]
# The share of a GPU's free memory that crops may take: the rest is the model's.
DEVICE_SHARE = 0.6


class ResidentFeed:
    """All crops decoded beforehand, in one flat tensor on the training device or in main memory.

    Args:
        store: where the crops are.
        rows: the clips; a plan's clip numbers index them.
        device: where the crops shall lie.
        workers: decoding threads.
        on_load: called with the crops loaded so far and all.

    Raises:
        DataError: the store does not hold what its manifest says.
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[ManifestRow],
        device: torch.device,
        workers: int,
        on_load: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self.starts = np.concatenate([[0], np.cumsum([row.num_frames for row in rows])]).astype(np.int64)
        size = store.info.crop_size
        self.crops = torch.empty(int(self.starts[-1]), size, size, 3, dtype=torch.uint8, device=device)

        def load(clip: int) -> int:
            path = store.clip_path(rows[clip].clip_id)
            crops = read_clip(path)
            if crops.shape != (rows[clip].num_frames, size, size, 3):
                raise DataError(f"{len(crops)} crops of {crops.shape[1:3]}, unlike the manifest", where=path)
            self.crops[self.starts[clip] : self.starts[clip + 1]] = torch.from_numpy(crops)
            return len(crops)

        done = 0
        with ThreadPoolExecutor(max(1, workers)) as pool:  # JPEG decoding releases the GIL
            try:
                for count in pool.map(load, range(len(rows))):
                    done += count
                    on_load(done, len(self.crops))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def batches(self, parts: Iterable[Plan]) -> Iterator[Tensor]:
        """uint8 [B, T, H, W, 3] for each part of a plan, where the crops lie."""
        for part in parts:
            index = torch.from_numpy(np.stack([self.starts[clip] + frames for clip, frames in part]))
            frames = self.crops.index_select(0, index.flatten().to(self.crops.device))
            yield frames.view(*index.shape, *frames.shape[1:])


class StreamFeed:
    """Crops decoded as they are needed, a few batches ahead, in flat memory."""

    AHEAD = 3

    def __init__(self, store: Store, rows: Sequence[ManifestRow], workers: int) -> None:
        self._paths: list[Path] = [store.clip_path(row.clip_id) for row in rows]
        self._workers = max(1, workers)

    def batches(self, parts: Iterable[Plan]) -> Iterator[Tensor]:
        """uint8 [B, T, H, W, 3] for each part of a plan, in main memory."""
        pool = ThreadPoolExecutor(self._workers)
        try:
            queue: list[list[Future[NDArray[np.uint8]]]] = []
            for part in parts:
                queue.append([pool.submit(read_clip, self._paths[clip], frames) for clip, frames in part])
                if len(queue) > self.AHEAD:
                    yield _stacked(queue.pop(0))
            while queue:
                yield _stacked(queue.pop(0))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


Feed = ResidentFeed | StreamFeed


def crop_bytes(store: Store, rows: Sequence[ManifestRow]) -> int:
    """Memory that the decoded crops of clips take."""
    return sum(row.num_frames for row in rows) * store.info.crop_size**2 * 3


def choose_feed(needed: float, *, memory_bytes: float, device_bytes: float = 0.0) -> FeedKind:
    """The fastest feed that fits: the crops on the device, else in main memory, else streamed.

    Args:
        needed: bytes of all decoded crops.
        memory_bytes: what they may take of main memory.
        device_bytes: what they may take of the device's own memory, 0 without one.
    """
    if needed <= device_bytes:
        return "device"
    return "memory" if needed <= memory_bytes else "stream"


def build_feed(
    store: Store,
    rows: Sequence[ManifestRow],
    *,
    kind: FeedKind,
    workers: int,
    device: torch.device | None = None,
    on_load: Callable[[int, int], None] = lambda _done, _total: None,
) -> Feed:
    """Open clips for reading.

    Args:
        store: where the crops are.
        rows: the clips, all of status "ok"; a plan's clip numbers index them.
        kind: where the decoded crops lie, see `choose_feed`.
        workers: decoding threads.
        device: the training device, for the kind "device".
        on_load: called with the crops loaded so far and all; not for the kind "stream".
    """
    if kind == "stream":
        return StreamFeed(store, rows, workers)
    where = device if kind == "device" and device is not None else torch.device("cpu")
    return ResidentFeed(store, rows, where, workers, on_load)


def _stacked(futures: list[Future[NDArray[np.uint8]]]) -> Tensor:
    return torch.from_numpy(np.stack([future.result() for future in futures]))
