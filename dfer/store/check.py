"""Verify a finished store against its manifest: hashes, crops, counts and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from dfer.datasets.merge import OfficialSizes
from dfer.records import ClipRecord
from dfer.runtime.files import is_unfinished, sha256_of, write_error
from dfer.runtime.machine import usable_cores
from dfer.store.clips import UNREADABLE, open_archive, read_crop
from dfer.store.manifest import ManifestRow, contradictions
from dfer.store.store import Store, open_store

_SHOWN = 5


@dataclass
class CheckReport:
    """The findings of a check.

    Attributes:
        problems: a line each; empty for a sound store.
        damaged: files that do not belong in the store, or are damaged.
        lost: ids of clips whose crops are missing.
        num_clips: rows of the manifest.
        num_crops: crops that were decoded.
    """

    problems: list[str] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    num_clips: int = 0
    num_crops: int = 0


def check_store(
    out: Path,
    *,
    clips: Sequence[ClipRecord] | None = None,
    official: OfficialSizes | None = None,
    on_clip: Callable[[int, int], None] = lambda _done, _total: None,
) -> CheckReport:
    """Verify a store; nothing is changed.

    Every file in the manifest must have its hash and hold as many crops as the manifest says, all of the store's size,
    and there must be no other file.

    Args:
        out: the store's folder.
        clips: those of the raw data set's lists, to compare the manifest with; None if they are not at hand.
        official: the sizes of the official lists, to compare the manifest with; not applied to generated data.
        on_clip: called with (clips verified, clips to verify).

    Raises:
        DataError: there is no finished store, or its manifest cannot be read.
    """
    store = open_store(out, consistent=False)
    report = CheckReport(num_clips=len(store.rows))
    report.problems += _row_problems(store)
    if clips is not None:
        report.problems += _list_problems(store.rows, clips)
    if official is not None and not store.info.notice:
        report.problems += _size_problems(store.rows, official)
    stored = [row for row in store.rows if row.ok]
    for done, (row, found) in enumerate(_verify_all(store, stored), start=1):
        if isinstance(found, int):
            report.num_crops += found
        else:
            report.problems.append(f"{row.clip_id}: {found}")
            path = store.clip_path(row.clip_id)
            (report.damaged.append(path) if path.exists() else report.lost.append(row.clip_id))
        on_clip(done, len(stored))
    _find_unexpected_files(store, {store.clip_path(row.clip_id) for row in stored}, report)
    return report


def remove_damaged(report: CheckReport) -> None:
    """Remove the files that a check found to be damaged or unexpected.

    Raises:
        DferError: one cannot be removed.
    """
    for path in report.damaged:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(path, error) from error


def _verify_all(store: Store, rows: list[ManifestRow]) -> Iterator[tuple[ManifestRow, int | str]]:
    # Threads suffice: hashing and decoding release the interpreter lock, and disks are faster with several requests.
    threads = usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        remaining, waiting = iter(rows), dict[Future[int | str], ManifestRow]()
        try:
            while True:
                for row in islice(remaining, 4 * threads - len(waiting)):
                    waiting[pool.submit(_verify, store, row)] = row
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        finally:
            for future in waiting:
                future.cancel()


def _verify(store: Store, row: ManifestRow) -> int | str:
    """Return the number of a clip's crops, or what is wrong with them."""
    path = store.clip_path(row.clip_id)
    try:
        if sha256_of(path) != row.sha256:
            return f"{path.name} is damaged: its SHA-256 is not the manifest's"
        side, count = store.info.crop_size, 0
        with open_archive(path) as archive:
            for name in archive.namelist():
                if name.endswith(".jpg"):
                    if read_crop(archive, name).shape != (side, side, 3):
                        return f"{name} in {path.name} is not a crop of {side}x{side} pixels"
                    count += 1
    except FileNotFoundError:
        return f"{path.name} is missing"
    except UNREADABLE as error:
        return f"{path.name} cannot be read: {error}"
    return count if count == row.num_frames else f"{path.name} holds {count} crops, the manifest says {row.num_frames}"


def _row_problems(store: Store) -> Iterator[str]:
    yield from contradictions(store.rows, store.info.labels, store.info.num_folds)
    for row in store.rows:
        if row.ok != (row.num_frames > 0) or row.ok != bool(row.sha256):
            yield f"{row.clip_id}: {row.status} with {row.num_frames} crops and SHA-256 {row.sha256[:8] or 'none'}"
        if not row.ok and not row.detail:
            yield f"{row.clip_id}: {row.status} without a reason"


def _list_problems(rows: Sequence[ManifestRow], clips: Sequence[ClipRecord]) -> Iterator[str]:
    ours, theirs = {row.clip_id: row for row in rows}, {clip.clip_id: clip for clip in clips}
    for missing, what in (
        ([name for name in theirs if name not in ours], "clips of the lists have no row"),
        ([name for name in ours if name not in theirs], "rows are not in the lists"),
    ):
        if missing:
            ending = " ..." if len(missing) > _SHOWN else ""
            yield f"{len(missing):,} {what}: {', '.join(missing[:_SHOWN])}{ending}"
    for name in (name for name in ours if name in theirs):
        if ours[name].label_name != theirs[name].label_name:
            yield f"{name}: {ours[name].label_name} in the manifest, {theirs[name].label_name} in the lists"
        if ours[name].folds != theirs[name].folds:
            yield f"{name}: folds {ours[name].folds} in the manifest, {theirs[name].folds} in the lists"


def _size_problems(rows: Sequence[ManifestRow], official: OfficialSizes) -> Iterator[str]:
    sizes = Counter(slot for row in rows for slot in row.folds.items())
    for fold, split in sorted({*sizes, *official.lists}):
        size, right = sizes[fold, split], official.lists.get((fold, split), 0)
        if size != right:
            yield f"fold {fold} {split} has {size:,} clips, officially {right:,}"
    emotions = Counter(row.label_name for row in rows)
    for emotion in sorted({*emotions, *official.emotions}):
        if emotions[emotion] != official.emotions.get(emotion, 0):
            yield f"{emotion} has {emotions[emotion]:,} clips, officially {official.emotions.get(emotion, 0):,}"


def _find_unexpected_files(store: Store, known: set[Path], report: CheckReport) -> None:
    for path in sorted((store.root / "crops").rglob("*")):
        if path not in known and not path.is_dir():
            report.damaged.append(path)
            what = "left by a run that was killed" if is_unfinished(path) else "not a clip of the manifest"
            report.problems.append(f"{path.relative_to(store.root)}: {what}")
    for path in sorted(store.root.glob("progress*.jsonl")):
        report.problems.append(f"{path.name}: a run has started here and not finished")
