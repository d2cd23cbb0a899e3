"""Tells a clip that cannot be read from a disk that has gone."""

from __future__ import annotations

import errno
from pathlib import Path

from dfer.errors import DataError
from dfer.preprocessing.guard import answer_within, read_through
from dfer.records import ClipRecord
from dfer.store.manifest import ManifestRow

_PATIENCE_S = 60.0
_IN_A_ROW = 3  # one clip's bad sector, or a deleted file, must not stop the run
_GONE = {
    getattr(errno, name)
    for name in (
        "ESTALE", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ETIMEDOUT", "ENODEV", "ENXIO",
        "EREMOTEIO", "ESHUTDOWN",
    )
    if hasattr(errno, name)
}  # fmt: skip
_OF_THE_CLIP = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ELOOP, errno.ENAMETOOLONG}


class DiskWatch:
    """Looks at the disk again when a clip could not be read: else all that follow would count as unreadable.

    Args:
        raw: the raw data set.

    Raises:
        DataError: it has gone already.
    """

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        try:
            self._device = raw.stat().st_dev
        except OSError as error:
            raise _gone(error, raw) from error
        self._failed = 0

    def judge(self, clip: ClipRecord, row: ManifestRow) -> None:
        """Look at the disk, if the row asks for it.

        Args:
            clip: which.
            row: what became of it.

        Raises:
            DataError: the disk has gone, so that nothing can be said of the clip.
        """
        source = clip.source
        if row.status != "unreadable" or source is None:
            self._failed = 0
            return
        try:
            answer_within(_PATIENCE_S, lambda: read_through(source))
            self._failed = 0
        except OSError as error:
            if error.errno in _OF_THE_CLIP:
                return
            self._failed += 1
            if error.errno in _GONE or self._root_gone() or self._failed >= _IN_A_ROW:
                raise _gone(error, source) from error

    def _root_gone(self) -> bool:
        try:
            return answer_within(_PATIENCE_S, lambda: self._raw.stat().st_dev) != self._device
        except OSError:
            return True


def _gone(error: OSError, where: Path) -> DataError:
    return DataError(
        f"the raw data set cannot be read any more: {(error.strerror or str(error)).lower()}",
        where=where,
        hint="bring the disk or mount back and run the same command again: what is finished is kept",
    )
