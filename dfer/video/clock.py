"""The clock of a video: timestamps in display order, and the repair of those that cannot be right.

Joined recordings begin again at zero, cameras set their clock, and damage gives single frames any time. The order of
the stream is the order of the frames, whatever their timestamps say.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.runtime.formatting import pluralize

Times = NDArray[np.float64]

_MAX_REORDER = 16  # frames by which B-frames may move a packet from its place in the display order
_PAUSE_S, _PAUSE_STEPS = 0.5, 20  # from this gap on, seconds and usual steps, timestamps may be wrong
_MAX_JUMP_S = 24 * 3600.0
_STRAY_FRAMES = 8  # more in a row are no strays
_STRAY_BACK_STEPS, _STRAY_BACK_S = (
    4,
    0.5,
)  # how far apart a stray's neighbours may be, per frame between them and in all


class Stamps(NamedTuple):
    """The timestamps of a stream's packets, in stream order.

    Attributes:
        times_s: float64 [N], seconds; NaN where there is none.
        key: bool [N], whether the packet is a key frame.
    """

    times_s: Times
    key: NDArray[np.bool_]


def display_order(stamps: Stamps) -> NDArray[np.int64] | None:
    """Return the packets' numbers in order of display, or None if the timestamps do not show it beyond doubt."""
    times = stamps.times_s
    if len(times) == 0 or not np.isfinite(times).all():
        return None
    order = np.argsort(times, kind="stable")
    steps = np.diff(times[order])
    latest = np.maximum.accumulate(times)
    doubtful = (
        (steps <= 0).any()
        or (np.abs(order - np.arange(len(order))) > _MAX_REORDER).any()
        # A key frame is displayed after all that come before it in the stream.
        or (stamps.key[1:] & (times[1:] < latest[:-1])).any()
        or (len(steps) > 0 and steps.max() > max(_PAUSE_S, _PAUSE_STEPS * float(np.median(steps))))
    )
    return None if doubtful else order


def repair_times(times_s: Times, step_s: float) -> tuple[Times, list[str]]:
    """Return times that increase strictly from 0, and what had to be repaired.

    Args:
        times_s: float64 [N], in order of display; NaN where unknown.
        step_s: the nominal time from frame to frame, seconds.
    """
    times = times_s.copy()
    if not np.isfinite(times).any():
        return np.arange(len(times), dtype=np.float64) * float(step_s), []
    strays = _drop_strays(times, step_s)
    missing = int(np.isnan(times).sum()) - strays
    known = np.flatnonzero(~np.isnan(times))
    back, jumps = _close_up(times, known, step_s)
    if len(known) < len(times):
        times = _fill(times, known, step_s)
    notes = []
    if back:
        times_back = pluralize(back, "time")
        notes.append(f"timestamps step back {times_back}, as in joined recordings: the parts are put one after another")
    if jumps:
        notes.append(f"timestamps jump by more than a day {pluralize(jumps, 'time')}: the gaps are closed")
    if strays:
        notes.append(f"{pluralize(strays, 'timestamp')} far from the neighbours': interpolated")
    if missing:
        notes.append(f"{pluralize(missing, 'frame')} without a timestamp: interpolated")
    return _spread(np.asarray(times - times[0], np.float64), step_s), notes


def _drop_strays(times: Times, step_s: float) -> int:
    """Set timestamps to NaN that lead away from their neighbours' time and back again; return their number."""
    count = 0
    jumps = np.flatnonzero(_is_break(np.diff(times)) | (np.diff(times) > _PAUSE_S + _PAUSE_STEPS * step_s)) + 1
    for n in jumps.tolist():
        if np.isnan(times[n]) or np.isnan(times[n - 1]):
            continue
        for length in range(1, _STRAY_FRAMES + 1):
            if n + length >= len(times):
                break
            left = times[n + length] - times[n - 1]
            inside = times[n : n + length]
            if 0 < left <= _STRAY_BACK_S + (length + 1) * _STRAY_BACK_STEPS * step_s and (
                (inside <= times[n - 1]).all() or (inside >= times[n + length]).all()
            ):
                times[n : n + length] = np.nan
                count += length
                break
    return count


def _is_break(steps: Times) -> NDArray[np.bool_]:
    return (steps < 0) | (steps > _MAX_JUMP_S)


def _close_up(times: Times, known: NDArray[np.int64], step_s: float) -> tuple[int, int]:
    """Let each part follow the one before; return how often the clock stepped back and how often it jumped."""
    steps = np.diff(times[known])
    back, jumps = steps < 0, steps > _MAX_JUMP_S
    if back.any() or jumps.any():
        steps[back | jumps] = step_s
        times[known[1:]] = times[known[0]] + np.cumsum(steps)
    return int(back.sum()), int(jumps.sum())


def _fill(times: Times, known: NDArray[np.int64], step_s: float) -> Times:
    """Interpolate unknown times, and continue the known ones by the nominal step at both ends."""
    places = np.arange(len(times))
    filled = np.interp(places, known, times[known])
    filled -= np.maximum(known[0] - places, 0) * step_s
    return np.asarray(filled + np.maximum(places - known[-1], 0) * step_s)


def _spread(times: Times, step_s: float) -> Times:
    """Spread frames that share a timestamp over the time up to the next one."""
    distinct, first = np.unique(times, return_index=True)
    if len(distinct) == len(times):
        return times
    last = distinct[-1] + (len(times) - first[-1]) * step_s
    ends = np.append(distinct, last)
    return np.asarray(np.interp(np.arange(len(times)), np.append(first, len(times)), ends), np.float64)
