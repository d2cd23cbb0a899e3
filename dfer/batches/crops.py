"""The decoded crops of clips: on the device, in main memory, or nowhere, decoded when they are needed.

Shape letters: B clips, T frames, H x W pixels of a crop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.sampling import Sample
from dfer.errors import DataError
from dfer.runtime.device import use_device
from dfer.runtime.transfer import host_empty, upload
from dfer.store import Store, read_clip
from dfer.store.manifest import ManifestRow
from dfer.store.reading import ClipIndex, index_clip

CropLocation = Literal["device", "memory", "stream"]
_BATCHES_AHEAD = 3


class SharedMemory(NamedTuple):
    """Main memory that several processes share.

    Attributes:
        bytes: uint8 [N], as many as the crops have.
        place: of this process among them, from 0.
        processes: their number. All must have loaded their clips before one reads.
    """

    bytes: Tensor
    place: int
    processes: int


class ResidentCrops:
    """All crops decoded beforehand, in one flat tensor on the device or in main memory.

    Args:
        store: the store that holds the crops.
        rows: the clips, all of status "ok"; samples refer to them by number.
        device: the device that holds the tensor.
        workers: number of decoding threads.
        on_load: called with the number of crops loaded so far and their total.
        memory: shared by several processes, each of which decodes some of the clips; None for memory of its own.

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
        memory: SharedMemory | None = None,
    ) -> None:
        self.starts = np.concatenate([[0], np.cumsum([row.num_frames for row in rows])]).astype(np.int64)
        size = store.info.crop_size
        shape = (int(self.starts[-1]), size, size, 3)
        if memory is None:
            self.crops = torch.empty(*shape, dtype=torch.uint8, device=device)
        else:
            self.crops = memory.bytes.view(shape)
        own = range(len(rows)) if memory is None else range(memory.place, len(rows), memory.processes)

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
                for count in pool.map(load, own):
                    done += count
                    on_load(done, len(self.crops))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def read(self, batches: Sequence[Sequence[Sample]], device: torch.device) -> Iterator[Tensor]:
        """Yield the frames of each batch, uint8 [B, T, H, W, 3], where the crops lie.

        Args:
            batches: all batches of an epoch: the places of their crops are brought to the device at once.
            device: where the frames will be needed; for a GPU, they are gathered in memory that it can read.
        """
        places = [np.stack([self.starts[clip] + frames for clip, frames in batch]) for batch in batches]
        indices = upload([torch.from_numpy(np.concatenate(places))], self.crops.device)[0] if places else None
        there = self.crops.device.type == device.type
        for index in () if indices is None else indices.split([len(batch) for batch in batches]):
            shape = [index.numel(), *self.crops.shape[1:]]
            target = None if there else host_empty(shape, self.crops.dtype, device=device)
            frames = torch.index_select(self.crops, 0, index.flatten(), out=target)
            yield frames.view(*index.shape, *shape[1:])


class StreamedCrops:
    """Crops decoded when they are needed, a few batches ahead, in constant memory."""

    def __init__(self, store: Store, rows: Sequence[ManifestRow], workers: int) -> None:
        self._paths = [store.clip_path(row.clip_id) for row in rows]
        self._workers, self._size = max(1, workers), store.info.crop_size
        self._indices: dict[int, ClipIndex] = {}  # found when a clip is first read

    def read(self, batches: Sequence[Sequence[Sample]], device: torch.device) -> Iterator[Tensor]:
        """Yield the frames of each batch, uint8 [B, T, H, W, 3], in main memory, which a GPU `device` can read."""
        pool = ThreadPoolExecutor(self._workers)
        try:
            queue: list[tuple[Tensor, list[Future[None]]]] = []
            for batch in batches:
                queue.append(self._submit(pool, batch, device))
                if len(queue) > _BATCHES_AHEAD:
                    yield _finished(*queue.pop(0))
            while queue:
                yield _finished(*queue.pop(0))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self, pool: ThreadPoolExecutor, batch: Sequence[Sample], device: torch.device
    ) -> tuple[Tensor, list[Future[None]]]:
        shape = [len(batch), len(batch[0][1]), self._size, self._size, 3]
        frames = host_empty(shape, torch.uint8, device=device)
        slots = frames.numpy()
        return frames, [
            pool.submit(self._decode, slot, clip, chosen) for slot, (clip, chosen) in zip(slots, batch, strict=True)
        ]

    def _decode(self, slot: NDArray[np.uint8], clip: int, chosen: NDArray[np.int64]) -> None:
        index = self._indices.get(clip)
        if index is None:
            index = self._indices[clip] = index_clip(self._paths[clip])
        read_clip(self._paths[clip], chosen, index=index, out=slot)


def _finished(frames: Tensor, futures: Sequence[Future[None]]) -> Tensor:
    for future in futures:
        future.result()
    return frames


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
