"""Where the decoded crops of a fold lie while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dfer.batches.loaders import DEVICE_SHARE, Feed, FeedKind, build_feed, choose_feed, crop_bytes
from dfer.errors import DferError
from dfer.recipe import TrainSection
from dfer.runtime.device import free_device_memory
from dfer.runtime.machine import free_memory_bytes, usable_cores
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.training.distributed import Peers


@dataclass(frozen=True)
class Feeds:
    """The clips of a fold, open for reading.

    Attributes:
        kind: where the decoded crops lie.
        needed: bytes of all decoded crops.
        available: bytes they may take of the device and of main memory.
    """

    train: Feed
    val: Feed
    kind: FeedKind
    needed: int
    available: tuple[float, float]


def open_feeds(
    store: Store,
    train_rows: Sequence[ManifestRow],
    val_rows: Sequence[ManifestRow],
    settings: TrainSection,
    *,
    device: torch.device,
    peers: Peers,
    on_load: Callable[[int, int], None],
) -> Feeds:
    """Open the clips as the recipe says; by default in the fastest way that the free memory allows.

    Args:
        val_rows: those that this process validates on.
        settings: `feed`, `memory_gb` and `workers`.
        device: the training device.
        peers: each process on this machine holds its own copy, and takes its share of the cores.
        on_load: called with the crops decoded so far and all.

    Raises:
        DferError: the device has no room for what the recipe puts there.
    """
    needed = crop_bytes(store, [*train_rows, *val_rows])
    memory = settings.memory_gb * 1e9 if settings.memory_gb else free_memory_bytes() / 3
    available = DEVICE_SHARE * free_device_memory(device), memory / peers.local_count
    # All processes must go the same way, or the slowest sets the pace without a word.
    room = min(peers.from_all(available[0])), min(peers.from_all(available[1]))
    kind = settings.feed
    if kind == "auto":
        kind = choose_feed(max(peers.from_all(needed)), device_bytes=room[0], memory_bytes=room[1])
    workers = settings.workers or max(1, usable_cores() // peers.local_count)
    total = sum(row.num_frames for row in [*train_rows, *val_rows])

    def opened(rows: Sequence[ManifestRow], before: int) -> Feed:
        return build_feed(
            store, rows, kind=kind, workers=workers, device=device,
            on_load=lambda done, _total: on_load(before + done, total),
        )  # fmt: skip

    try:
        train = opened(train_rows, 0)
        val = opened(val_rows, sum(row.num_frames for row in train_rows))
    except torch.OutOfMemoryError as error:
        raise DferError(
            f"the decoded crops need {needed / 1e9:.1f} GB, which the device does not have",
            where=str(device),
            hint="train.feed=auto chooses a place that has room",
        ) from error
    return Feeds(train, val, kind, needed, room)


def describe_feed(feeds: Feeds) -> str:
    """One line: where the clips lie, and the sizes that decided it."""
    where = {
        "device": "decoded on the device",
        "memory": "decoded in memory",
        "stream": "streamed from the store",
    }[feeds.kind]
    device, memory = (f"{size / 1e9:.1f} GB" for size in feeds.available)
    room = f"{memory} of main memory" + (f" and {device} of the device" if feeds.available[0] else "")
    return f"{where}: {feeds.needed / 1e9:.1f} GB decoded, room for {room}"
