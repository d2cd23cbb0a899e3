"""Frame sampling, orders of clips, and the split of a batch over parts and processes."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.batches.sampling import (
    Portion,
    fixed_order,
    portion_size,
    sample_frames,
    shuffled_order,
    split_batch,
    split_evenly,
)


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


def test_an_order_depends_only_on_its_seed() -> None:
    lengths = list(range(10, 60))

    def order(*seed: int) -> list[tuple[int, list[int]]]:
        return [(clip, frames.tolist()) for clip, frames in shuffled_order(lengths, 16, 8, seed)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert sorted(clip for clip, _ in order(0, 1)) == list(range(50))
    assert [clip for clip, _ in fixed_order(lengths, 16, 8)] == list(range(50))


def test_portions_say_how_often_an_epoch_sees_a_clip() -> None:
    portions: list[Portion] = [(range(10), 0.5), (range(10, 14), 2.0), (range(14, 18), 1.75), (range(18, 21), 1.0)]

    def counts(*seed: int) -> list[int]:
        order = shuffled_order([9] * 21, 4, 2, seed, portions)
        assert len(order) == sum(map(portion_size, portions)) == 5 + 8 + 7 + 3
        return np.bincount([clip for clip, _ in order], minlength=21).tolist()

    half, *others = np.split(np.array(counts(0, 1)), [10, 14, 18])
    assert sorted(half) == [0] * 5 + [1] * 5
    assert [sorted(part.tolist()) for part in others] == [[2] * 4, [1, 2, 2, 2], [1] * 3]
    drawn = [counts(0, epoch)[:10] for epoch in range(40)]
    assert drawn[1] == half.tolist()
    assert min(np.sum(drawn, axis=0)) > 10, "each epoch draws another half"


def test_a_small_weight_leaves_a_clip_of_each_store() -> None:
    assert [clip for clip, _ in shuffled_order([1] * 3, 2, 1, [0], [(range(2), 0.01), ([2], 0.01)])].count(2) == 1
    assert portion_size(([], 0.5)) == 0


def test_portions_of_one_shuffle_like_the_whole_list() -> None:
    # The order that runs of earlier versions were begun with.
    order = [clip for clip, _ in shuffled_order([5] * 12, 4, 2, (3, 1, 0))]
    assert order == np.random.default_rng([3, 1, 0]).permutation(12).tolist()


def test_stills_need_a_single_frame() -> None:
    assert [frames.tolist() for _, frames in fixed_order([1, 1], 4, 2)] == [[0], [0]]
    assert [frames.tolist() for _, frames in fixed_order([1, 4], 4, 2)] == [[0, 0, 0, 0], [0, 1, 2, 3]]


@pytest.mark.parametrize("count", [1, 2, 5, 8, 31])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("unit", [1, 2])
def test_splitting_neither_repeats_nor_drops(count: int, parts: int, unit: int) -> None:
    pieces = split_evenly(count, parts, unit)
    assert len(pieces) == parts
    assert [item for piece in pieces for item in range(count)[piece]] == list(range(count))
    assert all(piece.start % unit == 0 for piece in pieces if piece.start < count)
    sizes = [piece.stop - piece.start for piece in pieces]
    assert max(sizes) - min(sizes) <= 2 * unit - 1


@pytest.mark.parametrize("unit", [1, 2])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_processes_share_every_clip_in_equally_many_parts(size: int, count: int, accumulate: int, unit: int) -> None:
    shares = [split_batch(size, accumulate, unit, rank=rank, world_size=count) for rank in range(count)]
    assert [clip for parts in shares for part in parts for clip in range(size)[part]] == list(range(size))
    assert len({len(parts) for parts in shares}) == 1
    assert all(part.start % unit == 0 for parts in shares for part in parts if part.start < part.stop)


@pytest.mark.parametrize(("num_frames", "segments"), [(16, 8), (8, 4), (4, 1), (1, 1)])
def test_an_epochs_frames_are_drawn_as_if_clip_by_clip(num_frames: int, segments: int) -> None:
    lengths = np.random.default_rng(3).integers(1, 60, 200).tolist()
    rng = np.random.default_rng([5, 6])
    expected = [(int(clip), sample_frames(lengths[clip], num_frames, segments, rng)) for clip in rng.permutation(200)]
    for (clip, frames), (same, own) in zip(
        shuffled_order(lengths, num_frames, segments, [5, 6]), expected, strict=True
    ):
        assert clip == same
        assert frames.tolist() == own.tolist()
