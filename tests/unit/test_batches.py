"""Frame sampling, plans and feeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.batches import MemoryFeed, StreamFeed, build_feed, evaluation_plan, sample_frames, training_plan
from dfer.store import Store
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


def test_both_feeds_give_the_same_batches(store: Store) -> None:
    plan = training_plan([row.num_frames for row in store.rows], 4, 2, (0,))
    memory = list(MemoryFeed(store, store.rows, 2).batches(plan, 3))
    stream = list(StreamFeed(store, store.rows, 2).batches(plan, 3))
    assert [batch.shape[0] for batch in memory] == [batch.shape[0] for batch in stream]
    assert sum(batch.shape[0] for batch in memory) == len(store.rows)
    for ours, theirs in zip(memory, stream, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()


def test_a_feed_is_chosen_by_the_memory_it_needs(store: Store) -> None:
    needed = sum(row.num_frames for row in store.rows) * store.info.crop_size**2 * 3
    assert isinstance(build_feed(store, store.rows, memory_bytes=needed, workers=1), MemoryFeed)
    assert isinstance(build_feed(store, store.rows, memory_bytes=needed - 1, workers=1), StreamFeed)
