"""Generate a store of random content with the clip lengths of a real data set, to measure training without it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from dfer.errors import UsageError
from dfer.faces.align import alignment_settings
from dfer.labels import DFEW_LABELS
from dfer.records import Split
from dfer.runtime.machine import usable_cores
from dfer.store import CropRecord, DatasetInfo, Store, clip_path, open_store, write_clip, write_info
from dfer.store.manifest import ManifestRow, write_manifest
from dfer.version import __version__

DFEW_CLIPS = 11_697
DFEW_FOLD_1 = 9_356  # training clips
_MEAN_FRAMES, _MOST_FRAMES = 77, 847  # of DFEW's clips
_PATTERNS = 64
_TEST_EVERY = 5  # one clip in five is a test clip, as in DFEW


def clip_lengths(path: Path | None, scale: float) -> list[int]:
    """Return the number of frames of each clip.

    Args:
        path: CSV with a column `num_frames`, a row per clip; None for lengths like DFEW's, always the same.
        scale: share of the clips, evenly chosen.

    Raises:
        UsageError: there is no such file or column, it has fewer than two clips, or the share is invalid.
    """
    if not 0 < scale <= 1:
        raise UsageError(f"the share of the clips must be above 0 and at most 1, not {scale:g}", where="--scale")
    lengths = _drawn() if path is None else _read(path)
    wanted = max(2, round(len(lengths) * scale))
    if len(lengths) < wanted:
        raise UsageError("fewer than two clips in this file", where=path)
    return [lengths[number * len(lengths) // wanted] for number in range(wanted)]


def _drawn() -> list[int]:
    drawn = np.random.default_rng(0).lognormal(0.0, 0.6, DFEW_CLIPS)
    return [int(n) for n in (drawn * _MEAN_FRAMES / drawn.mean()).round().clip(8, _MOST_FRAMES)]


def _read(path: Path) -> list[int]:
    try:
        with path.open(newline="") as file:
            lengths = [int(row["num_frames"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError("no CSV with a column num_frames", where=path) from error
    return [length for length in lengths if length > 0]


def generate_store(root: Path, lengths: Sequence[int], size: int, *, num_folds: int = 1) -> Store:
    """Write a store, four fifths of each fold for training: smooth random crops, as large as JPEGs of faces.

    Args:
        root: the folder to write.
        lengths: number of crops of each clip.
        size: side of the crops, pixels.
        num_folds: folds; the first one tests each fifth clip, the second one the clip before, and so on.
    """
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (_PATTERNS, max(2, size // 4), max(2, size // 4), 3), np.uint8)
    patterns = [cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in coarse]
    alignment = alignment_settings(size)
    write_info(root, DatasetInfo("bench", list(DFEW_LABELS), num_folds, size, alignment, "none", "random", __version__))

    def write(number: int) -> ManifestRow:
        count, label = lengths[number], number % len(DFEW_LABELS)
        record = CropRecord(list(range(count)), [n / 25 for n in range(count)], [[0.0] * 4] * count, [True] * count)
        crops = (np.asarray(patterns[(number + 7 * n) % _PATTERNS], np.uint8) for n in range(count))
        digest = write_clip(clip_path(root, f"{number}"), crops, record)
        folds: dict[int, Split] = {
            fold: "test" if (number + fold) % _TEST_EVERY == 0 else "train" for fold in range(1, num_folds + 1)
        }
        return ManifestRow(f"{number}", label, DFEW_LABELS[label], "ok", folds, count, 25.0, sha256=digest)

    with ThreadPoolExecutor(usable_cores()) as pool:
        write_manifest(root / "manifest.csv", list(pool.map(write, range(len(lengths)))))
    return open_store(root)
