"""A store's report: choose the clips to show, read their crops and frames, draw the page.

The report depends only on the store and the raw data set, byte for byte: not on the clock, the machine, the place
of the folders or the number of workers. So the random clips are chosen by a hash of their names.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.batches.sampling import evenly_spread
from dfer.errors import DferError
from dfer.names import text_name
from dfer.reports.store import CROPS_SHOWN, FRAMES_SHOWN, ShownClip, draw_store_report, write_store_files
from dfer.runtime.workers import run_tasks
from dfer.store import Store, open_store, read_clip, read_clip_record
from dfer.store.manifest import ManifestRow
from dfer.video import open_frames

logger = logging.getLogger(__name__)

NUM_RANDOM, NUM_WORST, NUM_FAILED = 24, 12, 12
SHOWN_FAILURES = ("no_face", "too_short", "unreadable")  # in turn; of missing clips there is nothing to show
READABLE = ("no_face", "too_short")  # their sources were decoded once
PREVIEW_FRAMES = 1500  # a failed source is shown from its beginning: it may be hours long
PREVIEW_HEIGHT = 192  # pixels
PREVIEW_TIMEOUT_S = 120.0


def write_store_report(root: Path, raw: Path | None = None, notices: Sequence[str] = ()) -> Path | None:
    """Write `report.html` and `contact_sheets/*.png` into a finished store.

    Args:
        root: the store.
        raw: the raw data set, whose failed clips are shown where they can be read; None shows only their reasons.
        notices: remarks of the raw data set's reader.

    Returns:
        The page; None if it could not be drawn, which is logged: the store is complete without it.

    Raises:
        DataError: there is no finished store at `root`.
        DferError: a file cannot be written.
    """
    store = open_store(root)
    try:
        files = _draw(store, raw, notices)
    except Exception as error:  # whatever it is, it must not make hours of preprocessing fail
        logger.debug("the report of %s", root, exc_info=error)
        logger.warning("no report of the store: %s: %s", type(error).__name__, error)
        return None
    return write_store_files(root, files)


def _draw(store: Store, raw: Path | None, notices: Sequence[str]) -> dict[str, bytes]:
    ok = [row for row in store.rows if row.ok]
    failed = choose_in_turn(
        (row for row in store.rows if row.status in SHOWN_FAILURES),
        lambda row: SHOWN_FAILURES.index(row.status),
        NUM_FAILED,
    )
    worst = sorted(ok, key=lambda row: (row.detected, row.num_frames))[:NUM_WORST]
    random = choose_in_turn((row for row in ok if not row.is_soft), lambda row: row.label, NUM_RANDOM)
    shown = {
        "random": [_show_crops(store, row) for row in random],
        "worst": [_show_crops(store, row) for row in worst],
        "failed": _show_sources(failed, raw),
    }
    # Without the raw data set's folder the report is the same wherever that lies.
    notices = notices if raw is None else [notice.replace(f"{raw}/", "") for notice in notices]
    return draw_store_report(store.info, store.rows, shown, notices=notices)


def choose_in_turn(rows: Iterable[ManifestRow], kind: Callable[[ManifestRow], int], number: int) -> list[ManifestRow]:
    """Choose some rows at random but always the same, from each kind in turn as long as it has any.

    Args:
        rows: to choose from.
        kind: of a row; the choice is sorted by it.
        number: of rows at most.
    """
    of_kind: dict[int, list[ManifestRow]] = {}
    for row in rows:
        of_kind.setdefault(kind(row), []).append(row)
    shuffled = [sorted(of_kind[key], key=_hash) for key in sorted(of_kind)]
    in_turn = [row for turn in zip_longest(*shuffled) for row in turn if row is not None]
    return sorted(in_turn[:number], key=kind)


def _hash(row: ManifestRow) -> bytes:
    return hashlib.sha256(row.clip_id.encode(errors="backslashreplace")).digest()


def _show_crops(store: Store, row: ManifestRow) -> ShownClip:
    path = store.clip_path(row.clip_id)
    places = evenly_spread(row.num_frames, CROPS_SHOWN)
    try:
        crops, detected = read_clip(path, places), read_clip_record(path).detected
    except DferError as error:
        return ShownClip(row, problem=error.what)
    return ShownClip(row, list(crops), [not detected[place] for place in places])


def _show_sources(rows: Sequence[ManifestRow], raw: Path | None) -> list[ShownClip]:
    """Read frames of failed clips' sources, in workers: what failed once may crash or hang a decoder."""
    shown = {row.clip_id: ShownClip(row, problem=row.detail) for row in rows}
    readable = [row for row in rows if row.status in READABLE and row.source]
    if raw is None or not readable:
        return list(shown.values())
    base = raw if raw.is_dir() else raw.parent
    finished = run_tasks(
        partial(_read_preview, base),
        readable,
        workers=1,  # there are few of them, and each worker takes a second to start
        timeout_s=lambda _row: PREVIEW_TIMEOUT_S,
        initializer=_start_worker,
    )
    with closing(finished):
        for row, future in finished:
            try:
                shown[row.clip_id] = ShownClip(row, future.result())
            except Exception as error:
                logger.debug("frames of %s", row.source, exc_info=error)
    return list(shown.values())


def _start_worker() -> None:
    logging.getLogger("dfer").setLevel(logging.CRITICAL)  # the manifest says already what is wrong with these
    cv2.setNumThreads(1)


def _read_preview(base: Path, row: ManifestRow) -> list[NDArray[np.uint8]]:
    """Decode a few frames of a source's beginning, and shrink them."""
    source = open_frames(base / text_name(row.source))
    frames = source.iter_frames(evenly_spread(min(source.num_frames, PREVIEW_FRAMES), FRAMES_SHOWN))
    return [_shrink(frame) for _, frame in frames]


def _shrink(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = PREVIEW_HEIGHT / frame.shape[0]
    if scale >= 1:
        return frame
    size = (max(1, round(scale * frame.shape[1])), PREVIEW_HEIGHT)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
