"""Guards against disks that fail or change during a run.

To a decoder, a disk that fails half way looks like the end of a video: it returns the frames it has, and the clip would
pass as complete. So every byte is read first, where an error is an error; the decoder then reads from memory. And when
a clip cannot be read, the disk is probed: without it, all following clips would count as unreadable.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dfer.errors import DataError, os_reason
from dfer.records import IMAGE_SUFFIXES, ClipRecord
from dfer.runtime.filenames import require_possible
from dfer.runtime.patience import call_with_timeout
from dfer.runtime.reading import open_regular
from dfer.store.manifest import ManifestRow

_READ_AT_MOST = 512 * 2**20  # more may not stay in memory until it is decoded
_CHUNK = 2**20
_PROBE_S = 60.0
_MAX_FAILURES = 3  # in a row; a single bad sector or deleted file must not stop the run
_DISK_ERRORS = {
    getattr(errno, name)
    for name in (
        "ESTALE", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ETIMEDOUT", "ENODEV", "ENXIO",
        "EREMOTEIO", "ESHUTDOWN",
    )
    if hasattr(errno, name)
}  # fmt: skip
_CLIP_ERRORS = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}

# Device, inode, size and modification time.
Snapshot = tuple[int, int, int, int]


def take_snapshot(source: Path) -> Snapshot:
    """Return what shows later whether a file or folder has changed.

    Raises:
        OSError: it is not there, or the disk fails.
    """
    found = source.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read_through(source: Path) -> Snapshot:
    """Read a file, or the images in a folder, up to 512 MB of each.

    Returns:
        The source's snapshot from before.

    Raises:
        OSError: it cannot be read, or is neither file nor folder. Images that are missing, no regular files or not
            readable by this user are skipped, as they are when the clip is decoded.
    """
    snapshot = take_snapshot(source)
    if source.is_dir():
        with os.scandir(source) as entries:
            images = [Path(entry.path) for entry in entries if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES]
        for image in images:
            try:
                _read_file(image)
            except OSError as error:
                if error.errno not in _CLIP_ERRORS | {errno.ENOENT}:
                    raise
    else:
        _read_file(source)
    return snapshot


class DiskGuard:
    """Distinguishes a clip that cannot be read from a disk that is gone.

    Args:
        raw: the raw data set.

    Raises:
        DataError: the disk is gone already.
    """

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        try:
            require_possible(raw)
            self._device = raw.stat().st_dev
        except OSError as error:
            raise _disk_error(error, raw) from error
        self._failures = 0

    def check(self, clip: ClipRecord, row: ManifestRow) -> None:
        """Probe the disk if a clip could not be read.

        Args:
            clip: the clip.
            row: its outcome.

        Raises:
            DataError: the disk is gone, so the outcome says nothing about the clip.
        """
        source = clip.source
        if row.status != "unreadable" or source is None:
            self._failures = 0
            return
        try:
            call_with_timeout(_PROBE_S, lambda: read_through(source))
            self._failures = 0
        except OSError as error:
            if error.errno in _CLIP_ERRORS:
                return
            self._failures += 1
            if error.errno in _DISK_ERRORS or self._root_gone() or self._failures >= _MAX_FAILURES:
                raise _disk_error(error, source) from error

    def _root_gone(self) -> bool:
        try:
            return call_with_timeout(_PROBE_S, lambda: self._raw.stat().st_dev) != self._device
        except OSError:
            return True


def _read_file(path: Path) -> None:
    with open_regular(path) as file:
        for _ in range(_READ_AT_MOST // _CHUNK):
            if not file.read(_CHUNK):
                return


def _disk_error(error: OSError, where: Path) -> DataError:
    return DataError(
        f"the raw data set can no longer be read: {os_reason(error)}",
        where=where,
        hint="reconnect the disk or mount and run the same command again: finished work is kept",
    )
