"""Journals of finished clips, from which a killed run continues.

Each run or shard appends to its own journal and locks it while it works. The system releases the lock when the process
ends, however it ends.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from dfer.errors import DataError, DferError, os_reason
from dfer.runtime.files import write_error
from dfer.runtime.locks import lock, try_lock
from dfer.runtime.reading import open_regular, parse_json, read_limited, require_regular
from dfer.settings import read_record
from dfer.store import clip_path
from dfer.store.manifest import MAX_MANIFEST_BYTES, ManifestRow, read_manifest
from dfer.store.store import UNREADABLE, open_archive

_BUSY_HINT = "wait for it to end, or stop it"
# Of two rows of a clip without crops, the more informative one counts.
_RANK = {"ok": 0, "too_short": 1, "no_face": 1, "unreadable": 2, "missing": 3}


class Journal:
    """Appends finished rows, one JSON line each; a line torn by a kill is skipped on reading.

    Args:
        path: see `journal_path`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Journal:
        try:
            if self.path.exists():
                require_regular(self.path)
            self._file = self.path.open("ab")
            if lock(self._file.fileno()) is False:
                self._file.close()
                raise DferError("another run is writing to this store", where=self.path, hint=_BUSY_HINT)
            if self.path.stat().st_size:
                self._file.write(b"\n")  # ends a torn line
        except OSError as error:
            raise write_error(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk, `append` has already failed
            self._file.close()

    def append(self, row: ManifestRow) -> None:
        """Record a finished clip.

        Raises:
            DferError: the disk is full, or no longer the one the run began on.
        """
        try:
            self._file.write(json.dumps(asdict(row)).encode() + b"\n")
            self._file.flush()
            # After a lost mount, crops would be written into its empty mount point.
            if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                raise DferError("the store is gone: another file is in its place", where=self.path)
        except OSError as error:
            raise write_error(self.path, error) from error


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
            with open_regular(path) as file:
                if try_lock(file.fileno(), exclusive=False) is False:
                    raise DferError("another run is writing to this store", where=path, hint=_BUSY_HINT)
        except FileNotFoundError:
            continue
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
        lines = read_limited(path, MAX_MANIFEST_BYTES).splitlines()
    except FileNotFoundError:  # the run that wrote it has ended
        return
    except OSError as error:
        raise _unreadable(path, error) from error
    for line in lines:
        with suppress(ValueError, DataError):
            yield read_record(ManifestRow, parse_json(line), what="damaged row", where=path, error=DataError)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read the journal: {os_reason(error)}", where=path, hint="remove it, or choose --out")
