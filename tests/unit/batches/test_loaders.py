"""Frame sampling, plans and feeds."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.batches.loaders import FeedKind, ResidentFeed, build_feed, choose_feed, crop_bytes
from dfer.batches.prefetch import one_ahead
from dfer.batches.sampling import cut, evaluation_plan, in_batches, sample_frames, training_plan
from dfer.errors import DataError
from dfer.store import Store, read_clip
from tests.stores import small_store


@pytest.mark.parametrize("random", [False, True], ids=["centred", "random"])
@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 31, 77, 847])
def test_frames_are_ascending_and_inside_the_clip(length: int, random: bool) -> None:
    for seed in range(20):
        chosen = sample_frames(length, 16, 8, np.random.default_rng(seed) if random else None)
        assert chosen.shape == (16,)
        assert (np.diff(chosen) >= 0).all()
        assert chosen.min() >= 0
        assert chosen.max() < length


def test_a_clip_of_just_the_frames_is_taken_as_it_is() -> None:
    assert sample_frames(16, 16, 8).tolist() == list(range(16))
    assert sample_frames(16, 16, 8, np.random.default_rng(0)).tolist() == list(range(16))


def test_each_segment_gives_consecutive_frames_from_its_own_part() -> None:
    chosen = sample_frames(80, 16, 8, np.random.default_rng(3)).reshape(8, 2)
    assert (chosen[:, 1] == chosen[:, 0] + 1).all()
    assert (chosen[:, 0] // 10 == np.arange(8)).all()
    assert (chosen[:, 1] // 10 == np.arange(8)).all()


def test_centred_frames_lie_in_the_middle_of_each_segment() -> None:
    assert sample_frames(80, 16, 8).reshape(8, 2)[:, 0].tolist() == [4, 14, 24, 34, 44, 54, 64, 74]


def test_short_clips_repeat_every_frame_about_as_often() -> None:
    counts = np.bincount(sample_frames(5, 16, 8))
    assert len(counts) == 5
    assert counts.max() - counts.min() <= 1


def test_random_frames_cover_the_whole_clip() -> None:
    seen = {int(i) for seed in range(300) for i in sample_frames(40, 16, 8, np.random.default_rng(seed))}
    assert seen == set(range(40))


def test_a_plan_depends_on_its_seed_alone() -> None:
    lengths = list(range(10, 60))

    def plan(*seed: int) -> list[tuple[int, list[int]]]:
        return [(clip, frames.tolist()) for clip, frames in training_plan(lengths, 16, 8, seed)]

    assert plan(0, 1) == plan(0, 1)
    assert plan(0, 1) != plan(0, 2)
    assert sorted(clip for clip, _ in plan(0, 1)) == list(range(50))
    assert [clip for clip, _ in evaluation_plan(lengths, 16, 8)] == list(range(50))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return small_store(tmp_path / "store", clips_per_class=2, num_frames=9)


def test_all_feeds_give_the_same_batches(store: Store) -> None:
    plan = in_batches(training_plan([row.num_frames for row in store.rows], 4, 2, (0,)), 3)
    resident = list(build_feed(store, store.rows, kind="memory", workers=2).batches(plan))
    device = torch.device("cpu")
    on_the_device = list(build_feed(store, store.rows, kind="device", workers=1, device=device).batches(plan))
    stream = list(build_feed(store, store.rows, kind="stream", workers=2).batches(plan))
    assert [len(batch) for batch in stream] == [3, 3]
    for part, ours, theirs, third in zip(plan, resident, stream, on_the_device, strict=True):
        expected = [read_clip(store.clip_path(store.rows[clip].clip_id), frames) for clip, frames in part]
        for batch in (ours, theirs, third):
            assert batch.dtype == torch.uint8
            assert np.array_equal(batch.numpy(), np.stack(expected))


@pytest.mark.parametrize(
    ("device_bytes", "memory_bytes", "expected"),
    [(100, 0, "device"), (99, 100, "memory"), (0, 100, "memory"), (99, 99, "stream")],
)
def test_a_feed_is_chosen_by_the_memory_it_needs(device_bytes: int, memory_bytes: int, expected: str) -> None:
    assert choose_feed(100, device_bytes=device_bytes, memory_bytes=memory_bytes) == expected


def test_a_resident_feed_tells_how_loading_goes(store: Store) -> None:
    told: list[tuple[int, int]] = []
    feed = build_feed(store, store.rows, kind="memory", workers=2, on_load=lambda *counts: told.append(counts))
    total = crop_bytes(store, store.rows) // (store.info.crop_size**2 * 3)
    assert told == [(9 * (number + 1), total) for number in range(len(store.rows))]
    assert isinstance(feed, ResidentFeed)
    assert feed.crops.numel() == crop_bytes(store, store.rows)


@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_damaged_crops_end_a_feed_with_the_name(store: Store, kind: FeedKind) -> None:
    store.clip_path("c3").write_bytes(b"rubbish")
    plan = in_batches(evaluation_plan([row.num_frames for row in store.rows], 4, 2), 2)
    with pytest.raises(DataError, match=r"c3\.zip"):
        list(build_feed(store, store.rows, kind=kind, workers=2).batches(plan))


def test_the_next_batch_is_worked_on_while_this_one_is_used() -> None:
    worked: list[int] = []
    arrived = threading.Event()

    def work(frames: torch.Tensor) -> torch.Tensor:
        worked.append(int(frames))
        if len(worked) == 2:
            arrived.set()
        return frames * 10

    batches = one_ahead(iter([torch.tensor(n) for n in range(4)]), work)
    assert int(next(batches)) == 0
    assert arrived.wait(5), "nobody works on the next batch"
    assert [int(frames) for frames in batches] == [10, 20, 30]


def test_an_error_of_the_thread_that_works_ahead_arrives() -> None:
    def fail(_frames: torch.Tensor) -> torch.Tensor:
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        list(one_ahead(iter([torch.zeros(1)]), fail))


@pytest.mark.parametrize("count", [1, 2, 5, 8, 31])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("unit", [1, 2])
def test_cutting_neither_repeats_nor_drops(count: int, parts: int, unit: int) -> None:
    pieces = cut(count, parts, unit)
    assert len(pieces) == parts
    assert [item for piece in pieces for item in range(count)[piece]] == list(range(count))
    assert all(piece.start % unit == 0 for piece in pieces if piece.start < count)
    sizes = [piece.stop - piece.start for piece in pieces]
    assert max(sizes) - min(sizes) <= 2 * unit - 1
