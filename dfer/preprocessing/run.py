"""Raw data set -> store: decode, detect, track, align and pack every clip of the official lists.

Clips are independent, so an engine processes them in worker processes, where a decoder that crashes or hangs loses one
clip. Each finished clip is recorded in a journal in the store, from which a killed run continues. Manifest and crops do
not depend on the engine, the number of workers, shards, or interruptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dfer.datasets import RawDataset
from dfer.datasets.merge import spread_clips
from dfer.datasets.notice import read_notice
from dfer.errors import DataError, UsageError
from dfer.faces.align import alignment_settings
from dfer.names import name_text
from dfer.plugins import loaded_sources
from dfer.preprocessing.clip import Settings, missing_row
from dfer.preprocessing.engines import Engine, Job, Rows, run_in_workers
from dfer.preprocessing.folder import STORE_FILES, STORE_FOLDERS, open_for_writing, require_apart
from dfer.preprocessing.forms import process_forms
from dfer.preprocessing.guard import DiskGuard
from dfer.preprocessing.journal import ensure_exclusive, finished_rows, has_crops, open_journal, remove_journals
from dfer.records import ClipRecord
from dfer.runtime.files import remove_unfinished, require_places, write_error
from dfer.runtime.patience import TIMEOUT_S
from dfer.store import DatasetInfo, clip_path, read_info
from dfer.store.manifest import ManifestRow, write_manifest
from dfer.version import __version__

_NAMED = 10
_RETRIED = ("missing", "unreadable")  # the file may have come back


@dataclass(frozen=True)
class Summary:
    """Outcome of a run.

    Attributes:
        rows: of all clips of this run or shard.
        num_new: clips processed by this run; earlier runs had finished the others.
        manifest: the manifest written; None for a shard.
    """

    rows: list[ManifestRow]
    num_new: int
    manifest: Path | None

    @property
    def counts(self) -> dict[str, int]:
        """The number of clips of each status."""
        return dict(Counter[str](row.status for row in self.rows))

    @property
    def failures(self) -> list[ManifestRow]:
        """The rows that are not "ok"."""
        return [row for row in self.rows if not row.ok]


def preprocess(
    dataset: RawDataset,
    raw: Path,
    out: Path,
    settings: Settings,
    *,
    workers: int = 0,
    engine: Engine | None = None,
    timeout_s: float = TIMEOUT_S,
    shard: tuple[int, int] = (1, 1),
    limit: int | None = None,
    overwrite: bool = False,
    on_clip: Callable[[ManifestRow, int], None] = lambda _row, _total: None,
) -> Summary:
    """Write or complete a store.

    Args:
        dataset: the clips of the official lists.
        raw: the raw data set's folder; sources are recorded relative to it.
        out: the store's folder.
        settings: detector and crop size.
        workers: worker processes; 0: one per core.
        engine: processes the clips in place of worker processes on this machine.
        timeout_s: the longest time for a short clip, in seconds; long ones get more.
        shard: (i, n), 1-based: process every n-th clip only and write no manifest. `merge`, or a later run over all
            clips, writes it from the shards' results.
        limit: at most this many clips, spread evenly over the lists.
        overwrite: delete the store and start from scratch.
        on_clip: called with each finished row and the number of clips to process.

    Raises:
        UsageError: `out` is among the raw data, or holds a store made with other settings or of more clips than
            `limit`, or something else.
        DferError: the store cannot be written, another run is writing to it, or the raw data set's disk is gone
            (finished clips are kept).
    """
    if overwrite and shard != (1, 1):
        raise UsageError(
            "a shard cannot overwrite: it would delete the other shards' work",
            where="--overwrite",
            hint=f"delete {out} once, before the shards start",
        )
    require_places(out, STORE_FILES, STORE_FOLDERS)
    limited = spread_clips(dataset.clips, limit)
    if not overwrite:
        _refuse_to_drop(out, limited, limit)
    clips = limited[shard[0] - 1 :: shard[1]]
    require_apart(out, raw, [clip.source for clip in dataset.clips if clip.source is not None])
    info = DatasetInfo(
        name=_store_name(out),
        labels=list(dataset.labels),
        num_folds=dataset.num_folds,
        crop_size=settings.size,
        alignment=alignment_settings(settings.size),
        detector=settings.detector,
        notice=read_notice(raw),
        tool_version=__version__,
        fps=settings.fps,
    )
    open_for_writing(out, info, shard, overwrite=overwrite)
    with open_journal(out, shard) as journal:
        rows, todo = _split_finished(clips, out)

        def finish(row: ManifestRow) -> None:
            if not row.ok:
                _remove_crops(out, row)
            journal.append(row)
            rows[row.clip_id] = row
            on_clip(row, len(todo))

        for clip in todo:
            if clip.source is None:
                finish(missing_row(clip, raw))
        if present := [clip for clip in todo if clip.source is not None]:
            guard = DiskGuard(raw)
            process = engine or partial(run_in_workers, workers=workers)
            job = Job(raw, out, settings, timeout_s, loaded_sources())

            def guarded(some: Sequence[ClipRecord]) -> Rows:
                with closing(process(some, job)) as processed:
                    for clip, row in processed:
                        guard.check(clip, row)
                        yield clip, row

            for _, row in process_forms(present, guarded, raw, only_aligned=settings.detector == "none"):
                finish(row)
    ordered = [rows[clip.clip_id] for clip in clips]
    return _finish(out, ordered, len(todo), write=shard == (1, 1))


def _store_name(out: Path) -> str:
    """Return the name for tables and checkpoints: the folder's, or its parent's for one like `demo/data`."""
    folder = out.resolve()
    return name_text(folder.parent.name if folder.name == "data" else folder.name)


def _refuse_to_drop(out: Path, limited: list[ClipRecord], limit: int | None) -> None:
    if limit is None:
        return
    left_out = finished_rows(out).keys() - {clip.clip_id for clip in limited}
    if left_out:
        raise UsageError(
            f"the store holds {len(left_out):,} clips that --limit {limit} would drop",
            where=out,
            hint="choose another folder with --out, or a higher limit",
        )


def merge(dataset: RawDataset, out: Path, *, limit: int | None = None) -> Summary:
    """Write the manifest from the shards' results, without processing any clip.

    Args:
        dataset: the clips of the official lists.
        out: the store's folder.
        limit: the shards' limit.

    Raises:
        UsageError: the store was made from another data set, or holds more clips than `limit`.
        DataError: there is no store, or some clips are not finished.
        DferError: a shard is still running, or the manifest cannot be written.
    """
    require_places(out, STORE_FILES, STORE_FOLDERS)
    info = read_info(out)
    if info is None:
        raise DataError(
            "no store here", where=out, hint="run the shards first: --shard 1/N ... N/N, with the same --out"
        )
    if info.labels != list(dataset.labels):
        raise UsageError(
            f"the store was made from another data set: its labels are {', '.join(info.labels)}",
            where=out,
            hint=f"the labels of this one are {', '.join(dataset.labels)}",
        )
    ensure_exclusive(out)
    clips = spread_clips(dataset.clips, limit)
    _refuse_to_drop(out, clips, limit)
    rows, todo = _split_finished(clips, out, retry=False)
    if todo:
        raise DataError(
            f"{len(todo):,} of {len(clips):,} clips are not finished: {_named(todo)}",
            where=out,
            hint="run the missing shards, or the same command without --merge",
        )
    return _finish(out, [rows[clip.clip_id] for clip in clips], 0, write=True)


def _named(clips: list[ClipRecord]) -> str:
    names = ", ".join(clip.clip_id for clip in clips[:_NAMED])
    return names if len(clips) <= _NAMED else f"{names} and {len(clips) - _NAMED:,} more"


def _split_finished(
    clips: list[ClipRecord], out: Path, *, retry: bool = True
) -> tuple[dict[str, ManifestRow], list[ClipRecord]]:
    """Return the rows of the clips that earlier runs finished, and the clips left to process."""
    done = finished_rows(out)
    rows: dict[str, ManifestRow] = {}
    todo: list[ClipRecord] = []
    for clip in clips:
        row = done.get(clip.clip_id)
        if row is None or (retry and row.status in _RETRIED) or (row.ok and not has_crops(out, row)):
            todo.append(clip)
        else:
            rows[clip.clip_id] = _refresh(row, clip)
    return rows, todo


def _finish(out: Path, rows: list[ManifestRow], num_new: int, *, write: bool) -> Summary:
    manifest = out / "manifest.csv" if write else None
    if manifest is not None:
        write_manifest(manifest, rows)
        remove_journals(out)  # the manifest has all rows now
        remove_unfinished(out)
    return Summary(rows, num_new, manifest)


def _remove_crops(out: Path, row: ManifestRow) -> None:
    """Remove the crops of an earlier run if the clip can no longer be read."""
    path = clip_path(out, row.clip_id)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _refresh(row: ManifestRow, clip: ClipRecord) -> ManifestRow:
    """Return a row finished earlier, with labels and folds from the current lists."""
    return replace(
        row,
        label=clip.label,
        label_name=clip.label_name,
        folds=clip.folds,
        subject=clip.subject or "",
        votes=clip.votes,
    )
