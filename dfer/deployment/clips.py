"""The clips of a store that calibrate an int8 model, and those that measure it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.batches.sampling import evenly_spread, sample_frames
from dfer.errors import DataError
from dfer.faces.align import require_same_alignment
from dfer.model.checkpoint import CheckpointInfo
from dfer.store import Store, open_store, read_clip

CALIBRATING, MEASURING = 32, 64
_FEWEST = 4


def read_clips(
    data: Path, info: CheckpointInfo, num_frames: int
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Return clips for calibration and others for measurement, uint8 [T, S, S, 3] each, spread over the store.

    Args:
        data: the folder of a store.
        info: of the checkpoint.
        num_frames: that the model sees; longer clips give only these.

    Raises:
        DataError: it is no store, its crops were not made as the checkpoint's, or it has too few clips.
    """
    store = open_store(data)
    require_same_alignment(info.alignment, store.info.alignment, where=str(data))
    usable = [row.clip_id for row in store.rows if row.ok]
    if len(usable) < _FEWEST:
        raise DataError(f"{len(usable)} clips are too few to calibrate with: {_FEWEST} or more", where=data)
    chosen = [usable[number] for number in evenly_spread(len(usable), CALIBRATING + MEASURING)]
    every = max(len(chosen) // CALIBRATING, 2)
    clips = [_read(store, clip_id, info, num_frames) for clip_id in chosen]
    calibrating = clips[::every][:CALIBRATING]
    return _pack_stills(calibrating, num_frames), [clip for number, clip in enumerate(clips) if number % every]


def _pack_stills(clips: list[NDArray[np.uint8]], num_frames: int) -> list[NDArray[np.uint8]]:
    """Return stills as few clips: a still by itself would be the same frame `num_frames` times."""
    if any(len(clip) > 1 for clip in clips):
        return clips
    stills = np.concatenate(clips)
    return [stills[start : start + num_frames] for start in range(0, len(stills), num_frames)]


def _read(store: Store, clip_id: str, info: CheckpointInfo, num_frames: int) -> NDArray[np.uint8]:
    crops = read_clip(store.clip_path(clip_id))
    return crops if len(crops) <= num_frames else crops[sample_frames(len(crops), num_frames, info.segments)]
