"""Raw data set -> store: decode, detect, track, align and pack every clip of the official lists.

Clips are independent, so an engine runs them in worker processes, where a decoder that crashes or hangs costs one
clip. Each finished clip is noted in a journal beside the store: a run that was killed continues where it was. The
manifest and the crops come out the same whatever the engine, the number of workers, shards and interruptions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from dfer.datasets import RawDataset
from dfer.datasets.merge import spread_clips
from dfer.datasets.notice import read_notice
from dfer.errors import DataError, UsageError
from dfer.faces.align import alignment_settings
from dfer.preprocessing.clip import Settings, missing_row
from dfer.preprocessing.disk_watch import DiskWatch
from dfer.preprocessing.engines import TIMEOUT_S, Engine, Job, build_engine
from dfer.preprocessing.folder import claim_folder
from dfer.preprocessing.journal import (
    Journal,
    finished_rows,
    has_crops,
    journal_path,
    refuse_company,
    remove_journals,
)
from dfer.records import ClipRecord
from dfer.runtime.files import remove_unfinished, write_error
from dfer.store import DatasetInfo, clip_path, read_info
from dfer.store.manifest import ManifestRow, write_manifest
from dfer.version import __version__

_NAMED = 10
_RETRIED = ("missing", "unreadable")  # what a file that comes back can mend


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        counts: status -> number of clips, over all clips of this run's part of the lists.
        failures: the rows that are not "ok".
        num_new: clips that this run worked on, the others having been finished before.
        manifest: the manifest written; None for a shard.
    """

    counts: dict[str, int]
    failures: list[ManifestRow]
    num_new: int
    manifest: Path | None


def preprocess(
    dataset: RawDataset,
    raw: Path,
    out: Path,
    settings: Settings,
    *,
    workers: int = 1,
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
        raw: the raw data set's folder; sources are noted relative to it.
        out: the store's folder.
        settings: detector and crop size.
        workers: processes; 0 works in this one (for debugging: nothing is isolated then).
        engine: what runs the clips, in place of that many processes on this machine.
        timeout_s: how long the work on a short clip may take; long ones are given more.
        shard: (i, n), 1-based: work on every n-th clip only and write no manifest. `merge`, or a run over all
            clips, finds the shards' work done and writes it.
        limit: at most this many clips, spread evenly over the lists.
        overwrite: start anew.
        on_clip: called with each finished row and the number of clips to do.

    Raises:
        UsageError: `out` holds a store made with other settings or of more clips than `limit`, or something else.
        DferError: the store cannot be written, another run is at work in it, or the raw data set's disk has gone
            (the clips finished so far are kept).
    """
    if overwrite and shard != (1, 1):
        raise UsageError(
            "a shard that starts anew would delete the other shards' work",
            where="--overwrite",
            hint=f"delete {out} once, before the shards start",
        )
    limited = spread_clips(dataset.clips, limit)
    if not overwrite:
        _refuse_to_drop(out, limited, limit)
    clips = limited[shard[0] - 1 :: shard[1]]
    info = DatasetInfo(
        name=_store_name(out),
        labels=list(dataset.labels),
        num_folds=dataset.num_folds,
        crop_size=settings.size,
        alignment=alignment_settings(settings.size),
        detector=settings.detector,
        notice=read_notice(raw),
        tool_version=__version__,
    )
    claim_folder(out, info, shard, overwrite=overwrite)
    with Journal(journal_path(out, shard)) as journal:
        rows, todo = _split_finished(clips, out)

        def finish(row: ManifestRow) -> None:
            if not row.ok:
                _remove_crops(out, row)
            journal.append(row)
            rows[row.clip_id] = row
            on_clip(row, len(todo))

        there: list[ClipRecord] = []
        for clip in todo:
            if clip.source is None:
                finish(missing_row(clip, raw))
            else:
                there.append(clip)
        if there:
            watch = DiskWatch(raw)
            work = (engine or build_engine(workers))(there, Job(raw, out, settings, timeout_s))
            with closing(work):
                for clip, row in work:
                    watch.judge(clip, row)
                    finish(row)
    ordered = [rows[clip.clip_id] for clip in clips]
    return _finish(out, ordered, len(todo), write=shard == (1, 1))


def _store_name(out: Path) -> str:
    """What tables and checkpoints call the store: its folder's name, which for `demo/data` says nothing."""
    folder = out.resolve()
    return folder.parent.name if folder.name == "data" else folder.name


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
    """Write the manifest from what the shards did, without doing any work.

    Args:
        dataset: the clips of the official lists.
        out: the store's folder.
        limit: as the shards had it.

    Raises:
        UsageError: the store was made of another data set, or holds more clips than `limit`.
        DataError: no store here, or some clips are not finished.
        DferError: a shard is at work, or the manifest cannot be written.
    """
    info = read_info(out)
    if info is None:
        raise DataError(
            "no store here", where=out, hint="run the shards first: --shard 1/N ... N/N, with the same --out"
        )
    if info.labels != list(dataset.labels):
        raise UsageError(
            f"the store is of another data set: its labels are {', '.join(info.labels)}",
            where=out,
            hint=f"here they are {', '.join(dataset.labels)}",
        )
    refuse_company(out)
    clips = spread_clips(dataset.clips, limit)
    _refuse_to_drop(out, clips, limit)
    rows, todo = _split_finished(clips, out, retry=False)
    if todo:
        raise DataError(
            f"{len(todo):,} of {len(clips):,} clips are not finished: {_named(todo)}",
            where=out,
            hint="run the shards that are missing, or the same command without --merge",
        )
    return _finish(out, [rows[clip.clip_id] for clip in clips], 0, write=True)


def _named(clips: list[ClipRecord]) -> str:
    names = ", ".join(clip.clip_id for clip in clips[:_NAMED])
    return names if len(clips) <= _NAMED else f"{names} and {len(clips) - _NAMED:,} more"


def _split_finished(
    clips: list[ClipRecord], out: Path, *, retry: bool = True
) -> tuple[dict[str, ManifestRow], list[ClipRecord]]:
    """The rows of the clips that earlier runs finished, and the clips that are left to do."""
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
        remove_journals(out)  # the manifest holds it all now
        remove_unfinished(out)
    counts = Counter[str](row.status for row in rows)
    return Summary(dict(counts), [row for row in rows if not row.ok], num_new, manifest)


def _remove_crops(out: Path, row: ManifestRow) -> None:
    """Crops of an earlier run, which a clip that can no longer be read must not leave behind."""
    path = clip_path(out, row.clip_id)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def _refresh(row: ManifestRow, clip: ClipRecord) -> ManifestRow:
    """A row finished earlier, with what the lists say today; rounded as the manifest rounds it."""
    return replace(
        row,
        label=clip.label,
        label_name=clip.label_name,
        folds=clip.folds,
        subject=clip.subject or "",
        votes=clip.votes,
    )
