"""Measure how fast clips of a store are read and decoded, a core at a time and with all cores."""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

from dfer.batches import crops
from dfer.batches.crops import StreamedCrops
from dfer.batches.sampling import shuffled_order
from dfer.bench.random_store import clip_lengths, generate_store
from dfer.runtime.device import describe_machine
from dfer.runtime.machine import usable_cores
from dfer.store import Store, reading
from dfer.store.reading import ClipIndex

SCHEMA = "dfer.bench.feed/1"
NUM_FRAMES, SEGMENTS = 16, 8
_BATCH = 32
_CPU = torch.device("cpu")


def bench_feed(
    *,
    seconds: float = 5.0,
    image_size: int = 112,
    scale: float = 0.01,
    on_step: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Read batches of 16 frames of random clips, as training does that streams them.

    Args:
        seconds: time per case.
        image_size: side of the crops, pixels.
        scale: share of DFEW's clips to generate.
        on_step: called with a line on what is done next.

    Returns:
        `dfer.bench.feed/1`: "cases" with "workers" (threads), "clips_per_s" and "core_ms", the time of a processor for
        a clip; "locked_ms", what is left of that without what lets other threads run Python meanwhile.

    Raises:
        DferError: the share is invalid.
    """
    lengths = clip_lengths(None, scale)
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as folder:
        on_step(f"generating {len(lengths):,} clips")
        store = generate_store(Path(folder) / "store", lengths, image_size)
        cases = []
        for workers in sorted({1, usable_cores()}):
            on_step(f"reading with {workers} threads")
            cases.append({"workers": workers, **_read(store, workers, seconds)})
        on_step("the same without reading and decoding")
        with _python_alone(store):
            locked = _read(store, 1, seconds)
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "clips": len(lengths),
        "num_frames": NUM_FRAMES,
        "image_size": image_size,
        "cases": cases,
        "locked_ms": locked["core_ms"],
    }


@contextmanager
def _python_alone(store: Store) -> Iterator[None]:
    """Do nothing, in the block, in place of reading, checksums and decoding, all of which release Python's lock."""
    contents = {path: path.read_bytes() for path in (store.clip_path(row.clip_id) for row in store.rows)}
    blank = np.zeros((store.info.crop_size, store.info.crop_size, 3), np.uint8)
    index_clip = reading.index_clip

    def unchecked(path: Path) -> ClipIndex:
        index = index_clip(path)
        return replace(index, checksums=[0] * len(index.checksums))

    def pieces(path: Path, index: ClipIndex, numbers: Sequence[int]) -> dict[int, tuple[bytes, int]]:
        return {number: (contents[path], index.starts[number]) for number in numbers}

    def nothing(*_: Any, **__: Any) -> Any:
        return blank

    with ExitStack() as stack:
        for owner, name, stand_in in (
            (cv2, "imdecode", nothing), (cv2, "cvtColor", nothing), (zlib, "crc32", lambda _: 0),
            (reading, "_read_pieces", pieces), (crops, "index_clip", unchecked),
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        yield


def _read(store: Store, workers: int, seconds: float) -> dict[str, float]:
    streamed = StreamedCrops(store, store.rows, workers)
    lengths = [row.num_frames for row in store.rows]
    for _ in streamed.read(_batches(lengths, 0), _CPU):  # remembers where the crops lie
        pass
    begun, worked, clips, epoch = time.perf_counter(), time.process_time(), 0, 1
    while time.perf_counter() - begun < seconds:
        for frames in streamed.read(_batches(lengths, epoch), _CPU):
            clips += len(frames)
        epoch += 1
    spent, worked = time.perf_counter() - begun, time.process_time() - worked
    return {"clips_per_s": clips / spent, "core_ms": 1000 * worked / clips}


def _batches(lengths: list[int], epoch: int) -> list[Any]:
    order = shuffled_order(lengths, NUM_FRAMES, SEGMENTS, [epoch])
    return [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
