"""Raw data set -> store: decode, detect, track, align and pack every clip of the official lists.

Clips are independent, so they run in worker processes, where a decoder that crashes or hangs costs one clip.
Each finished clip is noted in a journal beside the store: a run that was killed continues where it was. The
manifest and the crops come out the same whatever the number of workers, shards and interruptions.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dfer.datasets import RawDataset
from dfer.errors import UsageError
from dfer.faces.align import alignment_settings
from dfer.files import remove_unfinished
from dfer.preprocessing.clip import Settings
from dfer.preprocessing.journal import Journal, finished_rows
from dfer.preprocessing.pool import run_clips
from dfer.records import ClipRecord
from dfer.store import DatasetInfo, ManifestRow, clip_path, read_info, write_info, write_manifest
from dfer.synth.dataset import generated_notice
from dfer.version import __version__

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
        shard: (i, n), 1-based: work on every n-th clip only and write no manifest. The run over all clips
            that follows finds the shards' work done and writes it.
        limit: at most this many clips, spread evenly over the lists.
        overwrite: start anew.
        on_clip: called with each finished row and the number of clips to do.

    Raises:
        UsageError: `out` holds a store made with other settings, or something else.
        DferError: the store cannot be written (the clips finished so far are kept).
    """
    clips = _spread(dataset.clips, limit)[shard[0] - 1 :: shard[1]]
    info = DatasetInfo(
        name=out.name,
        labels=list(dataset.labels),
        num_folds=dataset.num_folds,
        crop_size=settings.size,
        alignment=alignment_settings(settings.size),
        detector=settings.detector,
        notice=generated_notice(raw),
        tool_version=__version__,
    )
    _prepare_folder(out, info, overwrite=overwrite)
    done = finished_rows(out)
    rows: dict[str, ManifestRow] = {}
    todo: list[ClipRecord] = []
    for clip in clips:
        before = done.get(clip.clip_id)
        if before is None or before.status in _RETRIED or not _crops_there(out, before):
            todo.append(clip)
        else:
            rows[clip.clip_id] = _refresh(before, clip)

    name = "progress.jsonl" if shard == (1, 1) else f"progress.{shard[0]}-of-{shard[1]}.jsonl"
    with Journal(out / name) as journal:
        for row in run_clips(todo, raw, out, settings, workers):
            journal.append(row)
            rows[row.clip_id] = row
            on_clip(row, len(todo))

    ordered = [rows[clip.clip_id] for clip in clips]
    manifest = None
    if shard == (1, 1):
        manifest = out / "manifest.csv"
        write_manifest(manifest, ordered)
        for path in out.glob("progress*.jsonl"):  # the manifest holds it all now
            path.unlink()
        remove_unfinished(out)
    counts = Counter(row.status for row in ordered)
    return Summary(dict(counts), [row for row in ordered if row.status != "ok"], len(todo), manifest)


def _refresh(row: ManifestRow, clip: ClipRecord) -> ManifestRow:
    """A row finished earlier, with what the lists say today; rounded as the manifest rounds it."""
    return replace(
        row,
        label=clip.label,
        label_name=clip.label_name,
        folds=clip.folds,
        subject=clip.subject or "",
    )


def _crops_there(out: Path, row: ManifestRow) -> bool:
    return row.status != "ok" or clip_path(out, row.clip_id).is_file()


def _prepare_folder(out: Path, info: DatasetInfo, *, overwrite: bool) -> None:
    there = read_info(out) if out.is_dir() and not overwrite else None
    if overwrite and (out / "dataset.json").exists():
        for path in [*out.glob("progress*.jsonl"), out / "manifest.csv", out / "report.html", out / "dataset.json"]:
            path.unlink(missing_ok=True)
        for folder in ("crops", "contact_sheets"):
            shutil.rmtree(out / folder, ignore_errors=True)
    if there is None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError("this is not a store, and not empty", where=out, hint="choose another folder with --out")
        write_info(out, info)
        return
    ours, theirs = asdict(info), asdict(there)
    different = [key for key in ours if key != "tool_version" and ours[key] != theirs[key]]
    if different:
        changes = ", ".join(f"{key} {theirs[key]!r:.40} -> {ours[key]!r:.40}" for key in different)
        raise UsageError(
            f"the store was made with other settings: {changes}",
            where=out,
            hint="use the same settings, another --out, or --overwrite to start anew",
        )


def _spread(clips: list[ClipRecord], limit: int | None) -> list[ClipRecord]:
    if limit is None or limit >= len(clips):
        return clips
    return [clips[n * len(clips) // limit] for n in range(limit)]
