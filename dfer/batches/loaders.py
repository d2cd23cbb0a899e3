"""Load the clips of a store as batches of frames on the training device.

Decoded crops lie on the device, in main memory, or nowhere: then each batch is decoded shortly before it is needed.
All three give the same batches.

Shape letters: B clips, T frames, H x W pixels of a crop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from dfer.batches.crops import CropLocation, ResidentCrops, SharedMemory, StreamedCrops
from dfer.batches.prefetch import prefetch
from dfer.batches.sampling import Portion, Sample, fixed_order, portion_size, shuffled_order, split_batch
from dfer.store import Store
from dfer.store.manifest import ManifestRow

Parts = Iterator[tuple[slice, Tensor]]  # which clips of the batch, and their frames


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
        memory: see `ResidentCrops`; for crops in main memory.

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
        memory: SharedMemory | None = None,
    ) -> None:
        self.rows, self.waited_s = rows, 0.0
        self._lengths, self._num_frames, self._segments = [row.num_frames for row in rows], num_frames, segments
        self._batch_size, self._device, self._location = batch_size, device, location
        self._portions = portions
        epoch_clips = len(rows) if portions is None else sum(map(portion_size, portions))
        self._epoch_clips = max(1, round(epoch_share * epoch_clips))
        self._accumulate, self._unit, self._rank, self._world_size = accumulate, unit, rank, world_size
        self._crops: ResidentCrops | StreamedCrops
        if location == "stream":
            self._crops = StreamedCrops(store, rows, workers)
        else:
            held = device if location == "device" else torch.device("cpu")
            self._crops = ResidentCrops(store, rows, held, workers, on_load, memory)

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
        frames = self._read(parts)
        for batch, split in zip(batches, splits, strict=True):
            yield [self.rows[clip] for clip, _ in batch], self._timed(split, frames)

    def in_order(self) -> Parts:
        """Yield batches of all clips in their order, with centred frames: which clips, uint8 [B, T, H, W, 3].

        If all clips are stills, T is 1.
        """
        batches = self._batches(fixed_order(self._lengths, self._num_frames, self._segments))
        done = 0
        for frames in self._read(batches):
            yield slice(done, done + len(frames)), frames
            done += len(frames)

    def _batches(self, order: list[Sample]) -> list[list[Sample]]:
        return [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]

    def _read(self, batches: Sequence[list[Sample]]) -> Iterator[Tensor]:
        return prefetch(self._crops.read(batches, self._device), self._device, resident=self._location == "device")

    def _timed(self, split: list[slice], frames: Iterator[Tensor]) -> Parts:
        for part in split:
            asked = time.monotonic()
            loaded = next(frames)
            self.waited_s += time.monotonic() - asked
            yield part, loaded
