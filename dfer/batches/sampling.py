"""Choose which frames of which clips are loaded, in which order, and which process computes them.

Training, evaluation and prediction all choose frames here. An epoch's order depends only on its seed, so a run that is
resumed in the middle of an epoch continues exactly as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def sample_frames(
    clip_length: int, num_frames: int, segments: int, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Choose frames of a clip: consecutive frames from each of several equal segments.

    A clip shorter than `num_frames` repeats frames, so that none is dropped; one of exactly `num_frames` frames is
    taken as it is.

    Args:
        clip_length: frames in the clip, at least 1.
        num_frames: T, frames to choose.
        segments: number of segments; must divide T.
        rng: draws the position within each segment (training); None takes its centre (testing).

    Returns:
        int64 [T], ascending indices below `clip_length`.

    Source: LOGO-Former and Former-DFER: 8 segments of 2 consecutive frames.
    """
    if clip_length < num_frames:
        return np.arange(num_frames, dtype=np.int64) * clip_length // num_frames
    run = num_frames // segments
    edges = np.arange(segments + 1) * clip_length / segments
    low = np.floor(edges[:-1]).astype(np.int64)
    high = np.floor(edges[1:]).astype(np.int64) - run
    starts = (low + high) // 2 if rng is None else rng.integers(low, high + 1)
    return (starts[:, None] + np.arange(run)).reshape(-1).astype(np.int64)


def evenly_spread(available: int, wanted: int) -> NDArray[np.int64]:
    """Return up to `wanted` of the indices below `available`, ascending and evenly spread."""
    return np.unique(np.linspace(0, available - 1, min(wanted, available)).round().astype(np.int64))


Sample = tuple[int, NDArray[np.int64]]  # a clip's number, and which of its frames


Portion = tuple[Sequence[int], float]  # clips' numbers, and how often an epoch sees each of them


def shuffled_order(
    lengths: Sequence[int],
    num_frames: int,
    segments: int,
    seed: Sequence[int],
    portions: Sequence[Portion] | None = None,
) -> list[Sample]:
    """Return every clip once, or as often as its portion says, in random order, with random frames.

    Args:
        lengths: number of crops of each clip.
        num_frames: T.
        segments: see `sample_frames`.
        seed: what the order depends on, such as (seed, epoch).
        portions: of the clips; None for every clip once.
    """
    rng = np.random.default_rng(list(seed))
    if portions is None:
        order = rng.permutation(len(lengths))
    else:
        order = rng.permutation(np.concatenate([_draw_portion(*portion, rng) for portion in portions]))
    frames = _sample_all(np.asarray(lengths, np.int64)[order], num_frames, segments, rng)
    return list(zip(order.tolist(), frames, strict=True))


def _sample_all(
    lengths: NDArray[np.int64], num_frames: int, segments: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the frames of many clips, int64 [N, T]: those that `sample_frames` would draw for one after the other."""
    frames = np.arange(num_frames, dtype=np.int64) * lengths[:, None] // num_frames
    run, long = num_frames // segments, lengths >= num_frames
    edges = np.floor(np.arange(segments + 1) * lengths[long, None] / segments).astype(np.int64)
    starts = rng.integers(edges[:, :-1], edges[:, 1:] - run + 1)
    frames[long] = (starts[:, :, None] + np.arange(run)).reshape(-1, num_frames)
    return frames


def portion_size(portion: Portion) -> int:
    """Return the number of clips that an epoch sees of a portion, counting repeated ones."""
    clips, weight = portion
    return max(round(weight * len(clips)), min(1, len(clips)))


def _draw_portion(clips: Sequence[int], weight: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return each clip as often as the whole part of the weight says, and once more a random share of them."""
    numbers = np.asarray(clips, np.int64)
    rest = portion_size((clips, weight)) - int(weight) * len(numbers)
    return np.concatenate([np.tile(numbers, int(weight)), rng.permutation(numbers)[:rest]])


def fixed_order(lengths: Sequence[int], num_frames: int, segments: int) -> list[Sample]:
    """Return every clip once, in the given order, with the centred frames; if all are stills, a single frame of each.

    Args:
        lengths: number of crops of each clip.
        num_frames: T.
        segments: see `sample_frames`.
    """
    if all(length == 1 for length in lengths):
        return [(clip, np.zeros(1, np.int64)) for clip in range(len(lengths))]
    return [(clip, sample_frames(length, num_frames, segments)) for clip, length in enumerate(lengths)]


def split_evenly(count: int, parts: int, unit: int = 1) -> list[slice]:
    """Split `count` items into `parts` slices of nearly equal length, only between units of `unit` items.

    Some slices are empty where there are fewer units than parts.
    """
    units = -(-count // unit)
    edges = [min(count, unit * (units * number // parts)) for number in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def split_batch(size: int, accumulate: int, unit: int, *, rank: int, world_size: int) -> list[slice]:
    """Return the parts in which one process computes its share of a batch.

    All processes have the same number of parts, and no clip is in two of them; where there are fewer clips than parts,
    some are empty.

    Args:
        size: clips in the batch, over all processes.
        accumulate: number of parts that are asked for; fewer where the batch is too small.
        unit: clips that must not be separated.
        rank: the process, from 0.
        world_size: number of processes.
    """
    most = -(-size // (unit * world_size))  # units of the largest share
    share = split_evenly(size, world_size, unit)[rank]
    parts = split_evenly(share.stop - share.start, min(accumulate, most), unit)
    return [slice(share.start + part.start, share.start + part.stop) for part in parts]
