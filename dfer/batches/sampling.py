"""Which frames of which clips, in which order.

Training, evaluation and prediction all choose frames here. An epoch's order depends on its seed alone: a run resumed in
the middle of an epoch goes on exactly as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def sample_frames(
    clip_length: int, num_frames: int, segments: int, rng: np.random.Generator | None = None
) -> NDArray[np.int64]:
    """Choose frames: equal segments of the clip, each giving consecutive frames.

    A clip shorter than `num_frames` repeats frames, so none is ever dropped; one of just `num_frames` frames
    is taken as it is.

    Args:
        clip_length: frames in the clip, at least 1.
        num_frames: T, frames to choose.
        segments: parts of the clip; must divide T.
        rng: chooses the place within each segment (training); None takes its centre (testing).

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


Plan = Sequence[tuple[int, NDArray[np.int64]]]  # clips, and which frames of each


def cut(count: int, parts: int, unit: int = 1) -> list[slice]:
    """`parts` slices of nearly equal length that cover `count` things, cut between units of `unit` things alone.

    Some are empty where there are fewer units than parts.
    """
    units = -(-count // unit)
    edges = [min(count, unit * (units * number // parts)) for number in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def in_batches(plan: Plan, batch_size: int) -> list[Plan]:
    """A plan in batches; the last one may be smaller."""
    return [plan[start : start + batch_size] for start in range(0, len(plan), batch_size)]


def training_plan(lengths: Sequence[int], num_frames: int, segments: int, seed: Sequence[int]) -> Plan:
    """An epoch's clips in random order, with random frames.

    Args:
        lengths: crops in each clip.
        num_frames: T.
        segments: see `sample_frames`.
        seed: what the plan depends on, such as (seed, epoch).
    """
    rng = np.random.default_rng(list(seed))
    order = rng.permutation(len(lengths))
    return [(int(clip), sample_frames(lengths[clip], num_frames, segments, rng)) for clip in order]


def evaluation_plan(lengths: Sequence[int], num_frames: int, segments: int) -> Plan:
    """Every clip once, in order, with the centred frames."""
    return [(clip, sample_frames(length, num_frames, segments)) for clip, length in enumerate(lengths)]
