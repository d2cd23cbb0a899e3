"""Load the clips of a store as batches of frames on the training device.

Decoded crops lie on the device, in main memory, or nowhere: then each batch is decoded shortly before it is needed.
All three give the same batches.

Shape letters: B clips, T frames, H x W pixels of a crop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.prefetch import prefetch
from dfer.batches.sampling import Portion, Sample, fixed_order, portion_size, shuffled_order, split_batch
from dfer.errors import DataError
from dfer.runtime.device import use_device
from dfer.store import Store, read_clip
from dfer.store.manifest import ManifestRow

CropLocation = Literal["device", "memory", "stream"]
# The share of a GPU's free memory that crops may take: the rest is the model's.
DEVICE_SHARE = 0.6
_BATCHES_AHEAD = 3

Parts = Iterator[tuple[slice, Tensor]]  # which clips of the batch, and their frames


class ResidentCrops:
    """All crops decoded beforehand, in one flat tensor on the device or in main memory.

    Args:
        store: the store that holds the crops.
        rows: the clips, all of status "ok"; samples refer to them by number.
        device: the device that holds the tensor.
        workers: number of decoding threads.
        on_load: called with the number of crops loaded so far and their total.

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
        # JPEG decoding releases the GIL.
        with ThreadPoolExecutor(max(1, workers), initializer=use_device, initargs=(device,)) as pool:
            try:
                for count in pool.map(load, range(len(rows))):
                    done += count
                    on_load(done, len(self.crops))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def read(self, batches: Iterable[Sequence[Sample]]) -> Iterator[Tensor]:
        """Yield the frames of each batch, uint8 [B, T, H, W, 3], on the device that holds the crops."""
        for batch in batches:
            index = torch.from_numpy(np.stack([self.starts[clip] + frames for clip, frames in batch]))
            frames = self.crops.index_select(0, index.flatten().to(self.crops.device))
            yield frames.view(*index.shape, *frames.shape[1:])


class StreamedCrops:
    """Crops decoded when they are needed, a few batches ahead, in constant memory."""

    def __init__(self, store: Store, rows: Sequence[ManifestRow], workers: int) -> None:
        self._paths = [store.clip_path(row.clip_id) for row in rows]
        self._workers = max(1, workers)

    def read(self, batches: Iterable[Sequence[Sample]]) -> Iterator[Tensor]:
        """Yield the frames of each batch, uint8 [B, T, H, W, 3], in main memory."""
        pool = ThreadPoolExecutor(self._workers)
        try:
            queue: list[list[Future[NDArray[np.uint8]]]] = []
            for batch in batches:
                queue.append([pool.submit(read_clip, self._paths[clip], frames) for clip, frames in batch])
                if len(queue) > _BATCHES_AHEAD:
                    yield _stack(queue.pop(0))
            while queue:
                yield _stack(queue.pop(0))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def crop_bytes(store: Store, rows: Sequence[ManifestRow]) -> int:
    """Return the memory that the decoded crops of clips take, in bytes."""
    return sum(row.num_frames for row in rows) * store.info.crop_size**2 * 3


def choose_location(needed: float, *, memory_bytes: float, device_bytes: float = 0.0) -> CropLocation:
    """Return the fastest place for the decoded crops that has room for them.

    Args:
        needed: bytes of all decoded crops.
        memory_bytes: what they may take of main memory.
        device_bytes: what they may take of the device's own memory, 0 without one.
    """
    if needed <= device_bytes:
        return "device"
    return "memory" if needed <= memory_bytes else "stream"


