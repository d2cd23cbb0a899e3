"""Journals: files that get a line of JSON when a piece of work is finished, and from which a killed run continues.

A run locks its journal while it works. The system releases the lock when the process ends, however it ends.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dfer.errors import DataError, DferError
from dfer.runtime.files import write_error
from dfer.runtime.locks import lock, try_lock
from dfer.runtime.reading import open_regular, parse_json, require_regular
from dfer.settings import read_record

_BUSY_HINT = "wait for it to end, or stop it"
_MAX_LINE_BYTES = 200_000_000

Record = TypeVar("Record")


class Journal:
    """Appends records, one JSON line each; a line torn by a kill is skipped on reading.

    Args:
        path: the file; created if it is not there.
        what: what the journal belongs to, such as "store", for the error if another run is writing to it.
        durable: whether each record is on the disk when it is appended, so that not even a power cut loses it.
    """

    def __init__(self, path: Path, *, what: str, durable: bool = False) -> None:
        self.path = path
        self._what, self._durable = what, durable

    def __enter__(self) -> Journal:
        try:
            if self.path.exists():
                require_regular(self.path)
            self._file = self.path.open("a+b")
            if lock(self._file.fileno()) is False:
                self._file.close()
                raise _busy(self.path, self._what)
            if self._file.seek(0, os.SEEK_END):
                self._file.seek(-1, os.SEEK_END)
                if self._file.read() != b"\n":
                    self._file.write(b"\n")  # ends a torn line
        except OSError as error:
            raise write_error(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk, `append` has already failed
            self._file.close()

    def append(self, record: Any) -> None:
        """Write down a finished piece of work.

        Args:
            record: a dataclass.

        Raises:
            DferError: the disk is full, or no longer the one the run began on.
        """
        try:
            self._file.write(json.dumps(asdict(record)).encode() + b"\n")
            self._file.flush()
            if self._durable:
                os.fsync(self._file.fileno())
            # After a lost mount, other files would be written into its empty mount point.
            if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                raise DferError(f"the {self._what} is gone: another file is in its place", where=self.path)
        except OSError as error:
            raise write_error(self.path, error) from error


def require_idle(path: Path, what: str) -> None:
    """Check that no run is writing to a journal, which need not exist.

    Raises:
        DferError: one is.
        OSError: it cannot be read.
    """
    with suppress(FileNotFoundError), open_regular(path) as file:
        if try_lock(file.fileno(), exclusive=False) is False:
            raise _busy(path, what)


def _busy(path: Path, what: str) -> DferError:
    """Return the error for a journal that another run is writing to."""
    return DferError(f"another run is writing to this {what}", where=path, hint=_BUSY_HINT)


def read_journal(path: Path, kind: type[Record], *, max_bytes: int) -> Iterator[Record]:
    """Yield the records of a journal; lines that are torn or damaged are skipped.

    Args:
        path: the file.
        kind: of the records; see `read_record`.
        max_bytes: of the file.

    Raises:
        OSError: it cannot be read, or is larger.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise OSError(errno.EFBIG, f"more than {max_bytes:,} bytes", str(path))
        for line in iter(partial(file.readline, _MAX_LINE_BYTES), b""):
            with suppress(ValueError, DataError):
                yield read_record(kind, parse_json(line), what="damaged line", where=path, error=DataError)
