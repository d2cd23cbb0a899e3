"""The journals of finished clips, by which a run that was killed continues where it was.

Each run, or shard of one, appends to a journal of its own, and holds a lock on it while it works. The system releases
the lock when the process ends, however it ends.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from dfer.errors import DferError
from dfer.runtime.files import write_error
from dfer.store import clip_path
from dfer.store.manifest import ManifestRow, read_manifest

# The end of a ZIP: magic, disk numbers, entries on this disk and in all, size and start of the index, comment.
_ZIP_END = struct.Struct("<4sHHHHIIH")
_LOCK_TRIES = 20  # others look, for a moment, whether a journal is locked
_BUSY_HINT = "wait for it to end, or stop it"
# Of two rows of a clip that has no crops, the one that tells more.
_RANK = {"ok": 0, "too_short": 1, "no_face": 1, "unreadable": 2, "missing": 3}


class Journal:
    """Finished rows, appended one JSON line each; a line torn by a kill is ignored when read.

    Args:
        path: see `journal_path`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Journal:
        try:
            self._file = self.path.open("ab")
            if not _lock(self._file.fileno()):
                self._file.close()
                raise DferError("another run is at work on this", where=self.path, hint=_BUSY_HINT)
            if self.path.stat().st_size:
                self._file.write(b"\n")  # closes a torn line
        except OSError as error:
            raise write_error(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk: `append` has said so
            self._file.close()

    def append(self, row: ManifestRow) -> None:
        """Note a finished clip.

        Raises:
            DferError: the disk is full, or is no longer the one that the run began on.
        """
        try:
            self._file.write(json.dumps(asdict(row)).encode() + b"\n")
            self._file.flush()
            # Where a mount has gone, crops would be written below its empty place.
            if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                raise DferError("the store has gone: another file is in its place", where=self.path)
        except OSError as error:
            raise write_error(self.path, error) from error


def journal_path(out: Path, shard: tuple[int, int]) -> Path:
    """The journal of a run (shard 1 of 1) or of a shard."""
    return out / ("progress.jsonl" if shard == (1, 1) else f"progress.{shard[0]}-of-{shard[1]}.jsonl")


def refuse_company(out: Path, shard: tuple[int, int] = (1, 1)) -> None:
    """See to it that no run is at work in a store; beside a shard, other shards may be.

    Raises:
        DferError: one is.
    """
    for path in _journals(out) if shard == (1, 1) else [journal_path(out, (1, 1))]:
        with suppress(FileNotFoundError), path.open("rb") as file:
            if not _try_lock(file.fileno(), exclusive=False):
                raise DferError("another run is at work in this store", where=path, hint=_BUSY_HINT)


def remove_journals(out: Path) -> None:
    """Remove all journals: the manifest holds what they held."""
    for path in _journals(out):
        path.unlink(missing_ok=True)


def finished_rows(out: Path) -> dict[str, ManifestRow]:
    """The rows finished by earlier runs: of the manifest, and of the journals of all shards.

    Where a clip has several rows, a later one of the same journal counts, and one of a journal before the manifest's,
    which is older. Among journals, the row whose crops are there counts: a clip that one shard could not read may
    have come back for another.
    """
    rows: dict[str, ManifestRow] = {}
    manifest = out / "manifest.csv"
    if manifest.is_file():
        rows.update((row.clip_id, row) for row in read_manifest(manifest))
    found: dict[str, list[ManifestRow]] = {}
    for path in _journals(out):
        for row in {row.clip_id: row for row in _read(path)}.values():
            found.setdefault(row.clip_id, []).append(row)
    for clip_id, several in found.items():
        rows[clip_id] = min(several, key=lambda row: (not has_crops(out, row), _RANK.get(row.status, 9)))
    return rows


def has_crops(out: Path, row: ManifestRow) -> bool:
    """Whether the crops that a row promises are there, by the size and index of their file: quick, reads no crop."""
    if not row.ok:
        return False
    path = clip_path(out, row.clip_id)
    try:
        with path.open("rb") as file:
            file.seek(-_ZIP_END.size, os.SEEK_END)
            size = file.tell()
            magic, _, _, _, count, index_size, index_start, comment = _ZIP_END.unpack(file.read())
        if count == 0xFFFF or index_start == 0xFFFFFFFF:  # more than these fields hold
            with zipfile.ZipFile(path) as archive:
                return len(archive.infolist()) == row.num_frames + 1
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
    whole = magic == b"PK\5\6" and comment == 0 and index_start + index_size == size
    return bool(whole and count == row.num_frames + 1)


def _journals(out: Path) -> list[Path]:
    return sorted(out.glob("progress*.jsonl"))


def _read(path: Path) -> Iterator[ManifestRow]:
    for line in path.read_bytes().splitlines():
        try:
            values = json.loads(line)
            values["folds"] = {int(fold): split for fold, split in values["folds"].items()}
            values["votes"] = tuple(values["votes"])
            yield ManifestRow(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _lock(handle: int) -> bool:
    """Lock an open file for this process; False if another one holds it."""
    for _ in range(_LOCK_TRIES):
        if _try_lock(handle, exclusive=True):
            return True
        time.sleep(0.05)
    return False


def _try_lock(handle: int, *, exclusive: bool) -> bool:
    if sys.platform == "win32":  # two runs in one folder are not told apart there
        return True
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