class ClipLoader:
    """Loads batches of a fixed list of clips onto a device, while the batch before is computed on.

    Args:
        store: the store that holds the crops.
        rows: the clips, all of status "ok".
        num_frames: T.
        segments: see `dfer.batches.sample_frames`.
        batch_size: clips in a batch; the last one may be smaller.
        device: the device that the batches are loaded onto.
        location: where the decoded crops lie, see `choose_location`.
        workers: number of decoding threads.
        epoch_share: share of the clips in a shuffled epoch.
        portions: how often a shuffled epoch sees which clips; None for every clip once.
        accumulate: number of parts in which a process computes a batch of a shuffled epoch.
        unit: clips that stay together in a part, 2 where clips are mixed in pairs.
        rank: this process among those that share each batch of a shuffled epoch, from 0.
        world_size: number of those processes.
        on_load: called with the number of crops decoded so far and their total; never for streamed crops.

    Attributes:
        waited_s: time that the current shuffled epoch has spent waiting for frames, seconds.

    Raises:
        DataError: the store does not hold what its manifest says.
        torch.OutOfMemoryError: the device has no room for the crops.
    """

    def __init__(
        self,
        store: Store,
        rows: Sequence[ManifestRow],
        *,
        num_frames: int,
        segments: int,
        batch_size: int,
        device: torch.device,
        location: CropLocation,
        workers: int,
        epoch_share: float = 1.0,
        portions: Sequence[Portion] | None = None,
        accumulate: int = 1,
        unit: int = 1,
        rank: int = 0,
        world_size: int = 1,
        on_load: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self.rows, self.waited_s = rows, 0.0
        self._lengths, self._num_frames, self._segments = [row.num_frames for row in rows], num_frames, segments
        self._batch_size, self._device = batch_size, device
        self._portions = portions
        epoch_clips = len(rows) if portions is None else sum(map(portion_size, portions))
        self._epoch_clips = max(1, round(epoch_share * epoch_clips))
        self._accumulate, self._unit, self._rank, self._world_size = accumulate, unit, rank, world_size
        self._crops: ResidentCrops | StreamedCrops
        if location == "stream":
            self._crops = StreamedCrops(store, rows, workers)
        else:
            held = device if location == "device" else torch.device("cpu")
            self._crops = ResidentCrops(store, rows, held, workers, on_load)

    def __len__(self) -> int:
        """The number of batches of a shuffled epoch."""
        return -(-self._epoch_clips // self._batch_size)

    def shuffled(self, seed: Sequence[int], *, start: int = 0) -> Iterator[tuple[list[ManifestRow], Parts]]:
        """Yield the clips of each batch of an epoch, and this process's parts of it; each part must be taken.

        A part without clips, of a process that has fewer than the others, comes with frames of the batch's first
        clips all the same: it can take part in what the processes compute together.

        Args:
            seed: what the epoch's order depends on, such as (seed, epoch).
            start: number of batches to skip.
        """
        self.waited_s = 0.0
        order = shuffled_order(self._lengths, self._num_frames, self._segments, seed, self._portions)
        batches = self._batches(order[: self._epoch_clips])[start:]
        splits = [
            split_batch(len(batch), self._accumulate, self._unit, rank=self._rank, world_size=self._world_size)
            for batch in batches
        ]
        parts = [
            batch[part] or batch[: self._unit] for batch, split in zip(batches, splits, strict=True) for part in split
        ]
        frames = prefetch(self._crops.read(parts), self._device)
        for batch, split in zip(batches, splits, strict=True):
            yield [self.rows[clip] for clip, _ in batch], self._timed(split, frames)

    def in_order(self) -> Parts:
        """Yield batches of all clips in their order, with centred frames: which clips, uint8 [B, T, H, W, 3].

        If all clips are stills, T is 1.
        """
        batches = self._batches(fixed_order(self._lengths, self._num_frames, self._segments))
        done = 0
        for frames in prefetch(self._crops.read(batches), self._device):
            yield slice(done, done + len(frames)), frames
            done += len(frames)

    def _batches(self, order: list[Sample]) -> list[list[Sample]]:
        return [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]

    def _timed(self, split: list[slice], frames: Iterator[Tensor]) -> Parts:
        for part in split:
            asked = time.monotonic()
            loaded = next(frames)
            self.waited_s += time.monotonic() - asked
            yield part, loaded


def _stack(futures: list[Future[NDArray[np.uint8]]]) -> Tensor:
    return torch.from_numpy(np.stack([future.result() for future in futures]))
