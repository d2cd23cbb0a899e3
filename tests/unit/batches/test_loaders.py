"""The loader: the same batches wherever the crops lie, in parts, from any step."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from dfer.batches.crops import CropLocation, ResidentCrops, SharedMemory, choose_location, crop_bytes
from dfer.batches.loaders import ClipLoader
from dfer.batches.sampling import sample_frames
from dfer.errors import DataError
from dfer.store import Store, read_clip
from tests.stores import small_store

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "store", clips_per_class=3, num_frames=9)


def loader(store: Store, location: CropLocation = "memory", **changes: Any) -> ClipLoader:
    settings = {"num_frames": 4, "segments": 2, "batch_size": 4, "workers": 2, "device": torch.device("cpu")}
    return ClipLoader(store, store.rows, location=location, **settings | changes)


def epoch(loader: ClipLoader, **options: Any) -> list[tuple[list[str], list[tuple[slice, Tensor]]]]:
    batches = loader.shuffled([0, 1], **options)
    return [([row.clip_id for row in rows], list(parts)) for rows, parts in batches]


@pytest.mark.parametrize("location", get_args(CropLocation))
def test_every_location_gives_the_centred_frames_in_order(store: Store, location: CropLocation) -> None:
    frames = sample_frames(9, 4, 2)
    batches = list(loader(store, location).in_order())
    assert [clips for clips, _ in batches] == [slice(0, 4), slice(4, 8), slice(8, 9)]
    for clips, batch in batches:
        expected = [read_clip(store.clip_path(row.clip_id), frames) for row in store.rows[clips]]
        assert batch.dtype == torch.uint8
        assert np.array_equal(batch.numpy(), np.stack(expected))


@pytest.mark.parametrize("location", get_args(CropLocation))
def test_every_location_gives_the_same_shuffled_epoch(store: Store, location: CropLocation) -> None:
    ours, theirs = epoch(loader(store, location)), epoch(loader(store))
    assert sorted(clip for clips, _ in ours for clip in clips) == sorted(row.clip_id for row in store.rows)
    for (clips, parts), (others, their_parts) in zip(ours, theirs, strict=True):
        assert clips == others
        assert torch.equal(parts[0][1], their_parts[0][1])


def test_an_epoch_continues_at_any_batch(store: Store) -> None:
    whole, rest = epoch(loader(store)), epoch(loader(store), start=1)
    assert len(loader(store)) == len(whole) == 3
    assert [clips for clips, _ in rest] == [clips for clips, _ in whole[1:]]
    assert torch.equal(rest[0][1][0][1], whole[1][1][0][1])


def test_a_share_of_the_clips_is_another_one_each_epoch(store: Store) -> None:
    part = loader(store, epoch_share=0.5)
    assert len(part) == 1
    first, second = ({row.clip_id for row in rows} for seed in (1, 2) for rows, _ in part.shuffled([seed]))
    assert len(first) == len(second) == 4
    assert first != second


@pytest.mark.parametrize("location", ["memory", "stream"])
def test_the_parts_of_all_processes_make_up_the_batch(store: Store, location: CropLocation) -> None:
    whole = epoch(loader(store, location))
    shares = [epoch(loader(store, location, accumulate=2, rank=rank, world_size=2)) for rank in range(2)]
    for number, (clips, ((_, frames),)) in enumerate(whole):
        assert all(share[number][0] == clips for share in shares)
        parts = [part for share in shares for part in share[number][1]]
        assert len({len(share[number][1]) for share in shares}) == 1
        for place, part in parts:
            assert torch.equal(part, frames[place] if frames[place].numel() else frames[:1])
        assert sum(place.stop - place.start for place, _ in parts) == len(clips)


def test_waiting_is_counted_per_epoch(store: Store) -> None:
    resident = loader(store)
    epoch(resident)
    first = resident.waited_s
    assert first > 0
    next(resident.shuffled([0]))  # no part of it was taken yet
    assert resident.waited_s == 0


@pytest.mark.parametrize(
    ("device_bytes", "memory_bytes", "expected"),
    [(100, 0, "device"), (99, 100, "memory"), (0, 100, "memory"), (99, 99, "stream")],
)
def test_the_location_is_chosen_by_the_memory_that_crops_need(
    device_bytes: int, memory_bytes: int, expected: str
) -> None:
    assert choose_location(100, device_bytes=device_bytes, memory_bytes=memory_bytes) == expected


def test_loading_reports_how_far_it_is(store: Store) -> None:
    reported: list[tuple[int, int]] = []
    loader(store, on_load=lambda *counts: reported.append(counts))
    total = crop_bytes(store, store.rows) // (store.info.crop_size**2 * 3)
    assert reported == [(9 * (number + 1), total) for number in range(len(store.rows))]


def test_threads_that_load_use_the_gpu_of_their_process(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crops lie in main memory in place of a GPU that is not there."""
    used: list[tuple[torch.device, bool]] = []
    here = threading.current_thread()
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: used.append((device, threading.current_thread() is here))
    )
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, **options: empty(*size, **options | {"device": CPU}))
    ResidentCrops(store, store.rows, torch.device("cuda", 3), workers=2)
    assert used
    assert set(used) == {(torch.device("cuda", 3), False)}


@pytest.mark.parametrize("location", ["memory", "stream"])
def test_damaged_crops_are_reported_with_their_name(tmp_path: Path, location: CropLocation) -> None:
    store = small_store(tmp_path / "store", clips_per_class=2, num_frames=9)
    store.clip_path("c3").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"c3\.zip"):
        list(loader(store, location).in_order())


def test_processes_load_shared_crops_together(store: Store) -> None:
    """Each decodes every second clip, and all read all of them."""
    alone = ResidentCrops(store, store.rows, CPU, workers=1)
    memory = torch.zeros(alone.crops.numel(), dtype=torch.uint8)
    reported: list[int] = []
    shared = [
        ResidentCrops(
            store, store.rows, CPU, 1, lambda done, _: reported.append(done), memory=SharedMemory(memory, place, 2)
        )
        for place in range(2)
    ]
    assert sum(done == 9 for done in reported) == 2, "each begins with a clip of its own"
    assert all(torch.equal(crops.crops, alone.crops) for crops in shared)
    assert shared[0].crops.data_ptr() == shared[1].crops.data_ptr() == memory.data_ptr()
