"""Journals of finished clips in a store: each run or shard appends to its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dfer.errors import DataError, os_reason
from dfer.runtime.journal import Journal, read_journal, require_idle
from dfer.store import clip_path
from dfer.store.clips import UNREADABLE, open_archive
from dfer.store.manifest import MAX_MANIFEST_BYTES, ManifestRow, read_manifest

# Of two rows of a clip without crops, the more informative one counts.
_RANK = {"ok": 0, "too_short": 1, "no_face": 1, "unreadable": 2, "missing": 3}
_WHAT = "store"


def open_journal(out: Path, shard: tuple[int, int]) -> Journal:
    """Return the journal of a run (shard 1 of 1) or a shard, which takes manifest rows."""
    return Journal(journal_path(out, shard), what=_WHAT)


def journal_path(out: Path, shard: tuple[int, int]) -> Path:
    """Return the journal's path for a run (shard 1 of 1) or a shard."""
    return out / ("progress.jsonl" if shard == (1, 1) else f"progress.{shard[0]}-of-{shard[1]}.jsonl")


def ensure_exclusive(out: Path, shard: tuple[int, int] = (1, 1)) -> None:
    """Check that no other run is writing to a store; other shards may write beside a shard.

    Raises:
        DferError: another run is writing.
        DataError: a journal cannot be read.
    """
    for path in _journals(out) if shard == (1, 1) else [journal_path(out, (1, 1))]:
        try:
            require_idle(path, _WHAT)
        except OSError as error:
            raise _unreadable(path, error) from error


def remove_journals(out: Path) -> None:
    """Delete all journals, once the manifest holds their rows."""
    for path in _journals(out):
        path.unlink(missing_ok=True)


def finished_rows(out: Path) -> dict[str, ManifestRow]:
    """Return the rows that earlier runs finished, from the manifest and all journals, by clip ID.

    If a clip has several rows, the last one in a journal counts, and a journal's before the manifest's, which is
    older. Among journals, the row whose crops exist counts: a clip that one shard could not read may have come back
    for another.
    """
    rows: dict[str, ManifestRow] = {}
    manifest = out / "manifest.csv"
    if manifest.exists():
        rows.update((row.clip_id, row) for row in read_manifest(manifest))
    found: dict[str, list[ManifestRow]] = {}
    for path in _journals(out):
        for row in {row.clip_id: row for row in _read(path)}.values():
            found.setdefault(row.clip_id, []).append(row)
    for clip_id, several in found.items():
        rows[clip_id] = min(several, key=lambda row: (not has_crops(out, row), _RANK.get(row.status, 9)))
    return rows


def has_crops(out: Path, row: ManifestRow) -> bool:
    """Return whether the crops that a row promises exist, judged by the index of their file; no crop is read."""
    if not row.ok:
        return False
    try:
        with open_archive(clip_path(out, row.clip_id)) as archive:
            entries = archive.infolist()
    except UNREADABLE:
        return False
    # zipfile shifts offsets to fit a file that has lost a piece.
    return len(entries) == row.num_frames + 1 and entries[0].header_offset == 0


def _journals(out: Path) -> list[Path]:
    return sorted(out.glob("progress*.jsonl"))


def _read(path: Path) -> Iterator[ManifestRow]:
    try:
        yield from read_journal(path, ManifestRow, max_bytes=MAX_MANIFEST_BYTES)
    except FileNotFoundError:  # the run that wrote it has ended
        return
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read the journal: {os_reason(error)}", where=path, hint="remove it, or choose --out")
